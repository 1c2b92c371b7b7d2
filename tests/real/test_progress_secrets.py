"""No secret is in the line of progress, nor in the words that it leaves behind, whoever said it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from screen import Pty

import whilst

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
from canaries import CANARY, TEXTS


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown_by(monkeypatch: pytest.MonkeyPatch, fn: object, text: str, **policies: object) -> str:
    """Return all that a run wrote to a terminal."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "400")
    run = whilst.map(fn, [text] * 3, concurrency=1, progress=True, stop_after="100%", **policies)  # type: ignore[call-overload]
    with run:
        for _ in run.outcomes():
            pass
    written = terminal.getvalue()
    assert " 3" in written
    return written


def refuse(text: str) -> None:
    raise whilst.Throttled(text, retry_after=0.12)


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS[::4], ids=range(len(TEXTS[::4])))
def test_what_another_side_said_is_shown_without_secrets(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = shown_by(monkeypatch, refuse, text)
    assert "paused" in written or "Throttled" in written
    assert CANARY not in written


@pytest.mark.parametrize("text", TEXTS[::9], ids=range(len(TEXTS[::9])))
def test_the_name_of_a_run_is_shown_without_secrets(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CANARY not in shown_by(monkeypatch, lambda item: None, text, name=text)


def test_the_line_of_the_command_shows_none(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "import time, whilst\n"
        "def check(line):\n"
        "    time.sleep(0.1)\n"
        f"    raise whilst.Throttled('no: https://me:{CANARY}@host.example/?key={CANARY}', retry_after=0.3)\n"
    )
    (tmp_path / "in.txt").write_text(f"https://host.example/?token={CANARY}\n" * 8)
    command = [
        sys.executable,
        "-m",
        "whilst",
        "map",
        "jobs.py:check",
        "in.txt",
        "--progress",
        "-j",
        "1",
        "-o",
        "out.jsonl",
    ]
    with Pty(command, columns=300, cwd=tmp_path) as terminal:
        assert terminal.end() == 1
        assert "failed" in terminal.written
        assert CANARY not in terminal.written
