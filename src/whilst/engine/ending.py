"""How does a pipeline end before its source does? Its first stage starts nothing new, and the rest flows through."""

from __future__ import annotations

from collections.abc import Callable


class Ending:
    """The end of what a stream of items reads, asked for while it runs; for the loop.

    Whoever begins to read says how that is ended. What follows on it is in flight from then on, other pipelines too.
    """

    __slots__ = ("_asked", "_begun", "_end")

    def __init__(self) -> None:
        self._asked = self._begun = False
        self._end: Callable[[], None] | None = None

    def ask(self) -> bool:
        """End the source; return False if that is the run's own, for the run to end."""
        if not self._asked:
            self._asked = True
            if self._end is not None:
                self._end()
        return self._end is not None or not self._begun

    def begins(self, end: Callable[[], None] | None) -> bool:
        """Take note that something begins to read, and of what `end`s it: None if the run does it by itself.

        Returns whether it shall read at all: not if the end came before anything was read.
        """
        if self._asked:
            too_late, self._begun = not self._begun, True
            if too_late:
                self._end = end
            return not too_late
        self._begun, self._end = True, end
        return True
