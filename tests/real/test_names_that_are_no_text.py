"""Names of files that are no text, as other systems and older disks leave them, in all that writes a name down."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import commandkit
import pytest

from whilst.journal import read_header

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="its file systems have no such names")

ODD = os.fsdecode(b"od\xff")  # Latin-1, in a folder that speaks UTF-8


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / ODD
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / f"{ODD}.py").write_text("def up(text):\n    return text.upper()\n")
    (folder / "in.txt").write_text("a\nb\n")
    return folder


def done(*arguments: str) -> str:
    code, out, err = commandkit.run(*arguments)
    assert (code, b"Traceback" in err) == (0, False), err
    return out.decode("utf-8", "replace")


def test_a_resumed_command_means_the_files_that_it_meant_before(here: Path) -> None:
    out, journal = f"{ODD}.jsonl", here.parent / "run.db"
    done("map", f"{ODD}.py:up", "in.txt", "-o", out, "--journal", str(journal), "--summary", "summary.json")
    assert (here / out).exists()
    assert json.loads((here / "summary.json").read_text())["out"] == out
    (here / out).unlink()
    there = set(here.iterdir())
    done("resume", str(journal))
    assert set(here.iterdir()) - there == {here / out}
    command = read_header(journal).command
    assert command is not None
    assert (command.argv[3:5], command.cwd) == (("-o", out), str(here))
    told = json.loads(done("status", str(journal), "--json"))  # which no name of a file can be
    assert told["command"]["argv"][4] == r"od\xff.jsonl"
    assert done("export", str(journal)).count("\n") == 2


def test_a_program_of_such_a_name_is_known_again(here: Path) -> None:
    journal = str(here.parent / "run.db")
    done("map", f"{ODD}.py:up", "in.txt", "--journal", journal)
    code, _, err = commandkit.run("map", f"{ODD}.py:up", "in.txt", "--journal", journal)
    assert (code, b"2 of them from the journal" in err) == (0, True)
    (here / f"{ODD}.py").write_text("def up(text):\n    return text.upper() * 2\n")
    code, _, err = commandkit.run("map", f"{ODD}.py:up", "in.txt", "--journal", journal)
    assert (code, b"changed since run.db was written" in err) == (4, True)


def test_traces_and_reports_have_such_names(here: Path) -> None:
    done("map", f"{ODD}.py:up", "in.txt", "-o", "out.jsonl", "--trace", f"{ODD}.trace")
    done("report", f"{ODD}.trace")
    assert (here / f"{ODD}.html").exists()
