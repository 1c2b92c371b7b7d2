"""What becomes of a call that has returned: an outcome, another attempt, or the end of the run?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from ..core.outcome import Record
from ..core.plan import Plan
from ..core.pushback import Pushback, pushback_of
from ..core.transient import transient
from .attempts import Attempts
from .failing import Failures
from .intake import Intake, Pair
from .keeping import Keeping


class Host(Protocol):
    """What this needs from the driver."""

    clock: Callable[[], float]
    intake: Intake
    horizon: float
    """Inputs from this index on are not wanted any more."""
    done: int
    unwanted: int

    def watch(self) -> None:
        """Have every record pass by here from now on: there is a gate that wants to know of it."""

    def give(self, record: Record) -> None:
        """Give an outcome to the consumer."""

    def stop(self, error: BaseException | None, horizon: int = 0) -> None:
        """Admit nothing more, and forget inputs from `horizon` on that are not in flight."""

    def fatal(self, error: BaseException) -> None:
        """End the run now."""

    def drop(self, after: int) -> None:
        """End the calls of inputs behind this index, without outcomes."""


class Judging:
    """The judge of one run's calls; every method is called on the loop."""

    def __init__(
        self, host: Host, plan: Plan, attempts: Attempts | None, keeping: Keeping | None, *, fail_fast: bool
    ) -> None:
        self.failures: Failures = Failures(plan)
        self.uncalled: int = 0
        """Inputs that have an outcome without a call: in the journal, or unfit for it."""
        self._host = host
        self._plan = plan
        self._attempts = attempts
        self._keeping = keeping
        self._fail_fast = fail_fast

    def outcome_of(self, record: Record) -> Record | None:
        """Tell gate, retries and journal what became of a call; None if it is no outcome yet."""
        attempts, keeping, gate = self._attempts, self._keeping, self._host.intake.gate
        if attempts is not None and record[0] in attempts.tried:
            record = (*record[:6], attempts.number(record[0]))
        if record[3] is None:
            if gate is not None:
                gate.returned(record, None, slot=keeping is None or not keeping.strict)
        elif not self.failed(record):
            return None
        if attempts is not None:
            attempts.tried.pop(record[0], None)
        return record if keeping is None or keeping.write(record, slot=True) else None

    def failed(self, record: Record) -> bool:
        """Judge a failure; False if it is no outcome: it waits for another attempt, or is the end of the run."""
        host, index, error = self._host, record[0], record[3]
        assert error is not None
        if not isinstance(error, Exception):  # KeyboardInterrupt, SystemExit: the consumer's to raise
            if host.intake.gate is not None:
                host.intake.gate.dropped(index)
            host.done += 1
            host.unwanted += 1
            host.fatal(error)
            return False
        pushback = pushback_of(error, time.time())
        ill = self._is_ill(error, pushback)
        if host.intake.gate is None and (ill or (pushback is not None and pushback.pauses)):
            host.watch()
        again = self._is_worth_another(record, pushback)
        if pushback is not None:
            self.failures.pushed_back(pushback)
        self._tell_gate(record, pushback, ill=ill, again=again)
        if again:
            host.intake.expect_retry()
            if record[6] == 1:
                self.failures.tried_again(error)
            return False
        self.count(record)
        return True

    def count(self, record: Record, *, called: bool = True) -> None:
        """Count a failed outcome, of a call or none, and apply the policies that end a run."""
        host, error = self._host, record[3]
        assert error is not None
        total, reached = self._plan.total, host.intake.reached
        untouched = None if total is None else max(0, total - reached)
        finished = host.done - host.unwanted + 1
        stopped = self.failures.add(error, finished, finished - self.uncalled if called else None, untouched)
        if not self._fail_fast:
            if stopped is not None:
                host.stop(stopped)
            return
        horizon = record[0] if self._plan.ordered else 0
        if horizon < host.horizon:
            host.stop(None, horizon)
            host.drop(record[0] if self._plan.ordered else -1)

    def settle(self, record: Record, *, called: bool = True) -> None:
        """Take a failure that no call of this moment made."""
        self.count(record, called=called)
        if self._keeping is None or self._keeping.write(record, slot=False):
            self._host.give(record)

    def unfit(self, found: list[tuple[Pair, Exception]]) -> None:
        """Fail inputs that are not called, because a limit's `by` or `weight` raised for them."""
        for (index, item), error in found:
            before = self._attempts.unmade(index) if self._attempts is not None else None
            self.uncalled += before is None
            attempts = 0 if before is None else before[6]
            self.settle((index, item, None, error, self._host.clock(), 0.0, attempts), called=attempts > 0)

    # -- private, in order of use -----------------------------------------------------------------------------

    def _is_ill(self, error: Exception, pushback: Pushback | None) -> bool:
        """Whether a failure speaks of the other side's health to a breaker."""
        if self._attempts is None or not self._attempts.retry.breaker:
            return False
        if pushback is not None and pushback.retry_after is not None:  # it is well: the pause is enough
            return False
        return transient(error)

    def _is_worth_another(self, record: Record, pushback: Pushback | None) -> bool:
        host = self._host
        if self._attempts is None or record[0] >= host.horizon:
            return False
        return self._attempts.again(record, pushback, host.intake.reached - self.uncalled, host.clock())

    def _tell_gate(self, record: Record, pushback: Pushback | None, *, ill: bool, again: bool) -> None:
        gate, strict = self._host.intake.gate, self._keeping is not None and self._keeping.strict
        if gate is None:
            return
        if self._attempts is not None and self._attempts.retry.breaker:
            gate.failed(record[0], ill=ill)
        gate.returned(record, pushback, slot=again or not strict)
