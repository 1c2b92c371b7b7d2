"""`--log text|json`: what happens in a run, on stderr, a line an event."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from commandkit import run as run_command

JOBS = """\
import os
import whilst

def flaky(x):
    if not os.path.exists(x):
        open(x, "w").close()
        raise ConnectionError("https://me:pa55word@example.org/ has hung up")
    return x

async def refuses(x):
    raise ValueError(x)

flow = whilst.step(flaky, retry=3)
"""


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs.py").write_text(JOBS)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, stdin: str = "") -> Done:
    code, out, said = run_command(*arguments, stdin=stdin.encode())
    return Done(code, out.decode(), said.decode())


def test_json_has_a_line_for_each_event_with_its_attributes() -> None:
    done = run("map", "jobs.py:flaky", "-", "--log", "json", "--retry", "3", "-q", stdin="a\n")
    assert json.loads(done.stdout)["value"] == "a"
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events] == ["run_started", "attempt_failed", "run_ended"]
    failed = events[1]
    assert (failed["level"], failed["index"], failed["attempt"], failed["kind"]) == ("info", 0, 1, "ConnectionError")
    assert failed["run"] == "flaky"
    assert failed["wait"] > 0
    assert re.match(r"\d{4}-\d\d-\d\dT", failed["time"])
    assert "pa55word" not in done.stderr
    assert (events[2]["ok"], events[2]["failed"], events[2]["why"]) == (1, 0, "")


def test_text_is_for_people() -> None:
    done = run("map", "jobs.py:flaky", "-", "--log", "text", "--retry", "3", "-q", stdin="a\n")
    started, failed, ended = done.stderr.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\dZ debug flaky: started.*", started)
    assert re.fullmatch(r"\d\d:\d\d:\d\dZ info flaky: attempt 1 of input 0 \('a'\) failed .*; again in .* s", failed)
    assert re.fullmatch(r"\d\d:\d\d:\d\dZ debug flaky: ended, 1 ok, 0 failed, .* s", ended)


def test_an_early_end_is_a_warning() -> None:
    done = run("map", "jobs.py:refuses", "-", "--log", "json", "--stop-after", "2", "-j", "1", stdin="a\nb\nc\n")
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert events[-1]["event"] == "run_ended"
    assert events[-1]["level"] == "warning"
    assert events[-1]["why"].startswith("Stopped: ")
    assert done.returncode == 3


def test_run_says_what_happens_to_the_steps_of_a_flow() -> None:
    done = run("run", "jobs.py:flow", "--value", '"b"', "--log", "json", "-q")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    failed = next(event for event in events if event["event"] == "attempt_failed")
    assert (failed["path"], failed["attempt"]) == ("step", 1)
    assert done.stdout == '"b"\n'


def test_another_word_is_refused() -> None:
    done = run("map", "jobs.py:flaky", "-", "--log", "yaml", stdin="a\n")
    assert done.returncode == 2
    assert "text" in done.stderr
    assert "json" in done.stderr
