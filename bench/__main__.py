"""`python -m bench`: measure whilst and its peers, print the tables, write bench/out/latest.json."""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine, table
from bench.model import Workload
from bench.runner import ROOT, Result, run
from bench.workloads import WORKLOADS

OUT = ROOT / "bench" / "out" / "latest.json"
README = ROOT / "README.md"
START, END = "<!-- bench:start -->", "<!-- bench:end -->"


def main() -> int:
    options = _arguments()
    if options.list:
        for workload in WORKLOADS:
            print(f"{workload.name:16} {workload.title}")
        return 0
    workloads = [workload for workload in WORKLOADS if not options.only or workload.name in options.only]
    facts, started = machine.facts(), time.monotonic()
    if facts["load"][0] > facts["cores"] / 2:
        _tell(f"busy: load {facts['load'][0]} on {facts['cores']} cores; expect figures to be off")
    results = run(workloads, rounds=options.rounds, quick=options.quick, tell=_tell)
    facts |= {"rounds": options.rounds, "quick": options.quick, "took": round(time.monotonic() - started, 1)}
    _save(facts, results)
    print(table.long_table(results, workloads))
    print(f"\n{table.targets(results, workloads)}\n\n{_caption(facts)}")
    if options.write_readme:
        _write_readme(facts, results, workloads)
    return _report_failures(results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="WORKLOAD", help="these workloads only")
    parser.add_argument("--quick", action="store_true", help="fewer inputs, one round: a rough picture")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds to take the median of (3)")
    parser.add_argument("--list", action="store_true", help="name the workloads and stop")
    parser.add_argument("--write-readme", action="store_true", help="put the tables into README.md")
    options = parser.parse_args()
    if options.rounds is None:
        options.rounds = 1 if options.quick else 3
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    if options.write_readme and (options.quick or options.only):
        parser.error("--write-readme quotes a whole run: leave out --quick and --only")
    if options.write_readme and not _has_marks(README.read_text(encoding="utf-8")):
        parser.error(f"README.md needs the lines {START} and {END}, in this order")
    return options


def _save(facts: dict[str, Any], results: Sequence[Result]) -> None:
    OUT.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "workload": result.workload.name,
            "contestant": result.contestant.name,
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
    return (
        f"{facts['date'][:10]}, {facts['python']}, {facts['cores']} cores, {rounds}, {facts['took']:.0f} s.\n"
        f"{packages}."
    )


def _write_readme(facts: dict[str, Any], results: Sequence[Result], workloads: Sequence[Workload]) -> None:
    parts = (
        START,
        table.matrices(results),
        f"`make bench` makes these figures. {_caption(facts)}\n{table.FEWER}",
        table.targets(results, workloads),
        END,
    )
    text = README.read_text(encoding="utf-8")
    before, after = text[: text.index(START)], text[text.index(END) + len(END) :]
    _replace(README, before + "\n\n".join(parts) + after)


def _replace(path: Path, text: str) -> None:
    """Write beside and move over, so that an interrupted bench leaves the old page."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _has_marks(text: str) -> bool:
    return 0 <= text.find(START) < text.find(END)


def _report_failures(results: Sequence[Result]) -> int:
    failures = [result for result in results if result.failed]
    for reason in dict.fromkeys(result.failed for result in failures):
        where = [f"{each.workload.name}/{each.contestant.name}" for each in failures if each.failed == reason]
        print(f"failed: {reason}\n  {'; '.join(where)}", file=sys.stderr)
    return 1 if failures else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
