"""How many failures are too many, what kinds were there, and is it the same one from the first call on?"""

from __future__ import annotations

import re
from collections import Counter

from ..errors import Recorded
from .evidence import described_status, host_of, status_of
from .frozen import Frozen

# Statuses that mean the credential and not the input, and errors that mean the function: more calls end the same way.
_HOPELESS_STATUSES = frozenset({401, 403, 407})
_HOPELESS_ERRORS = (TypeError, NameError, AttributeError, ImportError, NotImplementedError)
FIRST_CALLS = 60
SAME_AMONG_THEM = 50

MOST_QUOTED = 500  # characters of a failure in the words that end a run

LEAST_FINISHED = 100  # a share of fewer outcomes than this says nothing when the total is unknown


class StopAfter(Frozen):
    """Give up after `most` failures, or after `share` (0 to 1) of the total; all of it is never too much."""

    most: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, given: object) -> StopAfter | None:
        """Read `10` or `"5%"`; ValueError or TypeError says what would be right.

        >>> StopAfter.parse("5%")
        StopAfter(most=None, share=0.05)
        """
        if given is None:
            return None
        if isinstance(given, bool) or not isinstance(given, (int, str)):
            raise TypeError(
                f'stop_after must be a number such as 10 or a share such as "5%", got {given!r}{_try(given)}'
            )
        text = str(given).strip()
        if re.fullmatch(r"\d+", text) and int(text) >= 1:
            return cls(most=int(text))
        if re.fullmatch(r"\d+(\.\d+)?%", text) and 0 < float(text[:-1]) <= 100:
            return cls(share=float(text[:-1]) / 100)
        raise ValueError(
            f'stop_after must be at least 1, or a share such as "5%" up to "100%", got {given!r}{_try(given)}'
        )

    def reached(self, failed: int, finished: int, total: int | None) -> bool:
        """Whether the run should give up now."""
        if self.most is not None:
            return failed >= self.most
        if self.share is None or self.share >= 1.0:  # all of them: then there is nothing left to stop
            return False
        if total is not None:
            return failed >= max(1.0, self.share * total)
        return finished >= LEAST_FINISHED and failed >= self.share * finished

    def __str__(self) -> str:
        return str(self.most) if self.share is None else f"{self.share * 100:g}%"


def _try(given: object) -> str:
    from .meant import percent

    return f'\n  try: stop_after="{percent(given)}"'


class SameFailure:
    """Whether the first calls fail in one way that no retry and no other input will change.

    50 of the first 60 must fail with the same 401, 403 or 407 of the same host, or with the same programming error in
    the same words. Other failures are the inputs' own and never end a run.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, int]] = Counter()  # by name, and what tells long texts apart that begin alike

    def note(self, error: BaseException, called: int) -> str | None:
        """Take note of a failure, which ended the `called`-th call; return its name when it is clear that it stays."""
        if called > FIRST_CALLS:
            return None
        words = _hopeless_name(error)
        if not words:
            return None
        name, key = words[:MOST_QUOTED], hash(words)
        self._seen[name, key] += 1
        return name if self._seen[name, key] >= SAME_AMONG_THEM else None

    def count(self, name: str) -> int:
        """Return how many of the first calls failed in the way of this name."""
        return max((count for (seen, _), count in self._seen.items() if seen == name), default=0)

    def remedy(self, name: str) -> str:
        """Return what would help against the failure of this name."""
        return "mend the credential" if name[:3].isdigit() else "mend the function"


def _hopeless_name(error: BaseException) -> str:
    status = status_of(error)
    if status is not None:
        host = host_of(error)
        where = f" ({host})" if host else ""
        return f"{described_status(status)}{where}" if status in _HOPELESS_STATUSES else ""
    if not isinstance(error, _HOPELESS_ERRORS):
        return ""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # an exception whose text cannot be made is never the same as another
        return ""


def kind_of(error: BaseException) -> str:
    """Name the kind of a failure: the status code an HTTP client put on it, else the class.

    >>> kind_of(ValueError("x"))
    'ValueError'
    """
    if isinstance(error, Recorded):
        return error.kind
    status = status_of(error)
    return type(error).__name__ if status is None else str(status)
