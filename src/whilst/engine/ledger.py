"""What a run asks of its journal; see `whilst.journal` for the one there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..core.outcome import Record


class Ledger(Protocol):
    """The journal of one run, open; every method is called on the run's loop."""

    strict: bool
    """Whether an outcome is given to the consumer only once it is durable."""
    notices: tuple[str, ...]
    """What was found wrong on opening and got over, each a sentence."""

    @property
    def unwritten(self) -> int:
        """How many inputs were to be called and have no durable outcome yet; large ones count for more."""
        ...

    def attach(self, *, durable: Callable[[int], None], broken: Callable[[Exception], None]) -> None:
        """Call `durable(count)` on the loop after each commit, and `broken` once if writing fails."""

    def admit(self, pairs: Sequence[tuple[int, Any]]) -> tuple[list[tuple[int, Any]], list[Record]]:
        """Identify inputs, in the order of the source; return those to call, and records of those already done."""
        ...

    def add(self, record: Record) -> None:
        """Write an outcome down; raises if its value cannot be stored."""

    async def flush(self) -> None:
        """Return when everything added is durable."""

    async def close(self) -> None:
        """Flush, and let go of the file; idempotent."""
