"""What becomes of a call that has returned: an outcome, another attempt, or the end of the run?

`Failures` knows what a run's failures amount to, and when they are too many.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Protocol

from ..core.evidence import text_of
from ..core.failures import MOST_QUOTED, SameFailure, kind_of
from ..core.outcome import Record
from ..core.plan import Plan
from ..core.pushback import Pushback, pushback_of
from ..core.retried import retried_inside, retries_of
from ..core.secrets import bounded, without_secrets
from ..errors import Stopped
from .asking import told_of
from .book import Book
from .deadlines import Waiting
from .gate import Host as GateHost
from .keeping import Keeping
from .source import Pair

MOST_NOTES = 20
MOST_NAMED = 3  # keys that a note names


class Failures:
    """The failures of one run so far."""

    def __init__(self, plan: Plan) -> None:
        self.kinds: Counter[str] = Counter()
        self.time: dict[str, float] = {}
        """Seconds of calls that failed, by kind; of those too that are made again."""
        self.rejected: int = 0
        """Calls that were answered with "slower"."""
        self.way_on: str = ""
        """What would have a run go on although all its calls fail the same way, if that is not `stop_after`."""
        self._plan = plan
        self._same: SameFailure | None = None  # from the first failure on
        self._notes: dict[str, None] = {}
        self._retried_by: str | None = None  # by what inside the function, once that was looked for

    @property
    def count(self) -> int:
        """How many inputs have failed. From any thread."""
        return sum(tuple(self.kinds.values()))

    def add(
        self, error: BaseException, finished: int, calls: int | None, total: int | None, untouched: int | None
    ) -> Stopped | None:
        """Count a failed outcome, the `finished`-th of all; return what ends the run, if that is too much.

        Args:
            error: the failure.
            finished: how many outcomes there are, this one among them.
            calls: how many of those were calls; None if this one was none, and tells nothing of how calls end.
            total: how many inputs there will be, where that is known.
            untouched: how many of them have not been called, where that is known.
        """
        self.kinds[kind_of(error)] += 1
        if (stop_after := self._plan.stop_after) is not None:
            too_many = stop_after.reached(self.count, finished, total)
            return self._too_many(finished, error) if too_many else None
        same = self._same = self._same or SameFailure()
        if calls is not None and (name := same.note(error, calls)):
            return self._hopeless(same, name, calls, untouched)
        return None

    def took(self, error: BaseException, seconds: float) -> None:
        """Take note that a call took so long, and failed."""
        kind = kind_of(error)
        self.time[kind] = self.time.get(kind, 0.0) + seconds

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


class Host(GateHost, Protocol):
    """What this needs from the driver, besides what a gate needs."""

    plan: Plan
    book: Book

    @property
    def finished(self) -> bool:
        """Whether there will be no more outcomes."""
        ...

    def give(self, record: Record) -> None:
        """Give an outcome to the consumer."""

    def stop(self, error: BaseException | None, horizon: int = 0) -> None:
        """Admit nothing more, and forget inputs from `horizon` on that are not in flight."""

    def emit(self, record: Record, /) -> None:
        """Take what became of a call."""

    def drop(self, after: int) -> None:
        """End the calls of inputs behind this index, without outcomes."""


class Judging:
    """The judge of one run's calls; every method is called on the loop."""

    def __init__(
        self,
        host: Host,
        plan: Plan,
        attempts: Waiting | None,
        keeping: Keeping | None,
        *,
        fail_fast: bool,
        asks: bool = False,
    ) -> None:
        self.failures: Failures = Failures(plan)
        self._host = host
        self._plan = plan
        self._attempts = attempts
        self._keeping = keeping
        self._fail_fast = fail_fast
        self._asks = asks  # whether a judge of the user's is asked
        self._unjudged: deque[Record] = deque()
        self.wants: bool = plan.retry is not None and plan.retry.on_value is not None
        """Whether values are judged, too."""
        self._tell = None if plan.retry is None else told_of(plan.retry, host.asking)

    def outcome_of(self, record: Record) -> Record | None:
        """Tell gate, retries and journal what became of a call; None if it is no outcome yet."""
        if self._asks and self._is_judged_later(record):
            return None
        attempts, keeping, gate = self._attempts, self._keeping, self._host.book.gate
        if attempts is not None and record[0] in attempts.tried:
            record = (*record[:6], attempts.number(record[0]))
        if self.wants and record[3] is None and attempts is not None:
            unwanted = attempts.attempts.unwanted(record[2])
            if unwanted is not None:
                record = (*record[:2], None, unwanted, *record[4:])
        if record[3] is None:
            if gate is not None:
                gate.returned(record, None, slot=keeping is None or not keeping.strict)
        elif not self.failed(record):
            return None
        if attempts is not None:
            attempts.tried.pop(record[0], None)
        return record if keeping is None else keeping.write(record, slot=True)

    def failed(self, record: Record) -> bool:
        """Judge a failure; False if it is no outcome: it waits for another attempt, or is the end of the run."""
        host, index, error = self._host, record[0], record[3]
        assert error is not None
        if not isinstance(error, Exception):  # KeyboardInterrupt, SystemExit: the consumer's to raise
            if host.book.gate is not None:
                host.book.gate.dropped(index)
            host.book.lose(1)
            host.fatal(error)
            return False
        if not self._plan.composed:
            self.failures.took(error, record[5])
        pushback = pushback_of(error, time.time())
        ill = self._attempts is not None and self._attempts.attempts.is_ill(error, pushback)
        heeds = self._attempts is not None or not self._plan.composed  # the steps of a flow do it by themselves
        retried = self._attempts is not None
        concerns_others = ill or (pushback is not None and pushback.concerns_others(retried=retried))
        if heeds and host.book.gate is None and concerns_others:
            host.book.add_gate()
        wait = self._wait_for_another(record, pushback)
        again = wait is not None
        if wait is not None:
            item, started, took, attempt = record[1], *record[4:]
            host.watch.attempt_failed(
                index,
                item,
                "",
                attempt=attempt,
                error=error,
                wait=wait,
                started=started,
                took=took,
                tell=self._tell,
            )
        if pushback is not None and not self._plan.composed:
            self.failures.pushed_back(pushback)
        self._tell_gate(record, pushback, ill=ill, again=again)
        if again:
            host.book.expect_retry()
            if record[6] == 1:
                self.failures.tried_again(error)
            return False
        if host.finished:  # as in `settle`
            host.book.lose(1)
            return False
        self.count(record)
        return True

    def count(self, record: Record, *, called: bool = True) -> None:
        """Count a failed outcome, of a call or none, and apply the policies that end a run."""
        host, error = self._host, record[3]
        assert error is not None
        total, reached = host.plan.total, host.book.reached
        untouched = None if total is None else max(0, total - reached)
        finished = host.book.done - host.book.unwanted + 1
        calls = finished - host.book.uncalled if called else None
        stopped = self.failures.add(error, finished, calls, total, untouched)
        if not self._fail_fast:
            if stopped is not None:
                host.stop(stopped)
            return
        horizon = record[0] if self._plan.ordered else 0
        if horizon < host.book.horizon:
            host.stop(None, horizon)
            host.drop(record[0] if self._plan.ordered else -1)

    def settle(self, record: Record, *, called: bool = True) -> None:
        """Take a failure that no call of this moment made."""
        if self._host.finished:  # by what was asked, which has ended the run
            self._host.book.lose(1)
            return
        self.count(record, called=called)
        kept = record if self._keeping is None else self._keeping.write(record, slot=False)
        if kept is not None:
            self._host.give(kept)

    def unfit(self, found: list[tuple[Pair, Exception]]) -> None:
        """Fail inputs that are not called, because a limit's `by` or `weight` raised for them."""
        for (index, item), error in found:
            before = self._attempts.unmade(index) if self._attempts is not None else None
            self._host.book.uncalled += before is None
            attempts = 0 if before is None else before[6]
            self.settle((index, item, None, error, self._host.clock(), 0.0, attempts), called=attempts > 0)

    def judge_on(self) -> None:
        """Judge what has waited for its turn on the loop."""
        for _ in range(len(self._unjudged)):
            self._host.emit(self._unjudged.popleft())

    # -- private, in order of use -----------------------------------------------------------------------------

    def _is_judged_later(self, record: Record) -> bool:
        """Whether the user's judge of retries would hold the loop for too long."""
        host = self._host
        if (
            (record[3] is None and not self.wants)
            or record[0] >= host.book.horizon
            or host.asking.has_time(self.judge_on)
        ):
            return False
        self._unjudged.append(record)
        return True

    def _wait_for_another(self, record: Record, pushback: Pushback | None) -> float | None:
        """Return how many seconds a failed input waits for another attempt; None if it has had its last."""
        host = self._host
        if self._attempts is None or record[0] >= host.book.horizon:
            return None
        return self._attempts.again(record, pushback, host.book.reached - self._host.book.uncalled, host.clock())

    def _tell_gate(self, record: Record, pushback: Pushback | None, *, ill: bool, again: bool) -> None:
        gate, strict = self._host.book.gate, self._keeping is not None and self._keeping.strict
        if gate is None:
            return
        if self._attempts is not None and self._attempts.attempts.breaks:
            gate.failed(record[0], ill=ill)
        gate.returned(record, pushback, slot=again or not strict)
