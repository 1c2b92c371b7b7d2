"""`python -m bench`: measure whilst and its peers, print the tables, write bench/out/latest.json."""

import argparse
import dataclasses
import json
import sys
import time
import tomllib
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from bench import machine, table
from bench.base import ROOT, Base, NoSuchRevisionError, sources_of
from bench.model import Workload
from bench.page import README, fill, has_marks, marks
from bench.runner import Result, run
from bench.workloads import WORKLOADS

OUT = ROOT / "bench" / "out" / "latest.json"
FRONT = ROOT / "README.md"
ROUNDS = 5
WORSE = 1.15  # times what it took before: less is within what two runs of the same differ by


def main() -> int:
    options = _arguments()
    if options.list or options.peers:
        print("\n".join(_peers() if options.peers else (f"{it.name:24} {it.title}" for it in WORKLOADS)))
        return 0
    workloads = [workload for workload in WORKLOADS if not options.only or workload.name in options.only]
    facts, started = machine.facts(), time.monotonic()
    if facts["load"][0] > facts["cores"] / 2:
        _tell(f"busy: load {facts['load'][0]} on {facts['cores']} cores; expect figures to be off")
    try:
        before = sources_of(options.base) if options.base else nullcontext()
        with before as base:
            results = _run(options, workloads, base)
    except NoSuchRevisionError as error:
        _tell(f"--base {options.base}: {error}")
        return 2
    facts |= {"rounds": options.rounds, "quick": options.quick, "took": round(time.monotonic() - started, 1)}
    facts["base"] = base.commit if base else None
    _save(facts, results)
    print(table.long_table(results, workloads))
    print(f"\n{table.targets(results, workloads)}\n\n{_caption(facts)}")
    if options.write_readme:
        _write_readme(facts, results, workloads)
    return _report_failures(results) or (options.not_worse and _report_worse(results))


def _run(options: argparse.Namespace, workloads: Sequence[Workload], base: Base | None) -> list[Result]:
    return run(
        workloads, rounds=options.rounds, quick=options.quick, tell=_tell, base=base, peers=not options.without_peers
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help="these workloads only")
    parser.add_argument("--quick", action="store_true", help="fewer inputs, one round: a rough picture")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"rounds to take the median of ({ROUNDS})")
    parser.add_argument("--base", metavar="REV", help="measure this revision too, in turn with what is here")
    parser.add_argument("--without-peers", action="store_true", help="whilst and the floors only")
    parser.add_argument("--not-worse", action="store_true", help=f"fail where a row takes {WORSE} times what REV does")
    parser.add_argument("--list", action="store_true", help="name the workloads and stop")
    parser.add_argument("--peers", action="store_true", help="name the packages that are measured beside, and stop")
    parser.add_argument("--write-readme", action="store_true", help="put the tables into the two README.md")
    options = parser.parse_args()
    if options.rounds is None:
        options.rounds = 1 if options.quick else ROUNDS
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    if options.not_worse and not options.base:
        parser.error("--not-worse needs something to compare with: --base REV")
    if options.write_readme and (options.quick or options.only or options.without_peers):
        parser.error("--write-readme quotes a whole run: leave out --quick, --only and --without-peers")
    for page in (README, FRONT):
        if options.write_readme and not has_marks(page):
            parser.error(f"{page.relative_to(ROOT)} needs the lines {' and '.join(marks('bench'))}, in this order")
    return options


def _peers() -> list[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        named: list[str] = tomllib.load(file)["project"]["optional-dependencies"]["bench"]
    return [name.partition(";")[0] for name in named]


def _save(facts: dict[str, Any], results: Sequence[Result]) -> None:
    OUT.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "workload": result.workload.name,
            "contestant": result.name,
            "kind": result.contestant.kind,
            "unit": result.workload.unit,
            "figure": result.figure,
            "missing": result.missing,
            "failed": result.failed,
            "samples": [dataclasses.asdict(sample) for sample in result.samples],
        }
        for result in results
    ]
    document = {"machine": facts, "results": rows}
    OUT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _caption(facts: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items() if version)
    rounds = "one round" if facts["rounds"] == 1 else f"median of {facts['rounds']} rounds"
    rounds += " with few inputs (a rough picture)" if facts["quick"] else ""
    before = f" Before: {facts['base']}." if facts["base"] else ""
    return (
        f"{facts['date'][:10]}, {facts['python']}, {facts['cores']} cores, load {facts['load'][0]} at the start, "
        f"{rounds}, {facts['took']:.0f} s.\nAt {facts['commit']}.{before}\n{packages}."
    )


def _write_readme(facts: dict[str, Any], results: Sequence[Result], workloads: Sequence[Workload]) -> None:
    parts = (
        table.matrices(results),
        f"`make bench` makes these figures. {_caption(facts)}\n{table.FEWER}",
        table.targets(results, workloads),
    )
    fill(README, "\n\n".join(("", *parts, "")))
    python = ".".join(facts["python"].split(".")[:2])
    where = f"{facts['cores']} cores, {python}. [How, every peer, and what is *not* met](bench/README.md)."
    fill(FRONT, f"\n{table.quoted(results)}\n\n{where} ")


def _report_failures(results: Sequence[Result]) -> int:
    failures = [result for result in results if result.failed]
    for reason in dict.fromkeys(result.failed for result in failures):
        where = [f"{each.workload.name}/{each.contestant.name}" for each in failures if each.failed == reason]
        print(f"failed: {reason}\n  {'; '.join(where)}", file=sys.stderr)
    return 1 if failures else 0


def _report_worse(results: Sequence[Result]) -> int:
    rows = list(table.worse(results, WORSE))
    for row in rows:
        print(f"worse than before: {row}", file=sys.stderr)
    return 1 if rows else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
