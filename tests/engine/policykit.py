"""What the tests of policies share: the other side, which fails as it is told to and keeps a book of all calls."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import whilst

Trouble = "BaseException | Callable[[], BaseException]"


class Final(Exception):
    """A failure that no further attempt mends."""


class Server:
    """An async function; what happens at each call for an input is listed in its script, the last entry stays.

    A script's entries: an exception (raised), or None (the input comes back). `naps` says how long a call takes.
    """

    def __init__(
        self,
        script: Mapping[Any, list[Any]] | None = None,
        *,
        naps: Callable[[Any, int], float] = lambda item, attempt: 1.0,
        by: Callable[[Any], Hashable] = lambda item: None,
    ) -> None:
        self.script, self.naps, self.by = script or {}, naps, by
        self.starts: list[tuple[float, Any]] = []
        self.ends: list[tuple[float, Any]] = []
        self.calls: Counter[Any] = Counter()
        self.inside: Counter[Hashable] = Counter()
        self.most: Counter[Hashable] = Counter()
        self.twice: list[Any] = []
        self.pushbacks: list[tuple[float, int]] = []
        """When it said "slower", and how many calls had begun by then."""
        self._now: defaultdict[Any, int] = defaultdict(int)

    @property
    def most_in_all(self) -> int:
        """How many calls were inside at once."""
        return self.most[Server]

    def starts_of(self, item: Any) -> list[float]:
        """Return when the calls for one input began."""
        return [when for when, one in self.starts if one == item]

    async def __call__(self, item: Any) -> Any:
        loop = asyncio.get_running_loop()
        key = self.by(item)
        self.calls[item] += 1
        attempt = self.calls[item]
        self.starts.append((loop.time(), item))
        self._now[item] += 1
        if self._now[item] > 1:
            self.twice.append(item)
        for place in (key, Server):
            self.inside[place] += 1
            self.most[place] = max(self.most[place], self.inside[place])
        try:
            if nap := self.naps(item, attempt):
                await asyncio.sleep(nap)
            script = self.script.get(item, [None])
            trouble = script[min(attempt, len(script)) - 1]
            if trouble is None:
                return item
            error = trouble() if callable(trouble) else trouble
            if isinstance(error, whilst.Throttled):
                self.pushbacks.append((loop.time(), len(self.starts)))
            raise error
        finally:
            self._now[item] -= 1
            self.inside[key] -= 1
            self.inside[Server] -= 1
            self.ends.append((loop.time(), item))


def reset() -> ConnectionResetError:
    """Return a failure that is worth another attempt, a new one each time."""
    return ConnectionResetError("reset by peer")


def busy(retry_after: float | None = None) -> Callable[[], whilst.Throttled]:
    """Return what makes a pushback."""
    return lambda: whilst.Throttled("busy", retry_after=retry_after)


def most_in_any(times: list[float], seconds: float) -> int:
    """Return the largest number of moments in any window that long, its end not included."""
    times, most, first = sorted(times), 0, 0
    for last, moment in enumerate(times):
        while moment - times[first] >= seconds - 1e-9:
            first += 1
        most = max(most, last - first + 1)
    return most
