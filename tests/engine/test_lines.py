"""The lines of a run's inputs: who is to ask for permits."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import tracemalloc
from collections import deque

import pytest

import whilst
from whilst.engine.asking import Asking
from whilst.engine.lines import Line, Lines
from whilst.engine.slots import Slots
from whilst.limit.acquirer import Acquirer
from whilst.limit.limit import state_of


@pytest.fixture
def limit() -> whilst.Limit:
    return whilst.Limit(concurrency=1)


@pytest.fixture
def lines(limit: whilst.Limit) -> Lines:
    loop = asyncio.new_event_loop()
    loop.close()  # nothing is called on it here
    return Lines(
        (state_of(limit),),
        deque(),
        Slots(4),
        loop=loop,
        clock=lambda: 0.0,
        inside=(),
        granted=lambda line, count: None,
        stuck=lambda error: None,
        asking=Asking(loop, contextvars.copy_context()),
    )


def asks(lines: Lines, line: Line) -> int:
    """Return how often the line stands among those that shall ask, after it was told to."""
    lines.get_ready(line)
    return lines.ready.count(line)


def test_a_line_is_calm_unless_somebody_else_waits_or_its_limit_stands_still(limit: whilst.Limit, lines: Lines) -> None:
    line = lines.of("input")
    assert line.acquirer.take_now(1) == 1
    assert line.is_calm() is True
    other = Acquirer((state_of(limit),), None, loop=None, wake=lambda: None)
    other.ask(1)
    assert line.is_calm() is False
    other.give_up()
    line.look_again()
    assert line.is_calm() is True
    limit.pause()
    assert line.is_calm() is False


def test_a_line_shall_ask_once_and_only_for_inputs_and_not_while_it_waits(lines: Lines) -> None:
    line = lines.of("input")
    assert asks(lines, line) == 0
    lines.add(line, (0, "input"))
    assert asks(lines, line) == 1
    assert lines.next_ready() is line
    assert asks(lines, line) == 1
    lines.next_ready()
    line.acquirer.wanted = 1
    assert asks(lines, line) == 0


def test_a_key_that_nobody_waits_for_takes_few_bytes() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    limit = whilst.Limit(concurrency=1, by=lambda item: item)
    lines = Lines(
        (state_of(limit),),
        deque(),
        Slots(4),
        loop=loop,
        clock=lambda: 0.0,
        inside=(),
        granted=lambda line, count: None,
        stuck=lambda error: None,
        asking=Asking(loop, contextvars.copy_context()),
    )
    for index in range(10):
        use(lines, index)  # what is made once
    gc.collect()
    tracemalloc.start()
    try:
        for index in range(10, 1010):
            use(lines, index)
        taken = tracemalloc.get_traced_memory()[0] / 1000
    finally:
        tracemalloc.stop()
    assert taken < 2000  # an empty deque alone takes 760


def use(lines: Lines, index: int) -> None:
    """Have an input wait for its turn, and be called."""
    line = lines.of(index)
    lines.add(line, (index, index))
    assert lines.next_ready() is line
    lines.start(line, line.acquirer.ask(1))
    assert lines.queue.popleft() == (index, index)
    lines.end(index)
    line.acquirer.give_back()
