"""mypy and pyright understand every flow of `right_flows.py` and find each mistake of `wrong_flows.py`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RIGHT, WRONG = Path(__file__).parent / "right_flows.py", Path(__file__).parent / "wrong_flows.py"
Checker = Callable[[Path, Path], set[int]]

pytestmark = [pytest.mark.slow, pytest.mark.once, pytest.mark.timeout(300)]


def lines_with_mistakes() -> set[int]:
    """Return the numbers of the lines of which each is one: those behind the definitions."""
    lines = WRONG.read_text("utf-8").splitlines()
    begin = lines.index("flow = whilst.sequence(load, fetch)") + 1
    return set(range(begin + 1, len(lines) + 1))


def by_mypy(file: Path, folder: Path) -> set[int]:
    """Return the lines in which mypy finds something wrong in a copy of a file."""
    shutil.copy(file, folder)
    options = ["--strict", "--config-file=", "--python-version=3.11", f"--cache-dir={ROOT / '.mypy_cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, file.name], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {int(line) for line in re.findall(rf"^{re.escape(file.name)}:(\d+): error: ", done.stdout, re.M)}


def by_pyright(file: Path, folder: Path) -> set[int]:
    """Return the lines in which pyright does."""
    shutil.copy(file, folder)
    settings = {"include": [file.name], "typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    answer = json.loads(done.stdout[done.stdout.index("{") :])
    assert answer["summary"]["filesAnalyzed"] == 1
    return {it["range"]["start"]["line"] + 1 for it in answer["generalDiagnostics"] if it["severity"] == "error"}


def test_there_are_twenty_of_each() -> None:
    assert len(lines_with_mistakes()) >= 20
    assert RIGHT.read_text("utf-8").count("assert_type(whilst.") >= 20


@pytest.mark.parametrize("checker", [by_mypy, by_pyright])
def test_flows_that_fit_are_understood(checker: Checker, tmp_path: Path) -> None:
    assert checker(RIGHT, tmp_path) == set()


@pytest.mark.parametrize("checker", [by_mypy, by_pyright])
def test_each_mistake_is_found(checker: Checker, tmp_path: Path) -> None:
    assert checker(WRONG, tmp_path) == lines_with_mistakes()
