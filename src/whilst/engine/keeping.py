"""When may an outcome be given to the consumer of a run that keeps a journal?

At once, if the journal is buffered; once it is durable, if it is strict. The run ends when all of it is durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from ..core.outcome import Record
from .ledger import Ledger

# Calls made or under way whose outcomes are not durable, besides one a lane: as many are made again after a crash.
MOST_UNWRITTEN = 4096


class Keeper(Protocol):
    """What this needs from the driver."""

    loop: asyncio.AbstractEventLoop

    def give(self, record: Record) -> None:
        """Give an outcome to the consumer."""

    def durable(self, slots: int) -> None:
        """Go on: this many calls whose outcomes were held back have freed their lanes."""

    def give_up(self, error: Exception) -> None:
        """Start nothing new, let what is in flight finish, then raise `error`."""

    def all_kept(self, error: Exception | None) -> None:
        """End the run: everything is durable, or that failed."""


class Keeping:
    """The journal of one run, between its calls and its consumer."""

    def __init__(self, ledger: Ledger, keeper: Keeper, concurrency: int) -> None:
        self.ledger: Ledger = ledger
        self.strict: bool = ledger.strict
        """Whether outcomes are held back until they are durable."""
        self._add = ledger.add
        self._keeper = keeper
        self._most = MOST_UNWRITTEN + concurrency
        self._held: deque[tuple[Record, bool]] = deque()  # and whether a lane's slot is held with it
        self._flush: asyncio.Task[None] | None = None
        ledger.attach(durable=self._durable, broken=self._broken)

    @property
    def room(self) -> int:
        """How many more inputs may go to the lanes; more can after a commit."""
        return max(0, self._most - self.ledger.unwritten)

    def write(self, record: Record, *, slot: bool = True) -> bool:
        """Write an outcome down, which holds a lane's slot or not; return whether it may be given now."""
        try:
            self._add(record)
        except Exception as error:  # a value that cannot be stored: better to stop now than after the last call
            self._keeper.give_up(error)
            return True
        if not self.strict:
            return True
        self._held.append((record, slot))
        return False

    def flush(self) -> None:
        """Have `all_kept` called when everything is durable."""
        if self._flush is None:
            self._flush = asyncio.Task(self._flushed(), loop=self._keeper.loop)

    async def _flushed(self) -> None:
        error: Exception | None = None
        try:
            await self.ledger.flush()
        except Exception as caught:  # the disk, mostly
            error = caught
        self._keeper.all_kept(error)

    def _durable(self, count: int) -> None:
        self._keeper.durable(self._give(min(count, len(self._held))))

    def _broken(self, error: Exception) -> None:
        """Give what was held back, as nothing will become durable any more, and stop."""
        self.strict = False
        self._keeper.give_up(error)
        self._keeper.durable(self._give(len(self._held)))

    def _give(self, count: int) -> int:
        """Give what was held back the longest; return how many slots were held with it."""
        slots = 0
        for _ in range(count):
            record, slot = self._held.popleft()
            slots += slot
            self._keeper.give(record)
        return slots
