"""`whilst report`, `--trace`: what the command line makes of a recording, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whilst.cli.main import run

JOBS = "def check(text):\n    if text == '7':\n        raise ValueError('no')\n    return int(text)\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "in.txt").write_text("".join(f"{number}\n" for number in range(20)))
    return tmp_path


def recorded(*more: str) -> int:
    return run(["map", "jobs.py:check", "in.txt", "-o", "out.jsonl", "--overwrite", "--trace", "run.trace", *more])


def test_a_command_is_recorded_and_shown(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert recorded() == 1
    assert "see it: whilst report run.trace" in capfd.readouterr().err
    assert run(["report", "run.trace"]) == 0
    out, err = capfd.readouterr()
    assert out == "run.html\n"
    assert "open it: " in err
    text = (folder / "run.html").read_text()
    assert "ValueError" in text
    assert "19</b> ok" in text


def test_quiet_says_nothing_of_it(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recorded("-q")
    assert "see it" not in capfd.readouterr().err


def test_a_flow_that_runs_once_is_recorded_too(folder: Path) -> None:
    assert run(["run", "jobs.py:check", "--value", '"3"', "-o", "out.jsonl", "--trace", "one.trace"]) == 0
    assert run(["report", "one.trace", "-o", "one.json"]) == 0
    assert json.loads((folder / "one.json").read_text())["count"] == 1


@pytest.mark.parametrize(
    ("name", "form"), [("x.json", None), ("x.chrome.json.gz", None), ("x.out", "chrome"), ("y", "json")]
)
def test_each_form(folder: Path, name: str, form: str | None) -> None:
    recorded()
    assert run(["report", "run.trace", "-o", name, *(["--as", form] if form else [])]) == 0
    assert (folder / name).stat().st_size > 100
    assert run(["report", "run.trace", "-o", name, *(["--as", form] if form else [])]) == 0, "a report is replaced"


def test_of_a_journal(folder: Path) -> None:
    assert run(["map", "jobs.py:check", "in.txt", "-o", "out.jsonl", "--journal", "run.db"]) == 1
    assert run(["report", "run.db", "-o", "run.json"]) == 0
    found = json.loads((folder / "run.json").read_text())
    assert {call["input"] for call in found["calls"]} >= {"3", "19"}


def test_of_a_trace_with_its_journal(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert recorded("--journal", "run.db") == 1
    assert run(["report", "run.trace", "--journal", "run.db", "-o", "run.json"]) == 0
    found = json.loads((folder / "run.json").read_text())
    assert [(call["index"], call["input"]) for call in found["calls"]] == [(n, str(n)) for n in range(20)]
    assert run(["report", "run.db", "--journal", "run.db", "-o", "run.json"]) == 2
    assert "run.db is a journal itself, and has its inputs\n  try: whilst report run.db" in capfd.readouterr().err
    assert run(["report", "run.trace", "--journal", "no.db"]) == 4
    assert "there is no journal at" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["nowhere.trace"], "there is no trace or journal at nowhere.trace\n  try: the FILE of your --trace FILE"),
        (["jobs.py"], "jobs.py is neither a trace nor a journal"),
        (["run.trace", "-o", "run.pdf"], "run.pdf: its ending names no form of a report\n  try: -o run.html"),
        (["run.trace", "-o", "jobs.py", "--as", "html"], "jobs.py is there, and is not a report\n  it is not replaced"),
        (["run.trace", "-o", "no/run.html"], "there is no directory"),
        (["run.trace", "-o", "run.trace", "--as", "json"], "run.trace is the input of the report"),
    ],
)
def test_what_cannot_be_meant(folder: Path, capfd: pytest.CaptureFixture[str], given: list[str], said: str) -> None:
    recorded()
    capfd.readouterr()
    assert run(["report", *given]) == 2
    assert said in capfd.readouterr().err
    assert (folder / "jobs.py").read_text() == JOBS


def test_overwrite_replaces_anything(folder: Path) -> None:
    recorded()
    (folder / "page").write_text("mine")
    assert run(["report", "run.trace", "-o", "page", "--as", "html", "--overwrite"]) == 0
    assert "whilst</title>" in (folder / "page").read_text()


def test_a_trace_that_is_no_file_is_refused_in_flags(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["map", "jobs.py:check", "in.txt", "-o", "o.jsonl", "--trace", "jobs.py"]) == 2
    assert "jobs.py is there, and is not a trace of whilst" in capfd.readouterr().err
    assert not (folder / "o.jsonl").exists()
