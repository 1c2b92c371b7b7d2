"""Whose calls threads make, and how do results come from threads to their loop?

Results pile up, and the loop is rung once for all of them: threads append and ring if nobody has; the loop takes the
bell down first and then everything that lies there, so what comes later rings again. Thousands of results cost one
wake-up (measured: 0.8 µs each, 9 µs with one each).

A thread that rings pays for it tenfold where hundreds wait for the interpreter. So while threads find work without the
loop, the bell stays up after a look that found several, or while results have come fast of late, and the loop looks
again by itself, `AGAIN` later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ..core.timings import LONG, Timings

Pair = tuple[int, Any]


class Client(Protocol):
    """Where a pool's inputs come from and what becomes of them; all but `returned_late` is called on the loop.

    Who derives from it does nothing where nothing is to be done.
    """

    queue: deque[Pair]
    """Inputs that may start, as (index, input); threads take from the left."""

    def emit(self, record: Any, /) -> None:
        """Take what became of one input."""
        return

    def together(self, begins: bool, /) -> None:
        """Take note that several records come now, and then that these were all: time to wake who waits for them."""
        return

    def refill(self) -> None:
        """Put more into the queue, if there is room and more; called after some records."""
        return

    def dropped(self, index: int) -> None:
        """Take note that an input which was taken from the queue will have no record: nobody wants one any more."""
        return

    def returned_late(self, index: int) -> None:
        """Take note, on any thread, that a call that was abandoned has returned."""
        return

    def fatal(self, error: BaseException) -> None:
        """End now, with an error that is not one input's: KeyboardInterrupt, SystemExit, a lost loop, no threads."""
        return


class Nobody(Client):
    """The client of a pool that is gone, so that it keeps no run alive."""

    def __init__(self) -> None:
        self.queue: deque[Pair] = deque()


NOBODY = Nobody()


SEVERAL = 4  # results in one look: fewer, and whoever waits for the next one would wait longer than it saves
AGAIN = 0.001  # seconds
FAST = 2  # results in that time: a look costs the loop less than that many rings cost their threads
OF_LATE = 0.01  # seconds over which they are counted: a hundred calls of that length come and go in gusts


class ResultBridge:
    """Gives each result to its client on the loop, and has it refill its queue then.

    While that is empty threads wait for the loop, which therefore looks at once. What the client raises is a fault of
    its own, which ends it: the other results are taken all the same.
    """

    __slots__ = ("_client", "_counted", "_counts_from", "_is_fast", "_looked_at", "_loop", "results", "rung", "timings")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: Client,
    ) -> None:
        self.results: deque[Any] = deque()
        """Threads append here, and then `ring` unless it is `rung`."""
        self.rung: bool = False
        """Whether the loop will look without being told."""
        self.timings: Timings | None = None
        """Told how long calls took."""
        self._loop = loop
        self._client = client
        self._looked_at = 0  # how many results were taken
        self._counts_from, self._counted = 0.0, 0  # a moment, and how many it were then
        self._is_fast = False

    @property
    def came(self) -> int:
        """How many results have come so far; from any thread."""
        return self._looked_at + len(self.results)

    def put(self, result: Any) -> None:
        """Hand a result to the loop; from any thread."""
        self.results.append(result)
        if not self.rung:
            self.ring()

    def ring(self) -> None:
        """Have the loop look; from any thread."""
        self.rung = True
        tell(self._loop, self.look)

    def forget(self) -> None:
        """Take nothing more: whoever took has ended."""
        self._client = NOBODY

    def look(self) -> None:
        """Take what lies there now; on the loop."""
        client, count = self._client, len(self.results)
        again = (self._comes_fast() or count >= SEVERAL) and max(count, 1) <= len(client.queue)
        if again:
            self._loop.call_later(AGAIN, self.look)
        else:
            self.rung = False  # first: what is appended from here on rings again
            count = len(self.results)
        if count >= SEVERAL:
            client.together(True)
            self._take(count)
            client.together(False)
        else:
            self._take(count)
        client.refill()

    def _comes_fast(self) -> bool:
        """Whether results have come so fast of late that each ring would be for one or two of them."""
        now, came = self._loop.time(), self._looked_at - self._counted
        if (took := now - self._counts_from) >= OF_LATE:
            self._is_fast = came * AGAIN >= FAST * took
            self._counts_from, self._counted = now, self._looked_at
            return self._is_fast
        return self._is_fast or came * AGAIN >= FAST * OF_LATE

    def _take(self, count: int) -> None:
        results, take = self.results, self._client.emit
        timings, timed_from = self.timings, 0.0  # one of these, and all long ones
        for _ in range(count):
            result = results.popleft()
            self._looked_at += 1
            if timings is not None and result[5] >= timed_from:
                timings.add(result[5], result[0])
                timed_from = LONG
            try:
                take(result)
            except Exception as error:  # or the other results would be lost, and whoever waits for them hang
                self._client.fatal(error)


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> bool:
    """Have the loop call `callback` soon; False, and nothing happens, if it is closed: then nobody waits any more."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        return False
    return True
