"""The pytest plugin: a test that holds the loop fails with the line; nothing happens unless it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from doctorkit import PATIENCE, doctor

pytestmark = pytest.mark.slow

TESTS = """
import asyncio, time
import pytest

def test_blocks():
    async def main():
        time.sleep(0.15)
        await asyncio.sleep(0)
    asyncio.run(main())

@pytest.mark.no_blocking
def test_marked():
    test_blocks()

@pytest.mark.no_blocking(threshold=1.0)
def test_marked_with_a_threshold():
    test_blocks()

def test_fine():
    asyncio.run(asyncio.sleep(0.01))
    time.sleep(0.15)  # holds no loop

def test_fails_by_itself():
    test_blocks()
    assert 1 == 2
"""


def pytest_run(folder: Path, *arguments: str) -> str:
    (folder / "test_them.py").write_text(TESTS)
    plugin = [] if is_installed() else ["-p", "whilst.doctoring.plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-q", *plugin, *arguments, "test_them.py"],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    return done.stdout + done.stderr


def is_installed() -> bool:
    """Whether the entry point is known; an editable install that is older than it does not have it."""
    from importlib.metadata import entry_points

    return any(it.value == "whilst.doctoring.plugin" for it in entry_points(group="pytest11"))


def outcome(text: str, name: str) -> str:
    return next(line.split()[0] for line in text.splitlines() if line.endswith(f"::{name}") or f"::{name} - " in line)


def test_only_a_marked_test_is_looked_at_where_nobody_asked(tmp_path: Path) -> None:
    text = pytest_run(tmp_path, "--strict-markers")
    assert outcome(text, "test_blocks") == "PASSED"
    assert outcome(text, "test_marked") == "FAILED"
    assert "test_them.py line 7, in main: time.sleep held the loop" in text
    assert "await asyncio.sleep(0.15)" in text
    assert outcome(text, "test_marked_with_a_threshold") == "PASSED"


def test_asked_for_it_looks_at_all_and_a_tests_own_failure_comes_first(tmp_path: Path) -> None:
    text = pytest_run(tmp_path, "--whilst-doctor")
    assert outcome(text, "test_blocks") == outcome(text, "test_marked") == "FAILED"
    assert outcome(text, "test_fine") == "PASSED"
    assert outcome(text, "test_fails_by_itself") == "FAILED"
    assert "assert 1 == 2" in text


def test_the_threshold_is_an_option_and_a_wrong_one_is_said_before_any_test(tmp_path: Path) -> None:
    text = pytest_run(tmp_path, "--whilst-doctor", "--whilst-doctor-threshold", "2s")
    assert outcome(text, "test_blocks") == "PASSED"
    text = pytest_run(tmp_path, "--whilst-doctor-threshold", "soon")
    assert "ERROR: --whilst-doctor-threshold must be a time such as 50ms or 0.2s, got 'soon'" in text


def test_where_it_is_not_asked_for_it_loads_nothing() -> None:
    code = "import sys, pytest; before = set(sys.modules); import whilst.doctoring.plugin\n"
    code += "print(sorted(it for it in set(sys.modules) - before if 'whilst' in it or it == 'asyncio'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "['whilst', 'whilst.doctoring', 'whilst.doctoring.plugin']\n"


def test_the_doctor_has_pytest_warn_of_no_more_than_without_it(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one(): pass\n")
    arguments = ["-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_one.py"]
    done = doctor(*arguments, cwd=tmp_path)
    assert (done.code, "1 passed in " in done.out, "warning" in done.out) == (0, True, False), done.out + done.err
