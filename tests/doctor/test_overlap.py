"""Waits that could overlap are found, and only those; the advice does what it says when it is followed.

Each program in `programs/overlap` has one, at the line that ends in `# HERE`; those in `programs/traps` look like it
and have none.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from doctorkit import AT_ONCE, PROGRAMS, batched, marked, plainly, run_all

from whilst.doctoring.rewrite import apply

for needed in ("aiohttp", "flask", "httpx", "requests", "sqlalchemy"):
    pytest.importorskip(needed)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TRUE = sorted((PROGRAMS / "overlap").glob("*.py"))
TRAPS = sorted((PROGRAMS / "traps").glob("*.py"))
FOUND = 0.9  # of those that there are
Run = tuple[list[dict[str, Any]], dict[str, float]]  # what was found, and the seconds that each program took
REACHED = 0.7  # of what was announced to be saved


def test_there_are_forty_programs_and_half_of_them_are_traps() -> None:
    assert len(TRUE) >= 20
    assert len(TRAPS) >= 20


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Run all programs, in two processes: they wait, most of the time, and what they load takes more than they do."""
    folder = tmp_path_factory.mktemp("seen")
    groups = {"true": TRUE, "trap": TRAPS}
    with ThreadPoolExecutor(len(groups)) as pool:
        return dict(
            zip(groups, pool.map(run_all, groups.values(), [folder / f"{name}.json" for name in groups]), strict=True)
        )


def test_no_trap_is_spoken_of(seen: dict[str, Run]) -> None:
    found = [it for name, run in seen.items() if "trap" in name for it in run[0]]
    assert [f"{Path(it['file']).name} line {it['line']}: {it['text']}" for it in found if in_programs(it)] == []


def in_programs(finding: dict[str, Any]) -> bool:
    """Whether it is about a program; a loop may be held for a moment on a machine that is busy."""
    return finding["kind"] == "could overlap"


@pytest.fixture(scope="module")
def told(seen: dict[str, Run]) -> Run:
    runs = [run for name, run in seen.items() if "true" in name]
    return [it for found, _ in runs for it in found], {path: took for _, each in runs for path, took in each.items()}


def test_nine_of_ten_are_found_at_their_line(told: Run) -> None:
    places = {(Path(it["file"]).name, it["line"]) for it in told[0] if it["kind"] == "could overlap"}
    wanted = {(path.name, marked(path, "HERE")) for path in TRUE}
    assert len(wanted & places) >= FOUND * len(wanted), wanted - places
    assert places <= wanted


def test_what_is_written_instead_saves_most_of_what_was_announced(told: Run, tmp_path: Path) -> None:
    findings, before = told
    changed: dict[str, tuple[Path, float]] = {}
    for finding in findings:
        if finding["kind"] == "could overlap" and finding["change"]:
            path = Path(finding["file"])
            copy = tmp_path / path.name
            copy.write_text(apply(path.read_text(), [finding["change"]]))
            changed[finding["file"]] = copy, finding["seconds"] * (1 - 1 / finding["gain"])
    assert len(changed) >= 18
    least: dict[str, float] = {}
    short: dict[str, str] = {}
    for _ in range(4):  # others use this machine too
        for path, seconds in measured([copy for copy, _ in changed.values()], tmp_path).items():
            least[path] = min(seconds, least.get(path, seconds))
        short = {
            copy.name: f"saved {before[path] - least[str(copy)]:.2f} s of {announced:.2f} s"
            for path, (copy, announced) in changed.items()
            if before[path] - least[str(copy)] < REACHED * announced
        }
        if not short:
            break
    assert short == {}


def measured(paths: list[Path], folder: Path) -> dict[str, float]:
    report = folder / "after.json"
    found: dict[str, float] = {}
    for some in batched(paths, AT_ONCE):
        done = plainly(PROGRAMS / "run_all.py", report, *some)
        assert done.code == 0, done.err
        found |= json.loads(report.read_text())
    return found
