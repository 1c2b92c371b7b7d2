"""Every kind of blocking is found at its line, with the length of the loop's own round, and told for what it is.

The program measures its rounds at its own selector. Where other processes take all processors, a thread that looks may
not get one while something lasts: a busy machine has several chances.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doctorkit import PROGRAMS, doctor, marked

pytest.importorskip("requests")
pytestmark = pytest.mark.slow

WAITS = {
    "short_sleep": "time.sleep",
    "sleep": "time.sleep",
    "request": "requests.get → socket recv",
    "a_process": "subprocess.run → a process",
    "a_queue": "queue.Queue().get → a lock",
    "a_lock": "lock.acquire",
    "a_thread": "thread.join",
    "a_future": "future.result → a lock",
    "a_socket": "ours.recv",
    "elsewhere": "time.sleep",
}
COMPUTES = {
    "a_file": "file.read",
    "parsing": "json.loads → json",
    "a_loop": "",
    "a_query": "database.execute",
    "a_hash": "hashlib.pbkdf2_hmac",
    "a_pattern": "re.match",
    "packing": "zlib.compress",
    "sorting": "",  # of the sort, or of its key
}
HOG = "while True: pass"


def seen(threshold: str, report: Path) -> dict[str, tuple[dict[str, Any] | None, float]]:
    """Return for each kind the finding at its line, and how long its round was."""
    done = doctor("--json", "--threshold", threshold, PROGRAMS / "blocking.py", report)
    assert done.code == 0, done.err
    took = json.loads(report.read_text())
    by_place: dict[tuple[str, int], dict[str, Any]] = {}
    for finding in reversed(done.findings):  # the worst of a line last
        if finding["kind"] == "held the loop":
            by_place[Path(finding["file"]).name, finding["line"]] = finding
    found = {}
    for kind in {**WAITS, **COMPUTES}:
        file = "helper.py" if kind == "elsewhere" else "blocking.py"
        found[kind] = by_place.get((file, marked(PROGRAMS / file, f"HOLDS {kind}"))), took[kind]
    return found


def missing(found: dict[str, tuple[dict[str, Any] | None, float]]) -> dict[str, str]:
    """Say what is wrong with each kind that is not as it should be."""
    wrong = {}
    for kind, (finding, took) in found.items():
        if finding is None:
            wrong[kind] = f"not found, {took:.3f} s"
        elif abs(finding["longest"] - took) > max(0.005, 0.1 * took):
            wrong[kind] = f"{finding['longest']:.3f} s, and the round was {took:.3f} s"
        elif not finding["evidence"].startswith("it waited" if kind in WAITS else "it computed"):
            wrong[kind] = finding["evidence"]
        elif not finding["call"].startswith({**WAITS, **COMPUTES}[kind]):
            wrong[kind] = finding["call"]
    return wrong


def right_in_some_of(tries: int, tmp_path: Path) -> dict[str, str]:
    """Return what was wrong each time."""
    wrong = missing(seen("20ms", tmp_path / "took.json"))
    for _ in range(tries - 1):
        if not wrong:
            break
        again = missing(seen("20ms", tmp_path / "took.json"))
        wrong = {kind: text for kind, text in wrong.items() if kind in again}
    return wrong


def test_each_kind_is_found_at_its_line_with_the_length_of_its_round_and_told_for_what_it_is(tmp_path: Path) -> None:
    assert right_in_some_of(4, tmp_path) == {}


def test_waiting_and_computing_are_told_apart_beside_processes_that_take_every_processor(tmp_path: Path) -> None:
    hogs = [subprocess.Popen([sys.executable, "-c", HOG]) for _ in range(2)]
    try:
        wrong = right_in_some_of(4, tmp_path)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert wrong == {}
