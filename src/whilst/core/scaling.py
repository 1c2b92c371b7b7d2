"""What do more calls at once get done? Levels of concurrency that one run has seen, compared with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

LEAST_TIME = 0.1  # seconds at a level
LEAST_CALLS = 10
APART = 1.25  # levels that are nearer to each other are one
FLAT = 0.5  # of the growth that calls with no queue before them would show


class Level(NamedTuple):
    """So many calls at once.

    Attributes:
        slots: how many were permitted.
        seconds: for how long.
        ended: how many calls ended meanwhile.
    """

    slots: int
    seconds: float
    ended: int

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.ended / self.seconds


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


def levels_of(levels: Mapping[int, tuple[float, int]]) -> list[Level]:
    """Return the levels of which something can be said, the lowest first; near ones are one.

    >>> [level.slots for level in levels_of({8: (1.0, 80), 9: (1.0, 92), 16: (1.0, 100), 32: (0.01, 1)})]
    [8, 16]
    """
    found: list[Level] = []
    for slots, (seconds, ended) in sorted(levels.items()):
        if found and slots < APART * found[-1].slots:
            before = found[-1]
            found[-1] = Level(before.slots, before.seconds + seconds, before.ended + ended)
        else:
            found.append(Level(slots, seconds, ended))
    return [level for level in found if level.seconds >= LEAST_TIME and level.ended >= LEAST_CALLS]


def best_of(levels: list[Level]) -> Level:
    """Return the lowest level that gets as much done as any, give or take a twentieth.

    >>> best_of([Level(4, 1.0, 40), Level(8, 1.0, 80), Level(16, 1.0, 82)]).slots
    8
    """
    most = max(level.rate for level in levels)
    return next(level for level in levels if level.rate >= 0.95 * most)


def saturates(levels: list[Level]) -> bool:
    """Whether the highest level got less done, over the best one below it, than half of what it should have.

    >>> saturates([Level(4, 1.0, 40), Level(8, 1.0, 80), Level(16, 1.0, 82)])
    True
    >>> saturates([Level(4, 1.0, 40), Level(8, 1.0, 79)])
    False
    """
    *lower, top = levels
    if not lower:
        return False
    if (law := fitted(levels)) is not None and law.best is not None and law.best < top.slots:
        return True
    below = best_of(lower)
    return top.rate / below.rate - 1.0 < FLAT * (top.slots / below.slots - 1.0)


def fitted(levels: list[Level]) -> Scaling | None:
    """Fit the universal scalability law to three levels or more; None if they do not follow one.

    `slots / rate` is linear in its three numbers, so least squares are enough.

    >>> law = fitted([Level(n, 1.0, round(Scaling(100.0, 0.05, 0.002).rate(n))) for n in (1, 4, 16, 32)])
    >>> abs(law.one - 100) < 3, law.best
    (True, 22)
    """
    if len(levels) < 3:
        return None
    rows = [((1.0, n - 1.0, n * (n - 1.0)), n / level.rate) for level in levels for n in [float(level.slots)]]
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
