"""A row of many megabytes is written piece by piece: whole or not at all, and read and rescued as any other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import whilst
from whilst.journal import rescue
from whilst.journal.frame import LARGE, OUTCOMES, Batch, Last, checked, framed, packed
from whilst.journal.store import Store

SIZE = 3 * LARGE
PROGRAM = """
import sys, whilst
def large(n):
    return chr(97 + n) * 20_000_000
print(len(whilst.map(large, range(4), concurrency=1, journal=sys.argv[1]).list()))
"""


def large(n: int) -> str:
    return chr(97 + n) * SIZE


def test_a_large_value_comes_back_and_can_be_rescued(tmp_path: Path) -> None:
    first = whilst.map(large, range(3), journal=tmp_path / "run.db").list()
    with whilst.map(large, range(3), journal=tmp_path / "run.db") as again:
        assert list(again) == first
        assert again.summary().recalled == 3
    assert rescue(tmp_path / "run.db", tmp_path / "rescued.db") == 3
    with whilst.map(large, range(3), journal=tmp_path / "rescued.db") as rescued:
        assert list(rescued) == first
        assert rescued.summary().recalled == 3


def test_of_a_large_row_that_fails_there_is_nothing(tmp_path: Path) -> None:
    batch = Batch([1], [2], [b"1"], [b'"' + b"x" * SIZE + b'"'], [1], [0.5], [0.25], 1000.0)
    pieces, last = framed(b"12345678", Last(), OUTCOMES, 1, packed(batch))
    broken = [*pieces[:-1], "no bytes" + "x" * (len(pieces[-1]) - 8)]
    store = Store(str(tmp_path / "run.db"), exists=False)
    with pytest.raises(TypeError):
        store.append(last.n, broken)  # type: ignore[arg-type]
    assert list(store.frames()) == []
    store.append(last.n, pieces)
    ((n, frame),) = store.frames()
    store.close()
    assert n == last.n
    assert checked(frame) is not None


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_kill_amid_large_rows_leaves_whole_ones(tmp_path: Path) -> None:
    command, log = [sys.executable, "-c", PROGRAM, str(tmp_path / "run.db")], tmp_path / "run.db-wal"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (log.exists() and log.stat().st_size > 10_000_000):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout == "4\n"
    assert "damaged" not in done.stderr
