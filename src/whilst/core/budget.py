"""How many retries may be made, so that they do not add to what makes calls fail?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import exp, inf

RESERVE = 10.0  # retries a second that a budget allows whatever the calls do
MEMORY = 10.0  # seconds after which most of what successful calls earned for the budget is forgotten
LEAST_TOLD = 0.5  # seconds; a wait for less is not worth a word
MORE = 0.5  # the share that is named as a way out


class Budget:
    """Bounds retries to a share of the calls plus 10 a second; who finds it empty is told when to come.

    Args:
        share: of the calls.
        now: the time.
        written: says how the retries would be written with another budget.

    >>> budget = Budget(0.2, 0.0)
    >>> [round(budget.withdraw(0, 0.0), 3) for _ in range(20)][-1]
    2.0
    >>> budget.words(1.0)
    'waits for the retry budget (20 %)'
    """

    __slots__ = ("_asked", "_calls", "_earned", "_free", "_share", "_waited", "_written")

    def __init__(
        self, share: float, now: float, written: Callable[[float | None], str] = "Retry(budget={})".format
    ) -> None:
        self._share = share
        self._written = written
        self._earned = 0.0
        self._calls = 0
        self._asked = now  # when `_earned` was last brought up to date
        self._free = now  # when the reserve has its next retry
        self._waited = False

    def withdraw(self, calls: int, now: float, within: float = inf) -> float | None:
        """Take one retry out and return the seconds until it may be made; None if that is not less than `within`.

        `calls` is how many first attempts there were so far; a smaller number than before is taken for the same.
        """
        new = max(0, calls - self._calls)
        self._earned = self._earned * exp((self._asked - now) / MEMORY) + self._share * new
        self._asked, self._calls = now, self._calls + new
        if self._earned >= 1.0 and within > 0.0:
            self._earned -= 1.0
            return 0.0
        free = max(self._free, now) + 1.0 / RESERVE
        if free - now >= within:
            return None
        self._free = free
        self._waited = self._waited or free - now >= LEAST_TOLD
        return free - now

    def words(self, now: float) -> str:
        """Say that retries wait for it now; "" if none does. From any thread."""
        waits = self._free - now >= LEAST_TOLD
        return f"waits for the retry budget ({self._share:.0%})".replace("%", " %") if waits else ""

    @property
    def note(self) -> str:
        """What a summary says if retries had to wait for it; "" if none had to."""
        if not self._waited:
            return ""
        out = self._written(MORE if self._share < MORE else None)
        share = f"{self._share:.0%}".replace("%", " %")
        return (
            f"waits for the retry budget ({share}): retries are held to that share of the calls, plus {RESERVE:g} a "
            f"second; {out} lets more of them through"
        )


def ways_out(notes: Iterable[str]) -> list[str]:
    """Return what the notes of budgets name as a way out, each once.

    >>> budget = Budget(0.8, 0.0)
    >>> _ = [budget.withdraw(0, 0.0) for _ in range(20)]
    >>> ways_out([budget.note, budget.note, "another"])
    ['Retry(budget=None)']
    """
    found = (re.search(r"retry budget .* a second; (Retry\(.*\)) lets more of them through", note) for note in notes)
    return list(dict.fromkeys(it[1] for it in found if it))
