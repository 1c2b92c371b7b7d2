"""What is known of many calls, as columns: which input, when, how long, what became of it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

OK: Final = 0
RETRIED: Final = 1  # went well, but not at first
SLOWEST: Final = 2  # went well, and is kept only because few took longer: it stands for itself alone
FAILED: Final = 3  # and above: the number of its kind, plus this

MOST_KINDS: Final = 200  # of failures that are told apart; the others are one
OTHERS: Final = "others"


@dataclass(frozen=True, slots=True)
class Example:
    """A failure, to be shown."""

    index: int
    message: str
    attempts: int
    took: float


class Mark(NamedTuple):
    """What is worth saying of one row of a chunk, as most went well at first."""

    row: int
    status: int
    attempts: int


@dataclass(slots=True)
class Node:
    """What is known of the calls of one step of a flow; seconds are of the calls alone, not of their waiting."""

    calls: int = 0
    failed: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


@dataclass(slots=True)
class Kinds:
    """The kinds of failures of a recording: each has a number, a count and a few examples."""

    names: list[str] = field(default_factory=list[str])
    counts: list[int] = field(default_factory=list[int])
    examples: list[list[Example]] = field(default_factory=list[list[Example]])

    def number(self, name: str) -> int:
        """Return the number of a kind, which may be new."""
        try:
            return self.names.index(name)
        except ValueError:
            if len(self.names) > MOST_KINDS:
                return MOST_KINDS
            self.names.append(name if len(self.names) < MOST_KINDS else OTHERS)
            self.counts.append(0)
            self.examples.append([])
            return len(self.names) - 1


@dataclass(slots=True)
class Spans:
    """Calls, one a row, in whatever order they were recorded.

    Attributes:
        index: of the input; -1 where that is not known.
        started: seconds from the start of the recording.
        took: seconds.
        status: OK, RETRIED, SLOWEST, or FAILED plus the number of the kind of failure.
        weight: how many calls a row stands for; 1 unless calls were sampled.
        attempts: by row, where it was more than one.
    """

    index: array[int] = field(default_factory=lambda: array("q"))
    started: array[float] = field(default_factory=lambda: array("d"))
    took: array[float] = field(default_factory=lambda: array("d"))
    status: bytearray = field(default_factory=bytearray)
    weight: array[int] = field(default_factory=lambda: array("L"))
    attempts: dict[int, int] = field(default_factory=dict[int, int])

    def __len__(self) -> int:
        return len(self.index)

    @property
    def sampled(self) -> bool:
        """Whether some rows stand for more than themselves."""
        return bool(self.weight) and max(self.weight) > 1

    def add(
        self,
        index: Sequence[int],
        started: Iterable[float],
        took: Iterable[float],
        marks: Iterable[Mark] = (),
        *,
        stride: int = 1,
    ) -> None:
        """Add rows; what is not marked went well at first and stands for `stride` calls."""
        at = len(self.index)
        self.index.extend(index)
        self.started.extend(started)
        self.took.extend(iter(took))  # which may be an array of another kind
        self.status.extend(bytes(len(index)))
        self.weight.extend([stride] * len(index))
        for row, status, attempts in marks:
            self.status[at + row] = status
            if status >= SLOWEST:
                self.weight[at + row] = 1
            if attempts != 1:
                self.attempts[at + row] = attempts

    def join(self, more: Spans) -> None:
        """Add the rows of others."""
        at = len(self)
        self.index.extend(more.index)
        self.started.extend(more.started)
        self.took.extend(more.took)
        self.status.extend(more.status)
        self.weight.extend(more.weight)
        self.attempts |= {at + row: attempts for row, attempts in more.attempts.items()}

    def shift(self, rows: Iterable[int], by: float) -> None:
        """Have calls begin so many seconds later."""
        for row in rows:
            self.started[row] += by

    def ended(self, row: int) -> float:
        """Return when a call ended."""
        return self.started[row] + self.took[row]

    def in_order(self) -> list[int]:
        """Return the rows in the order in which the calls started."""
        started = self.started
        return sorted(range(len(started)), key=started.__getitem__)
