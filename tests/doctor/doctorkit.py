"""Programs under the doctor: run in processes of their own, and what was found there."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "real"))
import commandkit

UTF8 = {"PYTHONIOENCODING": "utf-8"}
PROGRAMS = Path(__file__).parent / "programs"
DOCTOR = [sys.executable, "-W", "error", "-m", "whilst.cli.main", "doctor"]
PATIENCE = 50  # seconds for one program
AT_ONCE = 14  # programs in one process


@dataclass
class Done:
    """How a program ended, and what the doctor said behind what it said itself."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        line = self.err.strip().splitlines()[-1]
        found: dict[str, Any] = json.loads(line)
        return found

    @property
    def findings(self) -> list[dict[str, Any]]:
        return list(self.document["findings"])


def doctor(*arguments: object, cwd: Path | None = None, stdin: str = "") -> Done:
    """Run a program under the doctor, in a process that has loaded the command line already."""
    with contextlib.chdir(cwd or Path.cwd()):
        code, out, err = commandkit.run("doctor", *map(str, arguments), stdin=stdin.encode(), env=UTF8)
    return Done(code, out.decode(), err.decode())


def plainly(*arguments: object, cwd: Path | None = None, stdin: str = "") -> Done:
    """Run the same without the doctor."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        input=stdin,
        cwd=cwd,
        env={**os.environ, **UTF8},
        timeout=PATIENCE,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def run_all(paths: Sequence[Path], report: Path) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Run programs one after the other under the doctor; return what it found, and the seconds each took."""
    findings: list[dict[str, Any]] = []
    took: dict[str, float] = {}
    for some in batched(paths, AT_ONCE):
        done = doctor("--json", PROGRAMS / "run_all.py", report, *some)
        assert done.code == 0, done.err
        findings += done.findings
        took |= json.loads(report.read_text())
    return findings, took


def batched(paths: Sequence[Path], size: int) -> list[Sequence[Path]]:
    """Divide paths, so that a few of them never take too long together."""
    return [paths[start : start + size] for start in range(0, len(paths), size)]


def marked(path: Path, mark: str) -> int:
    """Return the line of a program that ends in `# mark`."""
    lines = path.read_text().splitlines()
    found = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {mark}")]
    assert len(found) == 1, f"{path.name}: {mark} {found}"
    return found[0]
