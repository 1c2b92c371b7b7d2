"""`whilst plan` and `whilst run` for real: processes, pipes, exit codes, files, signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commandkit import WHILST, run
from test_cli_map import wait_for_lines

JOBS = """\
import asyncio, os, time
import whilst
def size(x):
    return len(x)
async def shout(x):
    return x.upper()
def boom(x):
    raise ValueError("no such user")
def two(a, b):
    return a
def here(path="jobs.db"):
    return path
async def seven():
    return 7
def gate(x):
    with open("entered", "a") as file:
        file.write(f"{x}\\n")
    while not os.path.exists("open"):
        time.sleep(0.01)
    return x
def stuck(x):
    gate(x)
    time.sleep(600)
async def slow(x):
    gate_file = open("entered", "a")
    with gate_file as file:
        file.write(f"{x}\\n")
    await asyncio.sleep(0 if x < 2 else 600)
    return x
enrich = whilst.sequence(size, whilst.together(text=str, twice=lambda n: 2 * n))
words = whilst.sequence(str.split, whilst.each(shout))
broken = whilst.sequence(shout, whilst.together(size=size, user=boom))
none_of_two = whilst.first(boom, whilst.sequence(size, boom))
alone = whilst.sequence(seven, whilst.together(text=str, again=seven))
odd = whilst.sequence(range, whilst.each(lambda i: object() if i == 2 else i))
gated = whilst.sequence(gate, str)
trickle = whilst.sequence(range, whilst.each(slow, concurrency=1))
endless = whilst.sequence(lambda: iter(int, 1), whilst.each(lambda x: x))
number = 5
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(JOBS)
    return tmp_path


def call(*arguments: str, stdin: str = "", **options: Any) -> tuple[int, str, str]:
    code, out, err = run(*arguments, stdin=stdin.encode(), **options)
    return code, out.decode(), err.decode()


def refused(*arguments: str, **options: Any) -> list[str]:
    """Call what is a usage error; return its message, a fact, evidence, and what to try."""
    code, out, err = call(*arguments, **options)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[0].startswith("error: ")
    assert lines[-1].startswith("  try: ")
    return lines


# plan --------------------------------------------------------------------------------------------------------


def test_plan_prints_the_tree_and_runs_nothing(here: Path) -> None:
    assert call("plan", "jobs.py:enrich", env={**os.environ, "PYTHONIOENCODING": "utf-8"}) == (
        0,
        "sequence\n"
        "├─ size() · blocking, thread\n"
        "└─ together\n"
        "   ├─ text: str() · blocking, thread\n"
        "   └─ twice: <lambda>() · blocking, thread\n",
        "",
    )
    assert not (here / "entered").exists()


def test_plan_draws_mermaid_and_a_single_function(here: Path) -> None:
    code, out, _ = call("plan", "jobs:words", "--mermaid")
    assert code == 0
    assert out.startswith('flowchart TD\n    n0["sequence"]\n')
    assert call("plan", "jobs.py:shout")[:2] == (0, "shout() · async\n")


def test_plan_refuses_what_is_neither_flow_nor_function(here: Path) -> None:
    assert refused("plan", "jobs.py:number")[0] == "error: jobs.py:number is not a function"
    assert refused("plan", "jobs.py:enrch")[-1] == "  try: whilst plan jobs.py:enrich"
    assert refused("plan", "jobs.py:two")[0] == (
        "error: two(a, b) cannot be called with one positional argument or none"
    )


# run, once ---------------------------------------------------------------------------------------------------


def test_a_flow_runs_once_over_a_value(here: Path) -> None:
    code, out, err = call("run", "jobs.py:enrich", "--value", '"abc"')
    assert (code, json.loads(out)) == (0, {"text": "3", "twice": 6})
    assert err.startswith("done: 1 value written in ")
    assert call("run", "jobs:enrich", "--value", "[1]", "-q") == (0, '{"text":"1","twice":2}\n', "")


def test_what_takes_no_value_runs_without_one(here: Path) -> None:
    assert call("run", "jobs.py:alone", "-q") == (0, '{"text":"7","again":7}\n', "")
    assert call("run", "jobs.py:seven", "-q") == (0, "7\n", "")
    assert call("run", "jobs.py:here", "-q") == (0, '"jobs.db"\n', "")  # its own default, not None
    assert call("run", "jobs.py:here", "--value", "null", "-q") == (0, "null\n", "")


def test_what_needs_a_value_is_refused_without_one(here: Path) -> None:
    assert refused("run", "jobs.py:size") == [
        "error: size() needs a value, and none was given",
        "  jobs.py line 3",
        "  try: whilst run jobs.py:size --value JSON, or an INPUT of rows",
    ]
    assert refused("run", "jobs.py:words")[:2] == [
        "error: str.split() needs a value, and none was given",
        "  jobs.py:words begins with it",
    ]


def test_a_flow_that_ends_in_a_stage_gives_a_line_for_each_item(here: Path) -> None:
    code, out, err = call("run", "jobs.py:words", "--value", '"do something else"')
    assert (code, out) == (0, '"DO"\n"SOMETHING"\n"ELSE"\n')
    assert err.startswith("done: 3 values written in ")


def test_items_are_seen_while_later_ones_are_still_made(here: Path) -> None:
    with begun("jobs.py:trickle", "--value", "3") as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [b"0\n", b"1\n"]
        assert process.poll() is None


def test_a_failure_names_the_step_and_the_line_and_is_1(here: Path) -> None:
    code, out, err = call("run", "jobs.py:broken", "--value", '"ann"')
    assert (code, out) == (1, "")
    fact, where, count = err.splitlines()
    assert fact == "error: ValueError: no such user"
    assert where.startswith("  jobs.py line 8; step sequence[1].together.user (boom)")
    assert count.startswith("  0 values written in ")


def test_all_failures_of_a_first_are_shown(here: Path) -> None:
    code, _, err = call("run", "jobs.py:none_of_two", "--value", '"ann"')
    assert code == 1
    assert err.startswith("error: ExceptionGroup: all 2 branches of first failed")
    assert err.count("  ValueError: no such user (jobs.py line 8)\n") == 2


def test_what_cannot_be_json_ends_the_run_after_what_came_before(here: Path) -> None:
    code, out, err = call("run", "jobs.py:odd", "--value", "4")
    assert (code, out) == (1, "0\n1\n")
    assert err.startswith("error: value 3 cannot be written: ")


def test_the_deadline_is_3(here: Path) -> None:
    code, out, err = call("run", "jobs.py:gated", "--value", "1", "--deadline", "0.3")
    assert (code, out) == (3, "")
    assert err.startswith("stopped: gated: the deadline of 0.3 s passed\n  0 values written in ")
    assert "left behind, still inside: 1 x gate() (jobs.py line 15)" in err


def test_out_is_a_file_that_is_whole_or_not_there(here: Path) -> None:
    assert call("run", "jobs.py:words", "--value", '"a b"', "-o", "out.jsonl", "-q") == (0, "", "")
    assert (here / "out.jsonl").read_text() == '"A"\n"B"\n'
    assert refused("run", "jobs.py:words", "--value", '"c"', "-o", "out.jsonl")[0] == "error: out.jsonl exists"
    assert call("run", "jobs.py:words", "--value", '"c"', "-o", "out.jsonl", "--overwrite", "-q")[0] == 0
    assert (here / "out.jsonl").read_text() == '"C"\n'
    assert sorted(it.name for it in here.glob("*out*")) == ["out.jsonl"]


@pytest.mark.parametrize(
    ("value", "fact", "remedy"),
    [
        ("pikachu", "--value is not JSON: invalid character (byte 0)", "--value '\"pikachu\"' for text"),
        ("", "--value is not JSON: input data was truncated", "--value '\"\"' for text"),
        ("[1,", "--value is not JSON: input data was truncated", "--value '\"[1,\"' for text"),
        ("[" * 100_000, "--value is not JSON: nested too deep", ""),
    ],
)
def test_a_value_that_is_not_json_is_refused(here: Path, value: str, fact: str, remedy: str) -> None:
    lines = refused("run", "jobs.py:size", "--value", value)
    assert lines[0] == f"error: {fact}"
    assert remedy in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["jobs.py:number"], "jobs.py:number is not a function"),
        (["jobs.py:two", "--value", "1"], "two(a, b) cannot be called with one positional argument or none"),
        (["jobs.py:size", "--failed", "f.jsonl"], "--failed is for rows, and there is no INPUT"),
        (["jobs.py:size", "--value", "1", "--unordered"], "--unordered is for rows, and there is no INPUT"),
        (["jobs.py:size", "in.txt", "--value", "1"], "--value and INPUT cannot be given together"),
        (["jobs.py:size", "--value", "1", "-o", "out.csv"], "out.csv: one value is written as JSON"),
        (["jobs.py:size", "--valeu", "1"], "whilst run has no option --valeu"),
        (["nowhere.py:size", "--value", "1"], "there is no file nowhere.py"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(here: Path, arguments: list[str], fact: str) -> None:
    lines = refused("run", *arguments) if "nowhere" not in arguments[0] else call("run", *arguments)[2].splitlines()
    assert lines[0] == f"error: {fact}"
    assert "whilst map" not in "\n".join(lines)


# run, over rows ----------------------------------------------------------------------------------------------


def test_over_rows_it_is_map(here: Path) -> None:
    code, out, err = call("run", "jobs.py:enrich", "-", "-j", "4", stdin="a\nbb\n")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"input": "a", "value": {"text": "1", "twice": 2}},
        {"input": "bb", "value": {"text": "2", "twice": 4}},
    ]
    assert err.startswith("done: 2 ok in ")


def test_a_row_whose_flow_fails_is_1_and_a_valid_input_again(here: Path) -> None:
    (here / "names.txt").write_text("ann\nben\n")
    code, out, _ = call("run", "jobs.py:broken", "names.txt", "--failed", "failed.jsonl")
    assert (code, out) == (1, "")
    lines = [json.loads(line) for line in (here / "failed.jsonl").read_text().splitlines()]
    assert [(it["input"], it["error"]) for it in lines] == [(it, "ValueError: no such user") for it in ("ann", "ben")]
    assert call("run", "jobs.py:words", "failed.jsonl", "--values", "-q") == (0, '["ANN"]\n["BEN"]\n', "")


# signals -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def begun(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start, and make sure that it is gone afterwards."""
    with subprocess.Popen([*WHILST, "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_first_ctrl_c_lets_the_flow_end(here: Path) -> None:
    with begun("jobs.py:gated", "--value", "5") as process:
        wait_for_lines(here / "entered", 1, process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert b"nothing new is started" in process.stderr.readline()
        (here / "open").touch()
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (130, b'"5"\n')
        assert err.startswith(b"interrupted: 1 value written in ")


def test_the_second_ctrl_c_ends_it_soon(here: Path) -> None:
    with begun("jobs.py:stuck", "--value", "1") as process:
        wait_for_lines(here / "entered", 1, process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - start < 9  # SIGTERM gives ten seconds, and the call takes ten minutes
        assert (process.returncode, out) == (130, b"")
        assert err.startswith(b"interrupted: 0 values written in ")


def test_ctrl_c_ends_an_endless_stream_with_whole_lines(here: Path) -> None:
    with begun("jobs.py:endless", "-o", "out.jsonl") as process:
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up and not any(it.stat().st_size for it in here.glob("out.jsonl*")):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 130
        lines = (here / "out.jsonl").read_text().splitlines(keepends=True)
        assert lines
        assert set(lines) == {"0\n"}


def test_a_reader_that_has_enough_ends_it_silently(here: Path) -> None:
    with begun("jobs.py:endless") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(20) == 141
