"""How results come from threads to their loop: at once where somebody waits for them, together where they come fast."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from whilst.lanes.results import AGAIN, ResultBridge

CALLS = 1000


class Clockwork:
    """A loop that does at its time what it was told, and nothing else."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rung = 0
        self._later: deque[tuple[float, Callable[[], object]]] = deque()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object]) -> None:
        self._later.append((self.now + delay, callback))

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        self.rung += 1
        callback()

    def until(self, when: float) -> None:
        """Let time pass."""
        while self._later and self._later[0][0] <= when:
            self.now, callback = self._later.popleft()
            callback()
        self.now = when


class Taker:
    """Takes results, and knows how late each was: a result is the time at which it was put."""

    def __init__(self, loop: Clockwork, waiting: int) -> None:
        self.queue = deque([(0, None)] * waiting)
        self.late: list[float] = []
        self._loop = loop

    def emit(self, record: float, /) -> None:
        self.late.append(self._loop.now - record)

    def together(self, begins: bool) -> None:
        """Nobody waits."""

    def refill(self) -> None:
        """There is no more."""


def taken(each: float, waiting: int) -> tuple[int, list[float]]:
    """Return how often the loop was rung for results that came so many seconds apart, and how late each was."""
    loop: Any = Clockwork()
    taker: Any = Taker(loop, waiting)
    bridge = ResultBridge(loop, taker)
    for number in range(CALLS):
        loop.until(number * each)
        bridge.put(loop.now)
    loop.until(loop.now + 1.0)
    assert len(taker.late) == CALLS
    return loop.rung, taker.late


@pytest.mark.parametrize("each", [AGAIN / 3, AGAIN / 10, AGAIN / 100])
def test_where_results_come_fast_the_loop_looks_by_itself(each: float) -> None:
    rung, late = taken(each, waiting=50)
    assert rung < CALLS / 10
    assert max(late) <= AGAIN * 1.001


def test_where_they_come_slowly_each_is_taken_at_once() -> None:
    assert taken(AGAIN, waiting=50) == (CALLS, [0.0] * CALLS)


def test_each_is_taken_at_once_where_threads_wait_for_the_loop() -> None:
    assert taken(AGAIN / 10, waiting=0) == (CALLS, [0.0] * CALLS)
