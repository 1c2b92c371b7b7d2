"""Inputs of our own, which come many at a time, and some of which may be none."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


class InBatches(Iterable[Any]):
    """Inputs of our own that come many at a time, and are admitted so: no step of Python for each."""

    may_be_bad: bool = False
    """Whether some may be bad ones, which fail without a call."""

    @abstractmethod
    def batches(self) -> Iterator[Sequence[Any]]:
        """Give all inputs, as many at once as are there without waiting for more."""
        ...

    def fault(self, item: Any) -> Exception | None:
        """Return what is wrong with one of them; None: it is to be called."""
        return None
