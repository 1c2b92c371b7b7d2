"""What holds up the calls of a run or a step, and who hears of it?

Three things do: the run itself was paused, a limit is paused, or the other side asked for a pause or seems to be down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from math import inf
from typing import Protocol

from ..core.held import DOWN, Held, Still, key_name
from ..lanes.clock import alone_later
from ..limit import LimitState
from .observer import Watch


class Host(Protocol):
    """What this needs from the driver, or from a step."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    watch: Watch

    def soon(self, act: Callable[[], None]) -> None:
        """Do something on the loop: at once if this is its thread."""

    @property
    def still(self) -> Still:
        """When it stood still because somebody had paused it."""
        ...


class Pauses:
    """The pauses of one gate; what is `held` is read from any thread."""

    def __init__(self, host: Host, limits: tuple[LimitState, ...]) -> None:
        self.held: Held = Held()
        """Which keys are paused, and why."""
        self.of_run: str = ""
        """What has paused the run itself, in words."""
        self._host = host
        self._limits = limits
        self._resuming: dict[str, asyncio.TimerHandle] = {}  # pauses of which somebody wants to hear the end
        self._said: dict[tuple[str, str], str] = {}  # limits that were said to be paused, by key and words
        self._closed = False

    def note_stops(self) -> None:
        """Take note of which limits are paused now, and whether the run is."""
        host = self._host
        stopped = [limit for limit in self._limits if limit.stops]
        of_run = [self.of_run] if self.of_run else []
        self.held.stopped = (*of_run, *[limit.stops.words for limit in stopped])
        host.still.mark(self, host.clock(), on=bool(self.held.stopped))
        said = {(key, words): repr(limit) for limit in stopped for key, words in limit.stops.by_key.items()}
        if of_run:
            said["", of_run[0]] = ""
        before, self._said = self._said, said
        for (key, words), limit in said.items():
            if (key, words) not in before:
                host.watch.paused(limit, key, inf, words)
        for (key, words), limit in before.items():
            if (key, words) not in said:
                host.watch.resumed(limit, key)

    def note(self, keys: tuple[Hashable, ...], until: float, why: str) -> None:
        """Take note that the calls for these keys wait until then; from any thread."""
        host = self._host
        now = host.clock()
        if until <= now:
            return
        name = key_name(keys)
        if host.watch.listens and self.held.until(name) <= now:
            host.soon(lambda: self._say(name, until - now, why))
        self.held.pause(name, until, why)

    def close(self) -> None:
        """Say nothing more."""
        self._closed = True
        for timer in self._resuming.values():
            timer.cancel()
        self._resuming.clear()

    def let_go(self) -> None:
        """Refer to the run no more."""
        del self._host

    def _say(self, key: str, seconds: float, why: str) -> None:
        if self._closed or key in self._resuming:  # said: several calls may hear of the same pause at once
            return
        watch, limit = self._host.watch, ", ".join(repr(one) for one in self._limits if one.bounded)
        if why is DOWN:
            watch.breaker_opened(limit, key, seconds)
        else:
            watch.paused(limit, key, seconds, why)
        self._say_it_goes_on_in(seconds, key, limit)

    def _say_it_goes_on(self, key: str, limit: str) -> None:
        """Say that a pause is over, unless it was made longer."""
        del self._resuming[key]
        left = self.held.until(key) - self._host.clock()
        if left > 0:
            self._say_it_goes_on_in(left, key, limit)
        else:
            self._host.watch.resumed(limit, key)

    def _say_it_goes_on_in(self, seconds: float, key: str, limit: str) -> None:
        self._resuming[key] = alone_later(self._host.loop, seconds, self._say_it_goes_on, key, limit)
