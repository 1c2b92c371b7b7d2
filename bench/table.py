"""Figures as markdown: the long table, the matrix that bench/README.md has, asked / measured / met, four of them."""

from collections.abc import Iterator, Mapping, Sequence

from bench.model import BEFORE, WHILST, Figures, Of, Target, Workload
from bench.runner import Result, figures
from bench.targets import at_most, times_faster

Rows = list[list[str]]

HEAD = ["", "n", "figure", "x", "CPU µs", "peak MiB"]

MATRICES: tuple[tuple[str, tuple[tuple[str, str, Of], ...]], ...] = (  # what bench/README.md shows
    ("async function", (  # heading of each column, the workload below it, what of it
        ("no-op, µs", "async-noop", "figure"), ("CPU µs", "async-noop", "cpu"),
        ("generator, µs", "async-generator", "figure"), ("sleep(0), µs", "async-yield", "figure"),
        ("10 ms wait, s", "async-wait", "figure"), ("CPU µs", "async-wait", "cpu"),
        ("memory, MiB", "memory", "figure"),
    )),
    ("blocking function", (
        ("no-op, µs", "thread-noop", "figure"), ("CPU µs", "thread-noop", "cpu"),
        ("10 ms wait, 400 threads, s", "thread-wait", "figure"), ("CPU µs", "thread-wait", "cpu"),
        ("100 threads, s", "thread-wait-100", "figure"), ("CPU µs", "thread-wait-100", "cpu"),
    )),
    ("150 names at 50 a second", (
        ("s", "refused", "figure"), ("worst", "refused", "worst"), ("refused", "refused", "other"),
    )),
    ("a row, by the command", (
        ("JSONL to JSONL, µs", "jsonl", "figure"), ("CPU µs", "jsonl", "cpu"),
        ("JSONL to SQLite, µs", "sqlite", "figure"), ("CPU µs", "sqlite", "cpu"),
        ("CSV to Parquet, µs", "parquet", "figure"), ("CPU µs", "parquet", "cpu"),
    )),
    ("small documents", (
        ("2,000, s", "get-2000", "figure"), ("20,000, s", "get-20000", "figure"), ("CPU µs", "get-20000", "cpu"),
    )),
    ("worker processes", (
        ("no-op, µs", "process-noop", "figure"), ("1 ms of CPU, s", "process-compute", "figure"),
        ("start, ms", "process-start", "figure"),
    )),
)  # fmt: skip
FEWER = "`~`: run with fewer inputs, and scaled. `>`: run with fewer inputs, not scaled. –: not run."
QUOTED: tuple[tuple[str, str, Target], ...] = (  # what README.md shows: what it is, of which workload, which figure
    ("cost of an async call, 100 in flight", "async-noop", at_most("", 0, "µs")),
    (
        "blocking calls, against `ThreadPoolExecutor.map`", "thread-noop",
        times_faster("", 0, "ThreadPoolExecutor.map"),
    ),
    ("memory over 1,000,000 inputs", "memory", at_most("", 0, "MiB")),
    ("`import whilst`, on top of `import asyncio`", "import", at_most("", 0, "ms")),
)  # fmt: skip


def long_table(results: Sequence[Result], workloads: Sequence[Workload]) -> str:
    """One row a contestant and workload; `x` is its figure over that of whilst."""
    rows: Rows = []
    for workload in workloads:
        rows.append([f"**{workload.title}**", *[""] * (len(HEAD) - 1)])
        base = figures(results, workload).get(WHILST)
        rows += [_long_row(result, base) for result in results if result.workload is workload]
    table = _markdown(HEAD, rows)
    return f"{table}\n\n{FEWER}\nx: over whilst. CPU: an input. Peak: above what is resident after the imports."


def matrices(results: Sequence[Result]) -> str:
    """Small tables, a row a contestant."""
    found = {(result.workload.name, result.name): result for result in results}
    tables = []
    for heading, columns in MATRICES:
        shown = [name for _, name, _ in columns]
        names = dict.fromkeys(result.name for result in results if result.workload.name in shown)
        rows = [[name, *(_cell(found, workload, name, of) for _, workload, of in columns)] for name in names]
        if rows:
            tables.append(_markdown([heading, *(title for title, _, _ in columns)], rows))
    return "\n\n".join(tables)


def targets(results: Sequence[Result], workloads: Sequence[Workload]) -> str:
    """What is asked beside what was measured, and what the revision before it did; then what bounds what is not met."""
    rows: Rows = []
    short: list[str] = []
    before = any(result.base for result in results)
    for workload in workloads:
        for target in workload.targets:
            measured, then = _measured(results, workload, target)
            met = "" if measured is None else "yes" if target.is_met(measured) else "**no**"
            shown = "not measured" if measured is None else f"{_number(measured)} {target.unit}"
            was = ["" if then is None else _number(then)] if before else []
            rows.append([workload.title, target.asked, shown, *was, met])
            if met == "**no**" and target.bound:
                short.append(f"- {workload.title}, {target.asked}: {target.bound}")
    table = _markdown(["work", "asked", "measured", *(["before"] if before else []), "met"], rows)
    return "\n\n".join([table, *(["What bounds those that are not met:", "\n".join(short)] if short else [])])


def worse(results: Sequence[Result], factor: float) -> Iterator[str]:
    """Say which contestants take `factor` times what they took before, by CPU where it was measured."""
    before = {(it.workload.name, it.contestant.name): it for it in results if it.base}
    for result in results:
        then = before.get((result.workload.name, result.contestant.name))
        if result.base or then is None:
            continue
        of: Of = "cpu" if result.of("cpu") else "figure"
        now, was = result.of(of), then.of(of)
        if now is not None and was and now > was * factor:
            yield f"{result.workload.name}/{result.name}: {_number(now)} for {_number(was)} ({of})"


def quoted(results: Sequence[Result]) -> str:
    """Four figures."""
    rows: Rows = []
    for what, name, target in QUOTED:
        workload = next(result.workload for result in results if result.workload.name == name)
        measured, _ = _measured(results, workload, target)
        unit = " times as fast" if target.unit == "x" else f" {target.unit}"
        rows.append([what, "not measured" if measured is None else f"{_number(measured)}{unit}"])
    return _markdown(["what", "measured"], rows)


def _measured(results: Sequence[Result], workload: Workload, target: Target) -> tuple[float | None, float | None]:
    """Return what came out for a target, today and at the revision before."""
    known = figures(results, workload, target.of)
    then = {name.removesuffix(BEFORE): figure for name, figure in known.items() if name.endswith(BEFORE)}
    return _figure(target, known), _figure(target, {**known, **then}) if then else None


def _figure(target: Target, known: Figures) -> float | None:
    try:
        return target.figure(known)
    except (KeyError, ValueError):
        return None


def _long_row(result: Result, base: float | None) -> list[str]:
    name, figure = result.name, result.figure
    if figure is None:
        return [name, "", _absence(result), "", "", ""]
    n = f"{result.samples[0].n:,}"
    cpu, peak = (_number(each) if each else "" for each in (result.of("cpu"), result.of("mib")))
    shown = f"{_scaled(result)}{_number(figure)} {result.workload.unit}"
    return [name, n, shown, _number(figure / base) if base else "", cpu, peak]


def _cell(found: Mapping[tuple[str, str], Result], workload: str, contestant: str, of: Of) -> str:
    result, ours = found.get((workload, contestant)), found.get((workload, WHILST))
    if result is None:
        return "–"
    if (figure := result.of(of)) is None:
        return _absence(result)
    shown = f"{_scaled(result) if of == 'figure' else ''}{_number(figure)}"
    base = ours.of(of) if ours is not None and ours is not result else None
    return f"{shown} ({_number(figure / base)}x)" if base else shown


def _scaled(result: Result) -> str:
    """Mark a figure that stands for more inputs than were run; one an input needs no mark."""
    fewer = result.samples[0].n < result.workload.n
    return {"s": "~", "MiB": ">"}.get(result.workload.unit, "") if fewer else ""


def _absence(result: Result) -> str:
    return "missing" if result.missing else "failed"


def _number(figure: float) -> str:
    digits = 2 if abs(figure) < 10 else 1 if abs(figure) < 100 else 0
    return f"{figure:,.{digits}f}"


def _markdown(head: list[str], rows: Rows) -> str:
    """Aligned columns, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *(line(row) for row in rows)])
