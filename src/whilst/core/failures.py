"""How many failures are too many, and what kinds were there?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .evidence import status_of

LEAST_FINISHED = 100  # a share of fewer outcomes than this says nothing when the total is unknown


@dataclass(frozen=True, slots=True)
class StopAfter:
    """Give up after `count` failures, or after `share` (0 to 1) of the total."""

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, given: object) -> StopAfter | None:
        """Read `10` or `"5%"`; ValueError or TypeError says what would be right.

        >>> StopAfter.parse("5%")
        StopAfter(count=None, share=0.05)
        """
        if given is None:
            return None
        if isinstance(given, bool) or not isinstance(given, (int, str)):
            raise TypeError(f'stop_after must be a number such as 10 or a share such as "5%", got {given!r}')
        text = str(given).strip()
        if re.fullmatch(r"\d+", text) and int(text) >= 1:
            return cls(count=int(text))
        if re.fullmatch(r"\d+(\.\d+)?%", text) and 0 < float(text[:-1]) <= 100:
            return cls(share=float(text[:-1]) / 100)
        raise ValueError(f'stop_after must be at least 1, or a share such as "5%" up to "100%", got {given!r}')

    def reached(self, failed: int, finished: int, total: int | None) -> bool:
        """Whether the run should give up now."""
        if self.count is not None:
            return failed >= self.count
        if self.share is None:
            return False
        if total is not None:
            return failed >= max(1.0, self.share * total)
        return finished >= LEAST_FINISHED and failed >= self.share * finished

    def __str__(self) -> str:
        return str(self.count) if self.share is None else f"{self.share * 100:g}%"


def kind_of(error: BaseException) -> str:
    """Name the kind of a failure: the status code an HTTP client put on it, else the class.

    >>> kind_of(ValueError("x"))
    'ValueError'
    """
    status = status_of(error)
    return type(error).__name__ if status is None else str(status)
