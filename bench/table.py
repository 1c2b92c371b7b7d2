"""Figures as markdown: the long table, the matrix the README quotes, and asked / measured / met."""

from collections.abc import Mapping, Sequence

from bench.model import WHILST, Workload
from bench.runner import Result, figures

Rows = list[list[str]]

HEAD = ["", "n", "figure", "x", "CPU µs", "peak MiB"]

MATRICES = (  # what the README shows: heading of each column, and the workload below it
    ("async function", (
        ("no-op, µs", "async-noop"), ("generator, µs", "async-generator"), ("sleep(0), µs", "async-yield"),
        ("10 ms wait, s", "async-wait"), ("memory, MiB", "memory"),
    )),
    ("blocking function", (("no-op, µs", "thread-noop"), ("10 ms wait, s", "thread-wait"))),
)  # fmt: skip
FEWER = "`~`: run with fewer inputs, and scaled. `>`: run with fewer inputs, not scaled. –: not run."


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
    """Two small tables, a row a contestant: async functions, blocking functions."""
    found = {(result.workload.name, result.contestant.name): result for result in results}
    tables = []
    for heading, columns in MATRICES:
        shown = [name for _, name in columns]
        names = dict.fromkeys(result.contestant.name for result in results if result.workload.name in shown)
        rows = [[name, *(_cell(found, workload, name) for workload in shown)] for name in names]
        tables.append(_markdown([heading, *(title for title, _ in columns)], rows))
    return "\n\n".join(tables)


def targets(results: Sequence[Result], workloads: Sequence[Workload]) -> str:
    rows: Rows = []
    for workload in workloads:
        known = figures(results, workload)
        for target in workload.targets:
            try:
                measured = target.figure(known)
            except (KeyError, ValueError):
                rows.append([workload.title, target.asked, "not measured", ""])
                continue
            met = "yes" if target.is_met(measured) else "**no**"
            rows.append([workload.title, target.asked, f"{_number(measured)} {target.unit}", met])
    return _markdown(["work", "asked", "measured", "met"], rows)


def _long_row(result: Result, base: float | None) -> list[str]:
    name, figure = result.contestant.name, result.figure
    if figure is None:
        return [name, "", _absence(result), "", "", ""]
    n = f"{result.samples[0].n:,}"
    cpu, peak = (_number(each) if each else "" for each in (result.cpu, result.mib))
    shown = f"{_scaled(result)}{_number(figure)} {result.workload.unit}"
    return [name, n, shown, _number(figure / base) if base else "", cpu, peak]


def _cell(found: Mapping[tuple[str, str], Result], workload: str, contestant: str) -> str:
    result, ours = found.get((workload, contestant)), found.get((workload, WHILST))
    if result is None:
        return "–"
    if result.figure is None:
        return _absence(result)
    shown = f"{_scaled(result)}{_number(result.figure)}"
    ratio = ours is not None and ours is not result and ours.figure and result.figure / ours.figure
    return f"{shown} ({_number(ratio)}x)" if ratio else shown


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
