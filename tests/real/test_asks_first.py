"""What is asked first is asked on the terminal: yes goes on, anything else changes nothing and calls nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from screen import Pty

from answers import answering
from whilst.io.jsonl import json_text

pytest.importorskip("pyreqwest")
WHILST = (sys.executable, "-m", "whilst")


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    def answer(path: str) -> bytes:
        asked.append(path)
        return json_text({"path": path})

    with answering(answer) as url:
        yield url, asked


def answered(command: list[str], question: str, answer: str, folder: Path) -> tuple[int, str]:
    """Run a command on a terminal, answer its question, and return its exit code and what was shown."""
    with Pty([*WHILST, *command], typed=True, columns=200, cwd=folder) as terminal:
        terminal.read_until(lambda: question in terminal.written)
        assert question in terminal.written
        terminal.type(answer)
        return terminal.end(), terminal.written


@pytest.mark.parametrize(("answer", "count"), [("y\n", 3), ("Yes\n", 3), ("n\n", 0), ("\n", 0)])
def test_the_same_request_for_every_row(answer: str, count: int, server: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = server
    (tmp_path / "rows.txt").write_text("a\nb\nc\n")
    code, shown = answered(
        ["get", "rows.txt", "--url", f"{url}/same", "-o", "out.jsonl"], "ask for it once a row?", answer, tmp_path
    )
    assert f"every row of rows.txt would ask for the same: GET {url}/same" in shown
    assert "[y/N]" in shown
    assert len(asked) == count
    assert (tmp_path / "out.jsonl").exists() == bool(count)
    assert code == (0 if count else 2), shown
    assert "try: --url" in shown or count


def test_who_ends_the_input_at_the_question_says_no(server: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = server
    (tmp_path / "rows.txt").write_text("a\nb\n")
    code, shown = answered(["get", "rows.txt", "--url", f"{url}/same"], "ask for it once a row?", "\x04", tmp_path)
    assert (code, asked) == (2, []), (code, shown)
    assert "try: --url" in shown


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("n\n", False), ("\n", False), ("\x04", False)])
def test_a_journal_of_another_folder(answer: str, goes_on: bool, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "jobs.py").write_text(
        "import os\ndef check(line):\n    open('called', 'a').write(line)\n"
        "    if line == 'b' and not os.path.exists('well'):\n        raise ValueError(line)\n    return line\n"
    )
    (there / "in.txt").write_text("a\nb\n")
    with Pty(
        [*WHILST, "map", "jobs.py:check", "in.txt", "--journal", "run.db", "-o", "out.jsonl", "--overwrite"], cwd=there
    ) as first:
        assert first.end() == 1
    (there / "well").touch()
    os.truncate(there / "called", 0)
    code, shown = answered(["resume", "there/run.db"], "run it?", answer, tmp_path)
    assert "this is not the current directory" in shown
    assert (there / "called").read_text() == ("b" if goes_on else "")
    assert code == (0 if goes_on else 2), shown
    assert ("there is not the current directory" in shown) is not goes_on
    assert ("try: whilst resume there/run.db --yes, if you know that code" in shown) is not goes_on
