"""The last lines of `whilst get` say that uvloop is missing, where it could be there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from answers import answering

pytest.importorskip("pyreqwest")
RUN = "import sys; {hidden}; from whilst.cli.main import run; sys.exit(run(sys.argv[1:]))"


def said(folder: Path, hidden: str, *options: str) -> str:
    with answering(lambda path: b"{}") as url:
        done = subprocess.run(
            [sys.executable, "-c", RUN.format(hidden=hidden), "get", f"{url}/a", "-o", "out.jsonl", *options],
            cwd=folder, capture_output=True, text=True, timeout=50, check=True,
        )  # fmt: skip
    return done.stderr


def test_a_missing_uvloop_is_told(tmp_path: Path) -> None:
    told = said(tmp_path, "sys.modules['uvloop'] = None", "--advice", "on")
    assert "uvloop is not installed" in told
    assert "whilst[http]" in told


def test_nothing_is_told_where_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("uvloop")
    assert "uvloop" not in said(tmp_path, "pass", "--advice", "on")


def test_it_is_not_told_to_who_wants_no_advice(tmp_path: Path) -> None:
    assert "uvloop" not in said(tmp_path, "sys.modules['uvloop'] = None", "--advice", "off")
