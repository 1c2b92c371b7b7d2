"""How are some thousands of calls written down in three bytes each? As columns of numbers, byte by byte.

A call ends soon after the one before it, and took about as long. So of the ends the differences are written, all in
ticks of which the usual call takes some hundreds: what is below that is noise, and noise cannot be compressed. The
lowest bytes of a column stand together, then the next ones, which are much the same.

A float to which `HIGH` was added has its number of finest ticks in its lowest bits, all of them in the same place. So
a column is one large integer of 64 bits a call, and its calls are shifted and subtracted together.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain, repeat
from math import floor, log2
from operator import add, mul, sub
from struct import pack
from typing import Final, TypeVar

import msgspec

from .spans import Example, Mark
from .told import json_of

N = TypeVar("N", int, float)

LEVEL: Final = 3  # of zlib; 6 saves one byte in forty, and takes twice as long
FINEST: Final = 1e-7  # seconds; the shortest tick of what is drawn
HIGH: Final = 2.0**29  # seconds; larger than any time that is told
FINE: Final = HIGH / 2**52  # seconds; the ticks of a time to which that was added
_KEPT: Final = (1 << 52) - 1  # the bits of a float that count them
_SIGN: Final = 1023 + 29  # the other bits, of all such floats
_APART: Final = 1 << 60  # ticks; more than between any two ends
LONGEST: Final = 1e6  # seconds; the longest tick that is believed
MOST_STRIDE: Final = 1 << 30
TICKS: Final = 250.0  # of the usual call, at least


class Chunk(msgspec.Struct, array_like=True):
    """What a chunk says of itself, in front of its columns."""

    count: int
    tick: float
    stride: int
    passed: int
    """How many calls it stands for, exactly."""
    marks: list[tuple[int, int, int]] = []
    kinds: list[str] = []
    """All kinds of failures so far."""
    counts: list[int] = []
    examples: list[tuple[int, int, str, int, float]] = []
    """New ones: kind, index, message, attempts, seconds."""
    places: tuple[int, int, int] = (0, 0, 0)
    """Bytes of a number in each of the three columns."""
    least: int = 0
    """The smallest difference, which was taken from all, so that none is below zero."""
    recalled: int = 0
    """Outcomes so far that came from a journal."""
    path: str = ""
    """Of the step of a flow whose calls these are; of whole inputs none."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Some thousands of calls, as they are recorded: 24 bytes each.

    Attributes:
        index: of the input.
        ends: when it ended, plus `HIGH`.
        took: seconds, plus `HIGH`.
        began: by the same clock, what is 0 in the recording.
    """

    index: array[int]
    ends: array[float]
    took: array[float]
    began: float = 0.0

    @classmethod
    def of(cls, index: Sequence[int], started: Iterable[float], took: Sequence[float]) -> Columns:
        """Return calls that were kept in another way."""
        ends = [start + long + HIGH for start, long in zip(started, took, strict=True)]
        return cls.packed(index, ends, [long + HIGH for long in took])

    @classmethod
    def packed(cls, index: Sequence[int], ends: Sequence[float], took: Sequence[float], began: float = 0.0) -> Columns:
        """Make arrays of what is none, in half the time that their class takes."""
        count = len(index)
        return cls(
            array("q", pack(f"{count}q", *index)),
            array("d", pack(f"{count}d", *ends)),
            array("d", pack(f"{count}d", *took)),
            began,
        )

    def rows(self, head: Chunk) -> Rows:
        """Return them as times in seconds, without having written them."""
        took = array("d", [long - HIGH for long in self.took])
        zero = HIGH + self.began
        return Rows(array("q", self.index), array("d", map(sub, (end - zero for end in self.ends), took)), took, head)


@dataclass(frozen=True, slots=True)
class Rows:
    """A chunk, taken apart: what `Spans.add` takes, and the rest."""

    index: Sequence[int]
    started: Sequence[float]
    took: Sequence[float]
    head: Chunk

    def marks(self) -> list[Mark]:
        """Return what is worth saying of some of them."""
        return [Mark(*mark) for mark in self.head.marks]

    def examples(self) -> list[tuple[int, Example]]:
        """Return failures to be shown, with their kinds."""
        return [(each[0], Example(*each[1:])) for each in self.head.examples]


def encoded(columns: Columns, head: Chunk) -> bytes:
    """Return a chunk as it is written; `count`, `tick`, `least` and `places` of its head are found here."""
    count = len(columns.index)
    usual = usual_of(columns.took) - HIGH if count else 0.0
    coarse = max(0, floor(log2(max(usual, FINE) / TICKS / FINE)))  # bits that say nothing
    ends, took = (_ticks(column, coarse) for column in (columns.ends, columns.took))
    each, began = _each(count), (round(columns.began / FINE) + (1 << coarse >> 1)) >> coarse
    before = ((ends << 64) | began) & ((1 << 64 * count) - 1)
    steps = _bytes(ends - before + _APART * each, count)
    least = min(_column(steps), default=_APART)
    lowered = int.from_bytes(steps, "little") - least * each
    planes = [byte_planes(columns.index), _planes(_bytes(lowered, count), 8), _planes(_bytes(took, count), 8)]
    head.count, head.tick, head.least = count, FINE * (1 << coarse), least - _APART
    head.places = (len(planes[0]), len(planes[1]), len(planes[2]))
    body = b"".join(chain.from_iterable(planes))
    text = json_of(head)
    return zlib.compress(len(text).to_bytes(4, "little") + text + body, LEVEL)


@lru_cache(4)
def _each(count: int) -> int:
    """Return a column of ones."""
    return int.from_bytes((b"\1" + bytes(7)) * count, "little")


def _ticks(column: array[float], coarse: int) -> int:
    """Return a column of ticks, each of 2^coarse of the finest ones."""
    each = _each(len(column))
    bits = int.from_bytes(_little(column).tobytes(), "little")
    if (bits >> 52) & (0xFFF * each) != _SIGN * each:  # a clock that was set back, or a time beyond all bounds
        column = array("d", [min(max(time, HIGH), 2 * HIGH - 1) if time == time else HIGH for time in column])
        bits = int.from_bytes(_little(column).tobytes(), "little")
    return (((bits & (_KEPT * each)) + (1 << coarse >> 1) * each) >> coarse) & ((_KEPT >> coarse) * each)


def _bytes(column: int, count: int) -> bytes:
    return column.to_bytes(8 * count, "little")


def _column(raw: bytes) -> array[int]:
    numbers = array("q")
    numbers.frombytes(raw)
    return _little(numbers)


def decoded(data: bytes) -> Rows:
    """Take a chunk apart; ValueError for what is none."""
    try:
        raw = zlib.decompress(data)
        size = int.from_bytes(raw[:4], "little")
        head = _head_of(raw[4 : 4 + size])
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"no chunk: {error}") from None
    count, at = head.count, 4 + size
    columns: list[array[int]] = []
    if count < 0 or min(head.places) < 0 or max(head.places) > 8 or len(raw) != at + count * sum(head.places):
        raise ValueError("no chunk: its columns are not as long as it says")
    if not _makes_sense(head):
        raise ValueError("no chunk: its numbers are none that a run has")
    for places in head.places:
        columns.append(
            from_planes([raw[at + place * count : at + (place + 1) * count] for place in range(places)], count)
        )
        at += places * count
    tick = repeat(head.tick)
    took = array("d", map(mul, columns[2], tick))
    ends = map(mul, accumulate(map(add, columns[1], repeat(head.least))), tick)
    return Rows(columns[0], array("d", map(sub, ends, took)), took, head)


def _makes_sense(head: Chunk) -> bool:
    """Whether its numbers are such as a run has: a file may be damaged, or somebody else's."""
    return (
        0 < head.tick <= LONGEST
        and abs(head.least) < 1 << 60
        and 0 < head.stride <= MOST_STRIDE
        and head.stride.bit_count() == 1
        and min(head.passed, head.recalled, 0) == 0
        and all(0 <= row < head.count and 0 <= status < 256 and number >= 0 for row, status, number in head.marks)
        and all(count >= 0 for count in head.counts)
    )


def usual_of(took: Sequence[float]) -> float:
    """Return how long the usual call took: the middle one of some hundreds."""
    some = sorted(took[:: 1 + len(took) // 500])
    return some[len(some) // 2] if some else 0.0


def tick_of(took: Sequence[float], ticks: float) -> float:
    """Return the tick for calls that took so long: 1, 2 or 5 times a power of ten, at least `ticks` to the usual call.

    >>> tick_of([0.030, 0.010, 0.020], 500.0), tick_of([0.0], 500.0)
    (2e-05, 1e-07)
    """
    usual, tick = usual_of(took), FINEST
    for factor in (2.0, 2.5, 2.0) * 12:
        if usual < tick * factor * ticks:
            break
        tick = float(f"{tick * factor:.0e}")
    return tick


def byte_planes(numbers: array[int]) -> list[bytes]:
    """Return the lowest byte of each number, then the next one of each, as far as there are any.

    >>> byte_planes(array("q", [1, 258]))
    [b'\\x01\\x02', b'\\x00\\x01']
    """
    return _planes(_little(numbers).tobytes(), numbers.itemsize)


def _planes(raw: bytes, width: int) -> list[bytes]:
    planes, nothing = [raw[place::width] for place in range(width)], bytes(len(raw) // width)
    while planes and planes[-1] == nothing:
        planes.pop()
    return planes


def from_planes(planes: Sequence[bytes], count: int) -> array[int]:
    """Return the `count` numbers of which these are the bytes; the missing ones are 0."""
    raw = bytearray(8 * count)
    for place, plane in enumerate(planes):
        raw[place::8] = plane
    return _column(bytes(raw))


def zigzag(numbers: Iterable[int]) -> array[int]:
    """Return numbers without sign: 0, -1, 1, -2, … as 0, 1, 2, 3."""
    return array("q", [number << 1 if number >= 0 else ~(number << 1) for number in numbers])


def _little(numbers: array[N]) -> array[N]:
    if sys.byteorder == "little":
        return numbers
    swapped = numbers[:]
    swapped.byteswap()
    return swapped


_head_of = msgspec.json.Decoder(Chunk).decode
