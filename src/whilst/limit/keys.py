"""Which keys does a limit remember, each with a queue of its own, and when does it forget one?"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from ..core.throttle import Throttle
from .lock import lock
from .queue import Clock, WaitQueue

REMEMBERED = 10_240  # keys; up to so many none is forgotten, so that what a controller learned is kept while it matters
KEPT = REMEMBERED // 2  # that stay when there are more, so that each new one pays for a look at two
NOBODY: Hashable = None  # the key of a limit without `by`; alone, it is never forgotten

T = TypeVar("T")


def surplus(idle: Sequence[T], count: int, keep: int) -> Sequence[T]:
    """Choose of the idle ones which to forget, so that of `count` in all some `keep` are left.

    They are taken evenly from all: of keys that come in turn, and are a few too many, the oldest is the next to come,
    and each would be made anew each time.
    """
    return idle[:: max(1, round(len(idle) / (count - keep)))] if count > keep else ()


class Keys:
    """The queues of a limit, one for each value of `by` that is in use.

    Args:
        throttle: makes the state of a new key. What functions of the user's raise there comes out of `queue`.
    """

    __slots__ = ("_forget_at", "_queues", "_throttle", "forgotten_rejected", "forgotten_started", "version")

    def __init__(self, throttle: Callable[[Hashable], Throttle]) -> None:
        self.forgotten_started: int = 0
        self.forgotten_rejected: int = 0
        self.version: int = 0
        """Counts the changes of what makes the state of a key."""
        self._throttle = throttle
        self._queues: dict[Hashable, WaitQueue] = {}
        self._forget_at = REMEMBERED

    @property
    def queues(self) -> tuple[WaitQueue, ...]:
        """Those of all keys that are remembered; for those who have the lock."""
        return tuple(self._queues.values())

    def queue(self, key: Hashable, clock: Clock) -> WaitQueue:
        """Return the queue of a key, a new one if it is not known."""
        if (queue := self._queues.get(key)) is not None:
            return queue
        version, throttle = self.version, self._throttle(key)  # it may ask the user's functions: without the lock
        with lock:
            queue = self._queues.get(key)
            if queue is None:
                if version != self.version:
                    throttle = self._throttle(key)
                if len(self._queues) >= self._forget_at:
                    self.forget(KEPT)
                queue = self._queues[key] = WaitQueue(throttle, clock)
            return queue

    def by_key(self) -> dict[Hashable, WaitQueue]:
        """Return those of all keys that are remembered; for those who have the lock."""
        return dict(self._queues)

    def known(self, key: Hashable) -> WaitQueue | None:
        """Return the queue of a key, if there is one."""
        return self._queues.get(key)

    def empty(self) -> None:
        """Forget everything, in a forked child: what is held, and who waits, is the parent's."""
        for queue in self._queues.values():
            queue.empty()
        self._queues.clear()
        self.forgotten_started = self.forgotten_rejected = 0

    def forget(self, keep: int = 0) -> None:
        """Forget idle keys, down to some `keep`; where many are busy, the next look comes the later."""
        idle, clock, now = list[Hashable](), None, 0.0
        for key, queue in self._queues.items():
            if queue.clock is not clock:
                clock = queue.clock
                now = clock()
            if not queue.parties and queue.kept_for is None and queue.throttle.idle(now):
                idle.append(key)
        for key in surplus(idle, len(self._queues), keep):
            queue = self._queues.pop(key)
            queue.gone = True
            self.forgotten_started += queue.throttle.started
            self.forgotten_rejected += queue.throttle.rejected
        self._forget_at = max(REMEMBERED, 2 * len(self._queues))
