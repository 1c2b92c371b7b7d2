"""What do a run's failures amount to? Counts them, knows when they are too many, notes what a reader should know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..core.evidence import text_of
from ..core.failures import MOST_QUOTED, SameFailure, kind_of
from ..core.plan import Plan
from ..core.pushback import Pushback
from ..core.retried import retried_inside, retries_of
from ..core.secrets import bounded, without_secrets
from ..errors import Stopped

MOST_NOTES = 20
MOST_NAMED = 3  # keys that a note names


class Failures:
    """The failures of one run so far."""

    def __init__(self, plan: Plan) -> None:
        self.kinds: Counter[str] = Counter()
        self.rejected: int = 0
        """Calls that were answered with "slower"."""
        self.way_on: str = ""
        """What would have a run go on although all its calls fail the same way, if that is not `stop_after`."""
        self._plan = plan
        self._same: SameFailure | None = None  # from the first failure on
        self._notes: dict[str, None] = {}
        self._retried_by: str | None = None  # by what inside the function, once that was looked for

    def goes_by(self, plan: Plan) -> None:
        """Go by another plan from here on."""
        self._plan = plan

    @property
    def count(self) -> int:
        """How many inputs have failed. From any thread."""
        return sum(tuple(self.kinds.values()))

    def add(self, error: BaseException, finished: int, calls: int | None, untouched: int | None) -> Stopped | None:
        """Count a failed outcome, the `finished`-th of all; return what ends the run, if that is too much.

        Args:
            error: the failure.
            finished: how many outcomes there are, this one among them.
            calls: how many of those were calls; None if this one was none, and tells nothing of how calls end.
            untouched: how many inputs have not been called, where that is known.
        """
        self.kinds[kind_of(error)] += 1
        if (stop_after := self._plan.stop_after) is not None:
            too_many = stop_after.reached(self.count, finished, self._plan.total)
            return self._too_many(finished, error) if too_many else None
        same = self._same = self._same or SameFailure()
        if calls is not None and (name := same.note(error, calls)):
            return self._hopeless(same, name, calls, untouched)
        return None

    def pushed_back(self, pushback: Pushback) -> None:
        """Take note that the other side wants less."""
        self.rejected += not pushback.timeout
        self.note(pushback.absurd)

    def tried_again(self, error: BaseException) -> None:
        """Look, at an input's first retry, whether something inside the function retries too."""
        if self._retried_by is None:
            self._retried_by = retries_of(self._plan.fn)
        elif self._retried_by:
            return  # it has been noted
        self._retried_by = inside = self._retried_by or retried_inside(error)
        if inside:
            self.note(f"{self._plan.name}() is retried at two levels: by {inside} inside it and by retry= here")

    def note(self, text: str) -> None:
        """Keep a line for the summary, once."""
        if text and len(self._notes) < MOST_NOTES:
            self._notes[without_secrets(text)] = None

    def notes(self, opened: int, broken: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the lines; `opened` is how often a breaker has opened, `broken` the keys for which one did."""
        times = "once" if opened == 1 else f"{opened:,} times"
        more = f" and {len(broken) - MOST_NAMED:,} more" if len(broken) > MOST_NAMED else ""
        who = f" ({', '.join(broken[:MOST_NAMED])}{more})" if broken else ""
        broke = f"paused {times}{who}, because fewer than one in ten calls within 10 s went well; then one call probed"
        return (*self._notes, *((broke,) * bool(opened)))

    def _hopeless(self, same: SameFailure, name: str, calls: int, untouched: int | None) -> Stopped:
        rest = f"{untouched:,} inputs are" if untouched is not None else "the other inputs are"
        shown, way_on = without_secrets(name), self.way_on or 'stop_after="100%" would go on to the end'
        return Stopped(
            f"{same.count(name):,} of the first {calls:,} calls of {self._plan.name} failed the same way: {shown}\n"
            f"  {rest} untouched; retrying would not help\n"
            f"  {same.remedy(name)}, then run it again ({way_on})",
            remedy=same.remedy(name),
        )

    def _too_many(self, finished: int, last: BaseException) -> Stopped:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds.most_common(3))
        return Stopped(
            f"{self.count:,} of the first {finished:,} calls of {self._plan.name} failed ({kinds})\n"
            f"  the last one: {type(last).__name__}: {bounded(text_of(last), MOST_QUOTED)}\n"
            f"  stop_after={self._plan.stop_after} ended the run; nothing new was started"
        )
