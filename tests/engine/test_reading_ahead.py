"""The window grows when it alone keeps lanes idle and the consumer waits; for no other reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from whilst.engine.ahead import ReadAhead


class Parts:
    """What a window is seen with: one lane of two is busy, all that there was room for is read, the consumer waits."""

    def __init__(self) -> None:
        self.refilled = 0
        self.asked: list[Callable[[], None]] = []
        self.source = SimpleNamespace(full=True, admitted=2, fill=self.note)
        self.book = SimpleNamespace(
            blocked=False, queue=deque[Any](), exhausted=False, source=self.source, done=1, in_flight=1
        )
        self.book.held, self.book.pump = lambda: 0, lambda: None
        self.lanes = SimpleNamespace(idle=True, resting=0)
        self.host: Any = SimpleNamespace(book=self.book, lanes=self.lanes, scope=None, clock=float)
        self.host.accounting = SimpleNamespace(turn=lambda: None)
        self.handoff: Any = SimpleNamespace(waiting=True, ready=deque[Any](), call=self.asked.append)
        alarms: Any = SimpleNamespace(not_after=lambda *_: None)
        self.ahead = ReadAhead(self.host, SimpleNamespace(concurrency=2, run_ahead=None), self.handoff, alarms)  # type: ignore[arg-type]

    def note(self, limit: int) -> None:
        self.refilled += 1

    def nudge(self) -> None:
        self.ahead.nudge()
        for act in self.asked:
            act()
        self.asked.clear()


def test_it_doubles_when_lanes_stand_idle_for_want_of_room_and_the_consumer_waits() -> None:
    parts = Parts()
    parts.nudge()
    assert parts.ahead.window.size == 4
    assert not parts.source.full  # it is to be seen again before the window grows once more
    assert parts.refilled == 1


def test_a_consumer_that_ran_dry_meanwhile_counts_although_it_has_something_now() -> None:
    parts = Parts()
    parts.handoff.waiting = False
    parts.ahead.nudge()
    parts.ahead.ran_dry()
    parts.asked.pop()()
    assert parts.ahead.window.size == 4
    parts.source.full = True
    parts.nudge()  # that was once
    assert parts.ahead.window.size == 4


def test_to_run_dry_without_having_asked_for_more_is_no_reason() -> None:
    parts = Parts()
    parts.handoff.waiting = False
    parts.ahead.ran_dry()
    parts.nudge()
    assert parts.ahead.window.size == 2


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda it: setattr(it.book, "blocked", True), id="others wait, too"),
        pytest.param(lambda it: it.book.queue.append((2, 2)), id="lanes have work"),
        pytest.param(lambda it: setattr(it.book, "exhausted", True), id="there is no more"),
        pytest.param(lambda it: setattr(it.source, "full", False), id="there is room"),
        pytest.param(lambda it: setattr(it.handoff, "waiting", False), id="the consumer is busy"),
        pytest.param(lambda it: it.handoff.ready.append((0,)), id="the consumer has something"),
        pytest.param(lambda it: setattr(it.lanes, "idle", False), id="all lanes are busy"),
    ],
)
def test_it_stays_for_any_other_reason(change: Callable[[Parts], None]) -> None:
    parts = Parts()
    parts.lanes.wake = lambda: None
    change(parts)
    parts.nudge()
    assert parts.ahead.window.size == 2


def test_a_run_that_has_ended_reads_no_more() -> None:
    parts = Parts()
    parts.ahead.let_go()
    parts.nudge()
    assert (parts.ahead.window.size, parts.refilled) == (2, 0)
