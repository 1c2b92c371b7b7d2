"""Who was granted something and has not taken it yet?

What one party gives back is granted to others while the lock is held, and they are told when it is free again, as what
they do then may want it. A party on another loop hears of it when that loop comes round, which it may never do: one
that stands still and is closed. What was granted there is reclaimed when somebody else waits.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop as running_loop
from collections import deque
from typing import Protocol

from .lock import empty_in_child


class Told(Protocol):
    """Who waits to be told."""

    def tell(self, *, fresh: bool) -> None:
        """Tell it what it was granted; see `ToBeTold.settle`."""
        ...


class Granted(Protocol):
    """Who was granted something on a loop."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where it takes that."""
        ...

    def reclaim(self) -> None:
        """Give everything up: the loop is closed."""
        ...


class ToBeTold:
    """Parties that were granted something and do not know it yet."""

    def __init__(self) -> None:
        self._parties: deque[Told] = deque()

    def add(self, party: Told) -> None:
        """Have a party told by the next `settle`; for those who have the lock."""
        self._parties.append(party)

    def settle(self, *, fresh: bool = False) -> None:
        """Tell them; the lock is free again.

        `fresh`: this is called by a loop, not by code of a party, so those on this loop may be told at once.
        """
        parties = self._parties
        while parties:
            try:
                party = parties.popleft()
            except IndexError:  # another thread was faster
                return
            party.tell(fresh=fresh)

    def __bool__(self) -> bool:
        return bool(self._parties)

    def _empty(self) -> None:
        """Tell nobody: in a forked child nobody waits."""
        self._parties.clear()


class Uncollected:
    """Parties that were granted something and have not taken it, by their loop; for those who have the lock."""

    def __init__(self) -> None:
        self._loops: dict[asyncio.AbstractEventLoop, dict[Granted, None]] = {}

    def add(self, party: Granted) -> None:
        """Take note that something was granted to a party with a loop."""
        assert party.loop is not None
        parties = self._loops.get(party.loop)
        if parties is None:
            parties = self._loops[party.loop] = {}
        parties[party] = None

    def remove(self, party: Granted) -> None:
        """Take note that it has taken it."""
        assert party.loop is not None
        parties = self._loops.get(party.loop)
        if parties is not None:
            parties.pop(party, None)
            if not parties:
                del self._loops[party.loop]

    def elsewhere(self) -> bool:
        """Whether a party on another loop than the one that runs here has not taken what it was granted."""
        return len(self._loops) > (running_loop() in self._loops)

    def reclaim(self) -> None:
        """Have those whose loop is closed give up what they were granted; the caller serves and settles."""
        if not self._loops:
            return
        for loop in [loop for loop in self._loops if loop.is_closed()]:
            for party in self._loops.pop(loop):
                party.reclaim()

    def __bool__(self) -> bool:
        return bool(self._loops)

    def _empty(self) -> None:
        """Forget all: nothing is granted yet in a forked child."""
        self._loops.clear()


told: ToBeTold = ToBeTold()
uncollected: Uncollected = Uncollected()
empty_in_child(told)
empty_in_child(uncollected)
