"""For every test of the journal: nothing goes wrong in silence, and no file stays open."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

FILES = Path("/proc/self/fd")


def open_files(under: Path) -> list[str]:
    """Return the files below a directory that this process has open."""
    found = []
    for fd in FILES.iterdir() if FILES.exists() else ():
        try:
            target = os.readlink(fd)
        except OSError:
            continue
        if target.startswith(f"{under}{os.sep}"):
            found.append(target)
    return found


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """Give a directory where a sync costs nothing, for tests that open thousands of journals."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="whilst-test-", dir=memory) as directory:
        yield Path(directory)
        assert open_files(Path(directory)) == []


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert open_files(tmp_path) == []
    assert not list(tmp_path.rglob("*.lock"))
    errors = [r.getMessage() for r in caplog.get_records("call") if r.name == "asyncio" and r.levelno >= logging.ERROR]
    assert errors == []
