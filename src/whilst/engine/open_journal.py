"""What a run asks of its journal; see `whilst.journal` for the one there is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ..core.outcome import Record
from ..errors import JournalError


class OpenJournal(Protocol):
    """The journal of one run, open; every method is called on the run's loop, and none waits for the disk."""

    run_id: bytes
    """What tells this journal from all others, over all runs that it has."""
    strict: bool
    """Whether an outcome is given to the consumer only once it is durable."""
    notices: tuple[str, ...]
    """What was found wrong on opening and got over, each a sentence."""

    @property
    def looking(self) -> int:
        """How many inputs were taken of which it is not known yet whether they are to be called."""
        ...

    @property
    def has_found(self) -> bool:
        """Whether the next `admit` gives something, even if it takes nothing."""
        ...

    @property
    def unwritten(self) -> int:
        """How many inputs were to be called and have no durable outcome yet; large ones count for more."""
        ...

    def identity(self, index: int) -> bytes | None:
        """Return what an input is known by that is to be called; None if its outcome is durable. From any thread."""
        ...

    def attach(
        self,
        *,
        settled: Callable[[int, JournalError | None], None],
        broken: Callable[[Exception], None],
        found: Callable[[], None],
        started: float,
    ) -> None:
        """Begin for a run that began at `started`; everything is called on the loop.

        `settled(count, lost)` says of that many outcomes, in the order in which they were added, that they are
        durable, or why they are not; `broken(error)`, once, that no more can be written; `found()` that `admit` has
        something to give.
        """

    def admit(self, inbox: deque[tuple[int, Any]], most: int) -> tuple[list[tuple[int, Any]], list[Record]]:
        """Take inputs, in the order of the source, at most so many; return those to call, and records of those done.

        What is looked up meanwhile is returned by a later call.
        """
        ...

    def add(self, record: Record) -> None:
        """Write an outcome down; raises if its value cannot be stored, never for a failure."""

    async def flush(self) -> None:
        """Return when everything added is durable; raises if writing has failed, when all has been saved elsewhere."""

    async def close(self) -> None:
        """Flush, and let go of the file; idempotent."""
