"""`whilst map … --executor process`: calls of the command line that worker processes make."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from commandkit import run

JOBS = """\
import os, sys
import whilst
def pid(x):
    return os.getpid()
def ends(x):
    if x == "3":
        os._exit(4)
    if x == "4":
        sys.exit("no more")
    return x
def both(a, b):
    return a + b
async def later(x):
    return x
def many(xs):
    return [(len(xs), os.getpid()) for _ in xs]
async def where(x):
    return os.getpid()
flow = whilst.together(there=pid, loop=where, thread=whilst.step(pid, executor="thread"))
waits = whilst.sequence(later, where)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "rows.txt").write_text("".join(f"{x}\n" for x in range(1, 7)))


def lines(out: bytes) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


def test_rows_are_called_in_other_processes() -> None:
    code, out, _ = run("map", "jobs.py:pid", "rows.txt", "--executor", "process", "-j", "2")
    assert code == 0
    assert [row["input"] for row in lines(out)] == ["1", "2", "3", "4", "5", "6"]
    _, here, _ = run("map", "jobs.py:pid", "rows.txt")
    assert len({row["value"] for row in lines(here)}) == 1
    assert not {row["value"] for row in lines(here)} & {row["value"] for row in lines(out)}


def test_a_row_whose_worker_dies_fails_alone_and_so_does_one_that_exits() -> None:
    code, out, err = run("map", "jobs.py:ends", "rows.txt", "--executor", "process")
    assert code == 1
    rows = lines(out)
    assert [row["input"] for row in rows if "error" in row] == ["3", "4"]
    assert rows[2]["error"].startswith("WorkerDied: ends(): the worker process that made this call ended by itself")
    assert rows[3]["error"] == "SystemExit: no more"
    assert b"4 ok, 2 failed" in err


def test_rows_are_handed_over_by_name_and_values_fit_the_output(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n')
    code, _, _ = run("map", "jobs.py:both", "rows.jsonl", "--executor", "process", "-o", "out.csv")
    assert code == 0
    with open(tmp_path / "out.csv", newline="") as file:
        assert [row["value"] for row in csv.DictReader(file)] == ["3", "7"]


def test_rows_are_handed_over_many_at_a_time() -> None:
    code, out, _ = run("map", "jobs.py:many", "rows.txt", "--executor", "process", "--batch", "4", "-j", "2")
    assert code == 0
    assert [row["value"][0] for row in lines(out)] == [4, 4, 4, 4, 2, 2]
    _, here, _ = run("map", "jobs.py:many", "rows.txt", "--batch", "4")
    assert not {row["value"][1] for row in lines(here)} & {row["value"][1] for row in lines(out)}


def test_the_blocking_steps_of_a_flow_are_made_there() -> None:
    code, out, _ = run("map", "jobs.py:flow", "rows.txt", "--executor", "process", "-j", "2")
    assert code == 0
    values = [row["value"] for row in lines(out)]
    assert len(values) == 6
    assert all(value["loop"] == value["thread"] != value["there"] for value in values)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["jobs.py:later"], b"later() is async, and --executor process makes blocking calls"),
        (["jobs.py:waits"], b"no step of waits is left to --executor: each is async, or says where it is made"),
    ],
)
def test_what_cannot_be_made_elsewhere_is_refused(arguments: list[str], said: bytes) -> None:
    target, *rest = arguments
    code, _, err = run("map", target, "rows.txt", "--executor", "process", *rest)
    assert code == 2
    assert said in err
