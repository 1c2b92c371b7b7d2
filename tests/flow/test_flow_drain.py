"""A drained pipeline starts nothing new, and what is in flight flows through its last stage."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flowkit import PATIENCE

import whilst
from whilst import batched, each, flatten, sequence

END = 400  # items that a source has, of which a drain takes a few


def a_list() -> Any:
    return list(range(END))


def a_generator() -> Iterator[int]:
    yield from range(END)


async def an_async_generator() -> AsyncIterator[int]:
    for item in range(END):
        await asyncio.sleep(0)
        yield item


class Calls:
    """What a stage was called with, and what came out of it; the seventh call tells the run to drain."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.stored: list[Any] = []
        self.run: Any = None

    async def load(self, item: int) -> int:
        self.begun.append(item)
        if len(self.begun) == 7:
            self.run.drain()
        await asyncio.sleep(0.001)
        return item

    async def store(self, batch: list[int]) -> int:
        await asyncio.sleep(0.001)
        self.stored += batch
        return len(batch)


SOURCES = [a_list, a_generator, an_async_generator]


def shapes(calls: Calls) -> dict[str, Any]:
    """Pipelines whose first calls are those of `load`, and the last ones those of `store`."""
    load = each(calls.load, concurrency=4)
    store = each(calls.store, concurrency=2)
    return {
        "batched": (load, batched(3), store),
        "by time": (load, batched(1000, within=60.0), store),
        "a stage between": (load, each(str, executor="thread"), each(int), batched(5), store),
        "a list between": (load, sorted, batched(2), store),
        "flattened": (load, each(lambda n: [n, n]), flatten(), each(abs), batched(4), store),
        "ends in batches": (load, each(lambda n: calls.store([n])), batched(3)),
    }


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("shape", list(shapes(Calls())))
@pytest.mark.parametrize("colour", ["plain", "async"])
def test_what_was_called_flows_through_and_nothing_else_is(source: Callable[[], Any], shape: str, colour: str) -> None:
    calls = Calls()
    calls.run = sequence(source, *shapes(calls)[shape]).stream()

    async def take() -> list[Any]:
        return [value async for value in calls.run]

    values = calls.run.list() if colour == "plain" else asyncio.run(take())
    assert 7 <= len(calls.begun) <= 7 + 8  # what was let through before the loop heard of it
    assert sorted(set(calls.stored)) == sorted(calls.begun)
    assert values
    assert calls.run.summary().stopping


@pytest.mark.parametrize("within", [None, 60.0])
@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_a_partial_batch_goes_out_although_the_source_stands_still(within: float | None, colour: str) -> None:
    run: Any = None
    stays, come = threading.Event(), 0

    def blocking() -> Iterator[int]:
        yield from range(5)
        run.drain()
        stays.wait(PATIENCE)

    async def slow() -> AsyncIterator[int]:
        for item in range(5):
            yield item
        run.drain()
        await asyncio.sleep(PATIENCE * 10)

    def store(batch: list[int]) -> list[int]:
        nonlocal come
        come += len(batch)
        return batch

    source = blocking if colour == "blocking" else slow
    run = sequence(source, batched(3, within=within), each(store)).stream()
    try:
        taken = run.list()
    finally:
        stays.set()
    if colour == "async":
        assert taken == [[0, 1, 2], [3, 4]]
    else:  # the drain may come while items wait for the loop, and those have not been called
        assert [n for batch in taken for n in batch] == list(range(come))


def test_a_drain_while_the_source_is_made_reads_nothing_of_it() -> None:
    run: Any = None
    called: list[int] = []

    async def pages() -> list[int]:
        run.drain()
        await asyncio.sleep(0.01)
        return [1, 2, 3]

    run = sequence(pages, each(called.append), batched(2)).stream()
    assert run.list() == []
    run = sequence(pages, each(called.append)).stream()
    assert run.list() == []
    assert called == []


def test_a_drain_before_the_start_and_a_second_one_are_the_same() -> None:
    run = sequence(range, each(str), batched(2)).stream(10)
    run.drain()
    run.drain()
    assert run.list() == []


def test_a_pipeline_of_one_input_in_flight_is_finished_whole() -> None:
    run: Any = None

    async def load(item: int) -> int:
        if item == 3:
            run.drain()
        await asyncio.sleep(0)
        return item

    run = whilst.map(sequence(range, each(load, concurrency=2), batched(4)), [10], concurrency=1)
    assert run.list() == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]]


PROGRAM = """
import asyncio, itertools
from whilst import batched, each, sequence

async def load(n):
    with open("called", "a") as file:
        file.write(f"{n}\\n")
    await asyncio.sleep(0.02)
    return n

async def store(batch):
    await asyncio.sleep(0.02)
    with open("stored", "a") as file:
        file.writelines(f"{n}\\n" for n in batch)
    return len(batch)

def numbers():
    return itertools.count()

flow = sequence(numbers, each(load, concurrency=4), batched(50), each(store))
"""


def test_a_signal_loses_nothing_of_a_pipeline_that_the_command_line_runs(tmp_path: Path) -> None:
    (tmp_path / "pipe.py").write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, "-m", "whilst", "run", "pipe:flow"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    ) as process:
        called = tmp_path / "called"
        for _ in itertools.repeat(None, 3000):
            if called.exists() and len(called.read_text().split()) >= 7:
                break
            assert process.poll() is None, process.stderr.read() if process.stderr is not None else ""
            threading.Event().wait(0.01)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert sorted((tmp_path / "stored").read_text().split()) == sorted(called.read_text().split())
