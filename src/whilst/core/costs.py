"""What do calls cost indeed, where what they cost is estimated before they are made, and told when they are over?"""

from __future__ import annotations

KEPT = 1 - 1 / 32  # of what was told before, with each call that tells
MARGIN = 1.004  # of what is told: what is in flight may cost more than thought, all of it by chance
MOST = 100.0  # times that a cost may be off


class Cost:
    """What one call counts of a rate.

    Attributes:
        weight: what it was thought to cost.
        counted: what it counts now.
        told: whether it has told what it cost.
    """

    __slots__ = ("counted", "told", "weight")

    def __init__(self, weight: float, counted: float) -> None:
        self.weight: float = weight
        self.counted: float = counted
        self.told: bool = False


class Scale:
    """How far estimates have been off of late, by which the next ones are taken.

    So a pace need not wait for each answer: estimates that are all twice too high would have half of what is given back
    come too late to be used, and those that are too low have as many calls too many as are in flight.

    >>> scale, cost = Scale(), Cost(100.0, 100.0)
    >>> round(scale.learn(cost, 50.0), 3), round(scale.now, 3)
    (0.0, 0.502)
    """

    __slots__ = ("_real", "_thought", "now")

    def __init__(self) -> None:
        self.now: float = 1.0
        """What a call costs for each unit of its estimate."""
        self._thought = 0.0
        self._real = 0.0

    def learn(self, cost: Cost, real: float) -> float:
        """Take note of what a call cost; what it told before is forgotten. Return how much more that is than counted.

        What was counted too much before the scale was known does not come back: that time is over, and to make up for
        it would be too much for the minute in which that is done.
        """
        real *= MARGIN
        before = cost.counted
        if cost.told:
            self._real = max(0.0, self._real + real - before)
        else:
            self._thought = KEPT * self._thought + cost.weight
            self._real = KEPT * self._real + real
        if self._thought:
            self.now = min(MOST, max(1 / MOST, self._real / self._thought))
        if not cost.told:
            before = min(before, max(real, cost.weight * self.now))
        cost.counted, cost.told = real, True
        return real - before
