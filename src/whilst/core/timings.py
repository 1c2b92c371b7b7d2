"""How long did calls take: percentiles and the slowest, over millions of calls in a few kilobytes?

Calls of 25 µs and more are all counted. Of shorter ones about one in sixteen is, and each of these stands for as many
as were not looked at. Once there are more than a thousand, times are kept in classes of 0.4 to 0.8 % width: the
exponent of a number and the first seven bits behind it, as HdrHistogram does (hdrhistogram.org). These are the upper
half of a number of 32 bits: no arithmetic is needed for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappush, heappushpop
from math import inf
from struct import pack, unpack
from sys import byteorder

from .frozen import NamedTuple

LONG = float.fromhex("0x1.a4p-16")  # 25 µs, where a class begins; of shorter calls lanes look at one in so long
EACH = 16  # or at one in so many
FEW = 64  # calls from one look around to the next
MANY = 1024  # times that are kept as they are, before they go into their classes
UPPER = slice(byteorder == "little", None, 2)  # of the halves of numbers, those that tell the class
SLOWEST = 5


class Slow(NamedTuple):
    """One of the slowest calls.

    Attributes:
        index: which input it was of, counted from 0.
        took: how many seconds it took.
    """

    index: int  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]  # tuples have one
    took: float


class Times(NamedTuple):
    """How long calls took, in seconds.

    Attributes:
        calls: how many calls these are of.
        mean: of all.
        p50, p90, p99, p999: so many percent of the calls took no longer (99.9 in the last).
        longest: what the slowest call took.
        slowest: the five slowest calls, the slowest first.
        sampled: whether some of the calls were shorter than 25 µs; of these one in sixteen was timed.
    """

    calls: int = 0
    mean: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    longest: float = 0.0
    slowest: tuple[Slow, ...] = ()
    sampled: bool = False


class Timings:
    """Collects how long the calls of one run took; for one thread, but for `snapshot`.

    >>> timings = Timings()
    >>> for index, took in enumerate([0.010, 0.020, 0.030, 0.500]):
    ...     timings.add(took, index)
    >>> times = timings.snapshot().times(calls=4)
    >>> times.p50, times.p99, times.slowest[0]
    (0.02, 0.5, Slow(index=3, took=0.5))
    """

    __slots__ = ("_classes", "_fresh", "_least", "_looked", "_slowest", "_total")

    def __init__(self, looked: Callable[[], None] | None = None) -> None:
        self._fresh: list[float] = []  # what has come since the last look
        self._least: float = 0.0  # a call that took longer is one of the slowest so far
        self._looked = looked  # called now and then
        self._classes: Counter[int] = Counter()
        self._total = 0.0  # seconds of what is in `_classes`
        self._slowest: list[tuple[float, int]] = []

    def add(self, took: float, index: int) -> None:
        """Take note of one call: of each that took 25 µs or more, and of some of the others."""
        self._fresh.append(took)
        if took > self._least:
            self._slow(took, index)
        if len(self._fresh) % FEW == 0:
            self._settle()

    def snapshot(self) -> Snapshot:
        """Return what there is now, in a few microseconds; from any thread."""
        classes = dict(self._classes)  # at once: the `copy` of a Counter is a loop, and counts go on
        return Snapshot(self._fresh[:], classes, self._total, (*self._slowest,))

    def _slow(self, took: float, index: int) -> None:
        """Keep which call this was, until five others were slower."""
        if len(self._slowest) < SLOWEST:
            heappush(self._slowest, (took, -index))
        else:
            heappushpop(self._slowest, (took, -index))
        if len(self._slowest) == SLOWEST:
            self._least = self._slowest[0][0]

    def _settle(self) -> None:
        """Look at what has come."""
        if len(self._fresh) >= MANY:
            recent = self._fresh[:]
            del self._fresh[:]
            self._classes.update(classes_of(recent))
            self._total += sum(recent)
        if self._looked is not None:
            self._looked()


class Snapshot:
    """The timings of one moment; what they amount to is worked out when it is asked for, and once."""

    __slots__ = ("_classes", "_found", "_recent", "_slowest", "_total")

    def __init__(
        self,
        recent: Sequence[float] = (),
        classes: dict[int, int] | None = None,
        total: float = 0.0,
        slowest: tuple[tuple[float, int], ...] = (),
    ) -> None:
        self._recent = recent
        self._classes = classes if classes is not None else {}
        self._total = total
        self._slowest = slowest
        self._found: Times | None = None

    def times(self, calls: int) -> Times:
        """Return the figures, of so many calls in all."""
        found = self._found
        if found is None or found.calls != calls:
            self._found = found = self._work_out(calls)
        return found

    def _work_out(self, calls: int) -> Times:
        exact = Counter(took for took in self._recent if took >= LONG)
        brief = Counter(took for took in self._recent if took < LONG)
        first = classes_of([LONG])[0]
        long = [(middle_of(place), count) for place, count in self._classes.items() if place >= first]
        short = [(middle_of(place), count) for place, count in self._classes.items() if place < first]
        of_short = min(self._total, sum(took * count for took, count in short)) if long else self._total
        total = self._total - of_short + sum(took * count for took, count in exact.items())
        of_short += sum(took * count for took, count in brief.items())
        long += exact.items()
        short += brief.items()
        counted, sampled = sum(count for _, count in long), sum(count for _, count in short)
        if not counted + sampled:
            return Times(calls)
        each = max(1.0, (calls - counted) / sampled) if sampled else 0.0
        weighed = sorted(
            [*((took, float(count)) for took, count in long), *((took, count * each) for took, count in short)]
        )
        total += of_short * each
        slowest = tuple(Slow(-negative, took) for took, negative in sorted(self._slowest, reverse=True)[:SLOWEST])
        longest = slowest[0].took if slowest else weighed[-1][0]
        p50, p90, p99, p999 = (min(longest, it) for it in quantiles(weighed, (0.5, 0.9, 0.99, 0.999)))
        whole = counted + sampled * each
        return Times(calls, total / whole, p50, p90, p99, p999, longest, slowest, sampled > 0 and each > 1.0)


def classes_of(times: list[float]) -> list[int]:
    """Return the class of each time; a longer time is in the same one or in a higher one.

    >>> low, same, high = classes_of([0.2500, 0.2501, 0.2525])
    >>> low == same < high
    True
    """
    return memoryview(pack(f"{len(times)}f", *times)).cast("H")[UPPER].tolist()


def middle_of(place: int) -> float:
    """Return the time that stands for a class.

    >>> abs(middle_of(*classes_of([0.25])) / 0.25 - 1) < 0.004
    True
    """
    found: tuple[float] = unpack("=f", pack("=I", (place << 16) + (1 << 15)))
    return found[0]


def quantiles(weighed: list[tuple[float, float]], shares: tuple[float, ...]) -> list[float]:
    """Return, for each share (ascending), the smallest time that so much of the weight does not exceed.

    >>> quantiles([(1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 1.0)], (0.5, 0.9))
    [2.0, 4.0]
    """
    total = sum(weight for _, weight in weighed)
    found: list[float] = []
    sofar, place = 0.0, -1
    for share in shares:
        while place < len(weighed) - 1 and (place < 0 or sofar < share * total - 1e-9 * total):
            place += 1
            sofar += weighed[place][1]
        found.append(weighed[place][0] if place >= 0 else inf)
    return found


NO_TIMINGS: Snapshot = Snapshot()
"""Those of a run that has not begun."""
