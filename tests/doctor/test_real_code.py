"""Lines of programs as people write them are found where they are: handlers, queries, tables, files, decorators, locks.

Each program in `programs/held` holds a loop once, at the line that ends in `# HOLDS`; those in `programs/calm` do much
and hold none. Where other processes take all processors, who looks may not get one in time: there are several chances.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from doctorkit import PROGRAMS, marked, run_all

for needed in ("aiohttp", "numpy", "pandas", "sqlalchemy", "starlette", "uvicorn"):
    pytest.importorskip(needed)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

HELD = sorted((PROGRAMS / "held").glob("*.py"))
CALM = sorted((PROGRAMS / "calm").glob("*.py"))
TRIES = 4


def places(paths: list[Path], report: Path) -> dict[str, set[int]]:
    """Return the lines of each program that held a loop; what is freed at a function's end has no line of its own."""
    found: dict[str, set[int]] = {path.name: set() for path in paths}
    for finding in run_all(paths, report)[0]:
        if finding["kind"] == "held the loop" and not finding["text"].startswith("what ran right before"):
            found.setdefault(Path(finding["file"]).name, set()).add(finding["line"])
    return found


def right_in_some_of_them(wanted: dict[Path, set[int]], folder: Path) -> dict[str, set[int]]:
    """Return what was wrong with each program each time."""
    wrong: dict[str, set[int]] = {}
    left = [*wanted]
    for _ in range(TRIES):
        found = places(left, folder / "took.json")
        left = [path for path in left if found[path.name] != wanted[path]]
        wrong = {path.name: found[path.name] for path in left}
        if not left:
            break
    return wrong


def test_each_line_that_holds_a_loop_is_found_and_no_other(tmp_path: Path) -> None:
    assert right_in_some_of_them({path: {marked(path, "HOLDS")} for path in HELD}, tmp_path) == {}


def test_programs_that_hold_no_loop_have_nothing_said_of_one(tmp_path: Path) -> None:
    assert right_in_some_of_them({path: set() for path in CALM}, tmp_path) == {}
