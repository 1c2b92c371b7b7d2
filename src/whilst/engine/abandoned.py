"""Which permits are with calls that were given up? They stay out until the thread of the call comes home."""

from __future__ import annotations

from collections import Counter

from .lines import Line


class Abandoned:
    """The calls of one run that were given up."""

    def __init__(self) -> None:
        self.calls: Counter[int] = Counter()
        """Those of which nothing else is known yet, by their input."""
        self._lines: dict[int, list[Line]] = {}  # whose permits such calls hold

    def add(self, index: int, line: Line) -> None:
        """Take note that the call of an input is given up."""
        self.calls[index] += 1
        self._lines.setdefault(index, []).append(line)

    def ended(self, index: int) -> bool:
        """Whether what ended was given up; known once, as an input may be called again while its thread is stuck."""
        count = self.calls.pop(index, 0)
        if count > 1:
            self.calls[index] = count - 1
        return count > 0

    def came_home(self, index: int) -> None:
        """Give back the permit of such a call, now that it has returned; from any thread."""
        lines = self._lines.get(index)
        if lines:
            lines.pop().claim.give_back()
