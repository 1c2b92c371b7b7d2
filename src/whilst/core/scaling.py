"""What do more calls at once get done? Levels of concurrency that one run has seen, compared with each other."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from math import floor, log

from .frozen import NamedTuple
from .outcome import Record

LEAST_CALLS = 10  # that began at a level
MANY_CALLS = 100  # whose mean needs no help
APART = 1.25  # levels that are nearer to each other are one
FLAT = 0.5  # of the growth that calls with no queue before them would show
KEPT = 101  # calls of a level of which the median is
MOST_MOVES = 256  # that are remembered: calls that began before them are not told apart


class Level(NamedTuple):
    """So many calls at once.

    Attributes:
        slots: how many were in flight.
        calls: how many began while it was so.
        took: seconds that one of these takes, as far as that is known.
        mean: seconds that those which were seen took.
    """

    slots: int
    calls: int
    took: float
    mean: float = 0.0

    @property
    def rate(self) -> float:
        """Calls a second: by Little's law, what is in flight over what each takes."""
        return self.slots / self.took


class Levels:
    """How long calls took, by how many were in flight when they began; on the loop of a run whose number moves.

    What a call takes is settled by those before it, so it belongs to the level at which it began: while the number
    grows, the calls that end were begun when there were fewer.

    >>> levels = Levels()
    >>> levels.moved(0.0, 4)
    >>> levels.moved(1.0, 8)
    >>> for started, took in (0.0, 0.2), (0.9, 0.2), (1.1, 0.4):
    ...     levels.add(started, took)
    >>> levels.seen()
    {4: (2, 0.2, 0.2), 8: (1, 0.4, 0.4)}
    """

    __slots__ = ("_known", "_since", "_steps")

    def __init__(self) -> None:
        self._since: list[float] = []
        self._steps: list[_Step | None] = []  # from each of these times on; None: some slots were idle
        self._known: dict[int, _Step] = {}

    def moved(self, now: float, slots: int) -> None:
        """From now on so many calls are in flight; 0: fewer than might be."""
        step = self._step(slots) if slots else None
        if self._steps and self._steps[-1] is step:
            return
        self._since.append(now)
        self._steps.append(step)
        if len(self._since) > MOST_MOVES:
            del self._since[: MOST_MOVES // 2], self._steps[: MOST_MOVES // 2]

    def know(self, slots: int, calls: int, mean: float, median: float) -> None:
        """Take over what is known of calls that began before the number moved."""
        self._step(slots).know(calls, mean, median)

    def seeing(self, push: Callable[[Record], None]) -> Callable[[Record], None]:
        """Return `push`, before which an outcome is taken note of, if it is that of one call that went well."""
        since, steps, add = self._since, self._steps, self.add

        def see(record: Record) -> None:
            if record[6] == 1 and record[3] is None:
                if since and record[4] > since[-1]:  # it began after the last move, as most do: nothing to search
                    if (step := steps[-1]) is not None:
                        step.fresh.append(record[5])
                        if len(step.fresh) == MANY_CALLS:
                            step.settle()
                else:
                    add(record[4], record[5])
            push(record)

        return see

    def add(self, started: float, took: float) -> None:
        """Take note of a call that has ended."""
        if not self._since or not started >= self._since[0]:  # or it was recalled, and has none
            return
        place = bisect_left(self._since, started) - 1  # of what moved at the same time it may have been the first
        if (step := self._steps[max(0, place)]) is not None:
            step.fresh.append(took)
            step.settle()

    def seen(self) -> dict[int, tuple[int, float, float]]:
        """Return how many calls began at each level, the mean and the median of what they took; from any thread."""
        found = {step.slots: step.figures() for step in [*self._known.values()] if step.calls}
        return found if len(found) > 1 else {}

    def _step(self, slots: int) -> _Step:
        number = floor(log(slots) / _WIDTH + 1e-9)
        step = self._known.get(number)
        if step is None:
            step = self._known[number] = _Step(slots)
        step.slots = min(step.slots, slots)
        return step


class _Step:
    """One level, and those that are so near to it that they are the same."""

    __slots__ = ("_calls", "_last", "_median", "_total", "fresh", "slots")

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.fresh: list[float] = []  # what calls took that `settle` has not counted yet
        self._calls = 0
        self._total = 0.0
        self._last: deque[float] = deque(maxlen=KEPT)
        self._median: tuple[int, float] = 0, 0.0  # after how many calls it was looked for, and what it was

    def settle(self) -> None:
        """Count what is fresh; who reads it meanwhile, on another thread, finds it counted or not."""
        fresh = self.fresh
        total, calls = self._total + sum(fresh), self._calls + len(fresh)
        self._last += fresh
        self.fresh, self._total, self._calls = [], total, calls

    def know(self, calls: int, mean: float, median: float) -> None:
        self._calls, self._total, self._median = calls, calls * mean, (calls, median)
        self._last.append(median)

    @property
    def calls(self) -> int:
        return self._calls + len(self.fresh)

    def figures(self) -> tuple[int, float, float]:
        fresh, calls, total, (looked, median) = self.fresh[:], self._calls, self._total, self._median
        calls += len(fresh)
        if looked != calls:
            last = sorted([*self._last.copy(), *fresh][-KEPT:])
            median = last[len(last) // 2]
            self._median = calls, median
        return calls, (total + sum(fresh)) / calls, median


_WIDTH = log(APART)


class Scaling(NamedTuple):
    """The universal scalability law: what `slots` calls at once get done, in calls a second.

    Attributes:
        one: what one call at a time gets done.
        queue: the share of a call for which it waits for others.
        cost: what each pair of calls costs the other side.
    """

    one: float
    queue: float
    cost: float

    def rate(self, slots: int) -> float:
        """Return calls a second."""
        return self.one * slots / (1.0 + self.queue * (slots - 1) + self.cost * slots * (slots - 1))

    @property
    def best(self) -> int | None:
        """How many at once get the most done; None if there is no end of it."""
        return max(1, round(((1.0 - self.queue) / self.cost) ** 0.5)) if self.cost > 0 and self.queue < 1 else None


def levels_of(seen: Mapping[int, tuple[int, float, float]], typical: float = 1.0) -> list[Level]:
    """Return the levels of which something can be said, the lowest first; of near ones that with more calls.

    Args:
        seen: as `Levels.seen` returns it.
        typical: the mean of what all calls took over their median: of a few calls the mean may be too low, where a
            few of many take long.

    >>> seen = {8: (80, 0.1, 0.1), 9: (92, 0.1, 0.1), 16: (100, 0.1, 0.1), 32: (1, 0.1, 0.1)}
    >>> [level.slots for level in levels_of(seen)]
    [9, 16]
    """
    found: list[Level] = []
    for slots, (calls, mean, median) in sorted(seen.items()):
        level = Level(slots, calls, mean if calls >= MANY_CALLS else max(mean, median * typical), mean)
        if calls < LEAST_CALLS or level.took <= 0.0:
            continue
        if found and slots < APART * found[-1].slots:
            if calls > found[-1].calls:
                found[-1] = level
        else:
            found.append(level)
    return found


def knee_of(levels: list[Level]) -> Level:
    """Return the highest level up to which more calls got more done, by at least half as much as there were more.

    >>> knee_of([Level(4, 50, 0.1), Level(8, 50, 0.1), Level(16, 50, 0.195)]).slots
    8
    >>> knee_of([Level(4, 50, 0.1), Level(8, 50, 0.101)]).slots
    8
    """
    law = fitted(levels)
    most = law.best if law is not None and law.best is not None else levels[-1].slots
    found, *higher = levels
    for level in higher:
        grown = level.slots / found.slots - 1.0
        if level.slots <= most and level.rate / found.rate - 1.0 >= FLAT * grown:
            found = level
    return found


def fitted(levels: list[Level]) -> Scaling | None:
    """Fit the universal scalability law to three levels or more; None if they do not follow one.

    What a call takes is linear in its three numbers, so least squares are enough.

    >>> law = fitted([Level(n, 50, n / Scaling(100.0, 0.05, 0.002).rate(n)) for n in (1, 4, 16, 32)])
    >>> abs(law.one - 100) < 3, law.best
    (True, 22)
    """
    if len(levels) < 3:
        return None
    rows = [((1.0, n - 1.0, n * (n - 1.0)), level.took) for level in levels for n in [float(level.slots)]]
    square = [[sum(x[i] * x[j] for x, _ in rows) for j in range(3)] for i in range(3)]
    solved = _solved(square, [sum(x[i] * y for x, y in rows) for i in range(3)])
    if solved is None or solved[0] <= 0:
        return None
    first, second, third = solved
    return Scaling(1.0 / first, max(0.0, second / first), max(0.0, third / first))


def _solved(rows: list[list[float]], right: list[float]) -> list[float] | None:
    """Solve three equations by Cramer's rule."""
    whole = _determinant(rows)
    if abs(whole) < 1e-12:
        return None
    return [
        _determinant([[right[i] if j == place else rows[i][j] for j in range(3)] for i in range(3)]) / whole
        for place in range(3)
    ]


def _determinant(m: list[list[float]]) -> float:
    return (
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    )
