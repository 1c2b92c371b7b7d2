"""How many calls of a step wait until what they need is opened or started, and for how long did they?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class Opening:
    """What the calls of one step need is being opened or started: how many wait for that now, and how long they did.

    Args:
        clock: of the run.
        turned: called when one begins or ends to wait; from the thread on which it does.
    """

    __slots__ = ("_clock", "_guard", "_turned", "now", "waited")

    def __init__(self, clock: Callable[[], float], turned: Callable[[], None]) -> None:
        self.now: int = 0
        """How many calls wait."""
        self.waited: float = 0.0
        """Seconds for which calls did."""
        self._clock = clock
        self._turned = turned
        self._guard = threading.Lock()

    def wait(self) -> Wait:
        """Count a call as waiting, from now until that is over; from any thread."""
        with self._guard:
            self.now += 1
        self._turned()
        return Wait(self, self._clock())

    def over(self, began: float) -> None:
        """Count it no more."""
        with self._guard:
            self.now -= 1
            self.waited += self._clock() - began
        self._turned()


class Wait:
    """One call that waits; over with its block, if not before."""

    __slots__ = ("_began", "_opening")

    def __init__(self, opening: Opening, began: float) -> None:
        self._opening: Opening | None = opening
        self._began = began

    def over(self) -> None:
        """Wait no more."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.over(self._began)

    def __enter__(self) -> Self:
        """Wait."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the wait."""
        self.over()
