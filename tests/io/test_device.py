"""A FIFO that nobody reads holds nobody up for ever: it is given some time, and can be left meanwhile."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
import time
from pathlib import Path

import pytest

import whilst
from whilst.io import device

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    return str(path)


def same(item: int) -> int:
    return item


def test_a_reader_that_comes_late_gets_everything(fifo: str) -> None:
    read: list[str] = []

    def reader() -> None:
        time.sleep(0.2)
        with open(fifo, encoding="utf-8") as file:
            read.append(file.read())

    thread = threading.Thread(target=reader)
    thread.start()
    whilst.map(same, range(3)).write(fifo)
    thread.join(20)
    assert [line.count("value") for line in read[0].splitlines()] == [1, 1, 1]
    assert stat.S_ISFIFO(os.stat(fifo).st_mode)


def test_one_that_nobody_reads_is_given_up(fifo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "READER", 0.2)
    called: list[int] = []
    with pytest.raises(OSError, match=r"nobody has opened this FIFO for reading in 0.2 s"):
        whilst.map(called.append, range(3)).write(fifo)
    assert called == []


def test_a_cancelled_task_is_not_held_up_by_it(fifo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "READER", 2.0)

    async def main() -> None:
        task = asyncio.create_task(whilst.map(same, range(3)).awrite(fifo))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, OSError)):
            await task

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < 20
