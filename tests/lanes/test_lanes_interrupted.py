"""Ctrl-C where a thread is started or waited for: it comes out as what it is, wherever it comes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from whilst.lanes.interrupted import Latch, start

Place = tuple[str, int, int]  # a function, a line of it, how often it came there


@contextmanager
def traced(at: Place | None, came: list[Place]) -> Iterator[None]:
    """Note each line that this thread comes to, and have a KeyboardInterrupt come at one of them."""
    often: dict[tuple[str, int], int] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            name, line = frame.f_code.co_qualname, frame.f_lineno
            often[name, line] = often.get((name, line), 0) + 1
            came.append((name, line, often[name, line]))
            if came[-1] == at:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def places(act: Callable[[], object]) -> list[Place]:
    came: list[Place] = []
    with traced(None, came):
        act()
    return [place for place in came if place[0] in {"Condition.wait", "Latch.wait"}]


class Late(threading.Event):
    """Says that a thread has started when whoever has started it waits for that."""

    def set(self) -> None:
        time.sleep(0.005)
        super().set()


begun: list[threading.Thread] = []


def begin() -> None:
    begun.append(thread := threading.Thread(target=int, daemon=True))
    thread._started = Late()  # type: ignore[attr-defined]
    start(thread)


def test_it_comes_out_of_the_start_of_a_thread_as_what_it_is() -> None:
    found = places(begin)
    assert found, "the start waits for the thread"
    came: list[Place] = []
    for place in found:
        came.clear()
        try:
            with traced(place, came):
                begin()
        except KeyboardInterrupt:
            assert place in came
        else:
            assert place not in came, "it was interrupted there, and nobody heard of it"
    for thread in begun:
        thread.join(20)


def test_what_else_a_start_raises_is_left_as_it_is() -> None:
    thread = threading.Thread(target=int)
    start(thread)
    thread.join()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        start(thread)


def wait_for(latch: Latch) -> Callable[[], object]:
    def act() -> None:
        threading.Timer(0.01, latch.open).start()
        assert latch.wait()

    return act


def test_it_comes_out_of_a_wait_and_the_next_wait_hears_what_was_said() -> None:
    for place in [it for it in places(wait_for(Latch())) if it[0] == "Latch.wait"]:
        latch, came = Latch(), list[Place]()
        try:
            with traced(place, came):
                wait_for(latch)()
        except KeyboardInterrupt:
            assert latch.wait(20)
        else:
            assert place not in came, "it comes to that line as often as the wait lasts"


def test_a_latch_that_nobody_opens_is_waited_for_no_longer_than_asked() -> None:
    latch = Latch()
    assert not latch.wait(0.0)
    assert not latch.wait(0.01)
    latch.open()
    latch.open()
    assert latch.wait(0.0)
    assert latch.wait()
