"""How does a commit look in the file? One frame: a head, columns, and the CRC that says whether to believe it.

A frame holds up to some thousands of outcomes, column by column, so that digests can be loaded without touching
values and one value can be read without the others. Frames are numbered and chained: each tells how many outcomes
there are up to it and the CRC of the one before. The head has a magic number, so that frames can be found in the
bytes of a file that SQLite cannot read any more (see `scan`).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from struct import Struct, pack
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from .failure import Failure
from .tagged import each_as_json, json_of

MAGIC = b"\x89whilst\x1a"
FORMAT = 1
HEADER, OUTCOMES = 1, 2
_HEAD = Struct("<8s8sQQIIIB3xI")  # magic, journal, n, total, count, size, before, kind, crc
HEAD_SIZE = _HEAD.size
_COLUMNS = 8 + 8 + 4 + 4 + 4 + 4  # bytes an outcome: key, rest, started, took, ends of input and value

LARGE = 4 * 1024 * 1024  # bytes of values that are written as they are: each copy is as large

_SIZES = {"Q": 8, "I": 4, "f": 4}


class Item(NamedTuple):
    """One outcome on its way to the file; `value` is JSON already, a plain scalar, or a Failure."""

    key: int
    rest: int
    input: bytes
    value: Any
    attempts: int
    started: float
    took: float
    began: float = 0.0
    """When its run began, in seconds since the epoch; 0: whoever wrote it did not say, and `started` says nothing."""


class Batch(NamedTuple):
    """Outcomes on their way to the file, column by column: the columns of Items."""

    keys: Sequence[int]
    rests: Sequence[int]
    inputs: Sequence[bytes]
    values: Sequence[Any]
    attempts: Sequence[int]
    started: Sequence[float]
    took: Sequence[float]
    began: float = 0.0
    """Of the run that all of them are of."""

    @classmethod
    def of(cls, items: Sequence[Item]) -> Batch:
        """Make one of at least one item of one run."""
        return cls(*list(zip(*items, strict=True))[:-1], began=items[0].began)  # type: ignore[arg-type,misc]

    def items(self) -> list[Item]:
        """Return them one by one."""
        return list(map(Item, *self[:-1], repeat(self.began)))

    def parts(self, most: int) -> list[Batch]:
        """Return it in parts whose inputs and values have about `most` bytes, or one outcome each if that has more."""
        count = len(self.keys)
        size = sum(map(len, self.inputs)) + sum([len(value) for value in self.values if type(value) is bytes])
        if size <= most or count < 2:
            return [self]
        half = count // 2
        return [part for side in (slice(half), slice(half, None)) for part in self._cut(side).parts(most)]

    def _cut(self, side: slice) -> Batch:
        first = self.keys[side], self.rests[side], self.inputs[side], self.values[side]
        return Batch(*first, self.attempts[side], self.started[side], self.took[side], self.began)


class Last(NamedTuple):
    """The end of the chain: the number of the last frame, the outcomes up to it, its CRC."""

    n: int = 0
    total: int = 0
    crc: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """What a frame says of itself."""

    journal: bytes
    n: int
    total: int
    count: int
    size: int
    before: int
    kind: int
    crc: int

    @property
    def last(self) -> Last:
        """The end of the chain, if this is the last frame."""
        return Last(self.n, self.total, self.crc)


class _Extras(msgspec.Struct, array_like=True):
    failures: list[tuple[int, Failure]] = []
    attempts: list[tuple[int, int]] = []
    began: float = 0.0


_extras_of = msgspec.json.Decoder(_Extras).decode


def head_of(data: bytes | memoryview) -> Head | None:
    """Return the head of what may be a frame, believed or not; None if it has no magic number."""
    if len(data) < HEAD_SIZE or data[:8] != MAGIC:
        return None
    _, journal, n, total, count, size, before, kind, crc = _HEAD.unpack_from(data)
    return Head(journal, n, total, count, size, before, kind, crc)


def checked(data: bytes | memoryview, journal: bytes | None = None) -> Head | None:
    """Return the head of a frame whose CRC holds, of this journal (or of any); else None."""
    head = head_of(data)
    if head is None or len(data) != HEAD_SIZE + head.size or (journal is not None and head.journal != journal):
        return None
    return head if _crc(data[: HEAD_SIZE - 4], memoryview(data)[HEAD_SIZE:]) == head.crc else None


def framed(journal: bytes, last: Last, kind: int, count: int, body: Sequence[bytes]) -> tuple[list[bytes], Last]:
    """Put a head on the pieces of a body; return the frame, in pieces, and the end of the chain with it."""
    n, total = last.n + 1, last.total + count
    bare = _HEAD.pack(MAGIC, journal, n, total, count, sum(map(len, body)), last.crc, kind, 0)
    crc = _crc(bare[:-4], *body)
    return [bare[:-4], crc.to_bytes(4, "little"), *body], Last(n, total, crc)


def packed(batch: Batch) -> Sequence[bytes]:
    """Pack outcomes into the body of a frame: one piece, or many if it is large, which are not to be copied."""
    extras, values, kinds = _Extras(began=batch.began), batch.values, set(map(type, batch.values))
    if Failure in kinds:
        extras.failures = [(place, value) for place, value in enumerate(values) if type(value) is Failure]
        values = [b"null" if type(value) is Failure else value for value in values]
    if set(batch.attempts) != {1}:
        extras.attempts = [(place, number) for place, number in enumerate(batch.attempts) if number != 1]
    texts: Sequence[bytes] = values
    if bytes not in kinds:
        texts = each_as_json(values)
    elif len(kinds) > 1:
        made = iter(each_as_json([value for value in values if type(value) is not bytes]))
        texts = [value if type(value) is bytes else next(made) for value in values]
    ends = tuple(accumulate(map(len, texts)))
    pieces = (
        _column("Q", batch.keys),
        _column("Q", batch.rests),
        pack(f"<{len(batch.started)}f", *batch.started),  # an array of floats takes twice as long
        pack(f"<{len(batch.took)}f", *batch.took),
        _column("I", tuple(accumulate(map(len, batch.inputs)))),
        _column("I", ends),
        *batch.inputs,
        *texts,
        json_of(extras),
    )
    return pieces if ends[-1] > LARGE else [b"".join(pieces)]


class Columns:
    """The outcomes of a frame; nothing is taken apart before it is asked for.

    Attributes:
        count: how many outcomes there are.
        keys, rests: the digests, 60 and 64 bits.
    """

    __slots__ = (
        "_body",
        "_extras",
        "_frame",
        "_input_ends",
        "_start",
        "_value_ends",
        "_values_at",
        "count",
        "keys",
        "rests",
    )

    def __init__(self, frame: bytes, head: Head) -> None:
        self._frame = frame
        self._body = memoryview(frame)[HEAD_SIZE:]
        self.count: int = head.count
        self.keys: Sequence[int] = self._read("Q", 0)
        self.rests: Sequence[int] = self._read("Q", 8)
        self._input_ends = self._read("I", 24)
        self._value_ends = self._read("I", 28)
        self._start = _COLUMNS * head.count
        self._values_at = self._start + (self._input_ends[-1] if head.count else 0)
        self._extras: tuple[dict[int, Failure], dict[int, int], float] | None = None

    @property
    def failures(self) -> dict[int, Failure]:
        """The failures among the outcomes, by place."""
        return self._more()[0]

    @property
    def attempts(self) -> dict[int, int]:
        """How many times the function was called, by place, where it was not once."""
        return self._more()[1]

    def find(self, key: int) -> int:
        """Return the last place of a key, or -1: a search through bytes, where a dict would not pay."""
        begin, end, sought = HEAD_SIZE, HEAD_SIZE + 8 * self.count, key.to_bytes(8, "little")
        at = self._frame.rfind(sought, begin, end)
        while at >= 0 and (at - begin) % 8:
            at = self._frame.rfind(sought, begin, at + 7)
        return -1 if at < 0 else (at - begin) // 8

    def input(self, place: int) -> bytes:
        """Return an input as JSON."""
        ends = self._input_ends
        at = HEAD_SIZE + self._start
        return self._frame[at + ends[place - 1] if place else at : at + ends[place]]

    def value(self, place: int) -> bytes:
        """Return a value as JSON; `null` for a failure."""
        ends = self._value_ends
        at = HEAD_SIZE + self._values_at
        return self._frame[at + ends[place - 1] if place else at : at + ends[place]]

    def values(self) -> list[bytes]:
        """Return all values as JSON."""
        frame, at = self._frame, HEAD_SIZE + self._values_at
        ends = [at + end for end in self._value_ends]
        return [frame[begin:end] for begin, end in zip([at, *ends], ends, strict=False)]

    @property
    def began(self) -> float:
        """When the run began that made them, in seconds since the epoch; 0 if that was not written down."""
        return self._more()[2]

    def started(self, place: int) -> float | None:
        """Return when the last call started, in seconds from the start of its run; None if that is not known."""
        return float(self._read("f", 16)[place]) if self.began else None

    def took(self) -> list[float]:
        """Return how long the last calls took, in seconds."""
        column: list[float] = self._read("f", 20).tolist()
        return column

    def took_by(self, place: int) -> float:
        """Return how long one of them took."""
        return float(self._read("f", 20)[place])

    def _more(self) -> tuple[dict[int, Failure], dict[int, int], float]:
        if self._extras is None:
            begin = self._values_at + (self._value_ends[-1] if self.count else 0)
            found = _extras_of(self._body[begin:])
            self._extras = dict(found.failures), dict(found.attempts), found.began
        return self._extras

    def _read(self, code: str, at: int) -> Any:
        begin = at * self.count
        raw: Any = self._body[begin : begin + _SIZES[code] * self.count]
        column = raw.cast(code)
        if sys.byteorder == "little":
            return column
        swapped: array[Any] = array(code, column)
        swapped.byteswap()
        return swapped


def _column(code: str, numbers: Sequence[Any]) -> bytes:
    column: array[Any] = array(code, numbers)
    if sys.byteorder != "little":
        column.byteswap()
    return column.tobytes()


def _crc(head: bytes | memoryview, *body: bytes | memoryview) -> int:
    crc = crc32(head)
    for piece in body:
        crc = crc32(piece, crc)
    return crc
