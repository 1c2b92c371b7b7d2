"""What one run of a flow owns: threads for its blocking steps, permits, resources. Closed with the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..core.hedge import Hedge
from ..lanes.calls import Calls
from ..lanes.clock import clock_of
from .permits import Permits
from .resources import Resources
from .timeouts import Timeouts

MOST_THREADS = 4000


class Scope:
    """The belongings of one run of a flow, on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, calls_at_once: int) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.clock: Callable[[], float] = clock_of(loop)
        self.permits: Permits = Permits(calls_at_once)
        self.timeouts: Timeouts = Timeouts(loop, self.clock)
        self.hedges: list[Hedge] = []
        self.retried: int = 0
        """Attempts of steps beyond their first ones."""
        self.opened: int = 0
        """How often breakers of steps have opened."""
        self.notes: dict[str, None] = {}
        self.resources: Resources = Resources(lambda: self.calls)
        self._most = min(calls_at_once, MOST_THREADS)
        self._calls: Calls | None = None

    @property
    def calls(self) -> Calls:
        """The threads, started with the first blocking call."""
        if self._calls is None:
            self._calls = Calls(self.loop, self._most)
        return self._calls

    @property
    def abandoned(self) -> int:
        """How many blocking calls were given up and still run."""
        return self._calls.abandoned if self._calls is not None else 0

    @property
    def hedged(self) -> int:
        """How many second calls were started beside late ones."""
        return sum(hedge.made for hedge in self.hedges)

    def left_behind(self) -> tuple[str, ...]:
        """Name those calls."""
        return self._calls.left_behind() if self._calls is not None else ()

    async def close(self) -> None:
        """Close resources, then send the threads home, each of which closes its own."""
        self.timeouts.close()
        try:
            await self.resources.close()
        finally:
            if self._calls is not None:
                await self._calls.close()
