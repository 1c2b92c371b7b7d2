"""Who hears of pauses, and how often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from whilst.core.held import Still
from whilst.engine.observer import Pauses


class Loop:
    """Timers that fire when they are told to."""

    def __init__(self) -> None:
        self.timers: list[Callable[[], None]] = []

    def call_later(self, seconds: float, act: Callable[..., None], *args: Any, context: Any) -> Any:
        self.timers.append(lambda: act(*args))


class Host:
    """A run that hears of everything."""

    def __init__(self) -> None:
        self.loop: Any = Loop()
        self.watch: Any = self
        self.still = Still()
        self.listens = True
        self.now = 0.0
        self.heard: list[str] = []
        self.acts: list[Callable[[], None]] = []

    def clock(self) -> float:
        return self.now

    def soon(self, act: Callable[[], None]) -> None:
        self.acts.append(act)

    def paused(self, limit: str, key: str, seconds: float, why: str) -> None:
        self.heard.append(f"paused: {why}")

    def resumed(self, limit: str, key: str) -> None:
        self.heard.append("resumed")


def test_a_pause_of_which_several_threads_hear_at_once_is_said_once_and_ends_once() -> None:
    host = Host()
    pauses = Pauses(host, ())
    soon, nested = host.soon, [True]

    def soon_and_another(act: Callable[[], None]) -> None:
        soon(act)
        if nested.pop() if nested else False:  # another thread, before the first has taken note of it
            pauses.note((), 1.05, "no calls are left")

    host.soon = soon_and_another  # type: ignore[method-assign]
    pauses.note((), 1.03, "no calls are left")
    assert len(host.acts) == 2
    for act in host.acts:
        act()
    host.now = 2.0
    for timer in host.loop.timers:
        timer()
    assert host.heard == ["paused: no calls are left", "resumed"]
