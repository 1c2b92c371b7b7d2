"""Which keys of a limit has the program itself paused, and since when?"""

from __future__ import annotations

import time
from collections.abc import Hashable
from enum import Enum
from typing import Final

from ..core.held import MOST_NAMED, name_of


class Every(Enum):
    """Stands for all keys of a limit, where a key could be given."""

    KEY = "every key"


EVERY: Final = Every.KEY


class Stops:
    """The flags of one limit: one for each key that was named, and one for all of it."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: dict[Hashable, float] = {}

    def set(self, key: Hashable) -> None:
        """Pause a key; it stays paused since the first time that this was said."""
        self._since.setdefault(key, time.time())

    def lift(self, key: Hashable) -> None:
        """Take that back."""
        self._since.pop(key, None)

    def has(self, key: Hashable) -> bool:
        """Whether a key is paused."""
        return bool(self._since) and (EVERY in self._since or key in self._since)

    @property
    def words(self) -> str:
        """Say so: `paused by limit.pause() since 14:02`; "" if nothing is. From any thread."""
        by_key = self.by_key
        if "" in by_key:
            return by_key[""]
        said = [f"{key} {words}" for key, words in by_key.items()]
        more = [f"{len(said) - MOST_NAMED:,} more keys paused"] if len(said) > MOST_NAMED else []
        return ", ".join([*said[:MOST_NAMED], *more])

    @property
    def by_key(self) -> dict[str, str]:
        """The same for each key by its name; "" for all of the limit."""
        return {
            "" if key is EVERY else name_of([key]) or str(key): paused_by("limit.pause()", at)
            for key, at in tuple(self._since.items())
        }

    def __bool__(self) -> bool:
        return bool(self._since)


def paused_by(what: str, since: float) -> str:
    """Say what has paused something, and since when by the clock on the wall."""
    return f"paused by {what} since {time.strftime('%H:%M', time.localtime(since))}"
