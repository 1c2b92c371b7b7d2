"""Is a failed call made again, and when? And how long may a call take, and an input over all its attempts?

The one place that decides it: for the inputs of a map, which wait in a heap, and for the steps of a flow, which wait
where they stand.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from ..errors import UnwantedValue
from .budget import Budget
from .frozen import NamedTuple
from .held import Still
from .outcome import noted_retry
from .pushback import Pushback
from .transient import transient
from .waits import waits

if TYPE_CHECKING:
    from .retry import Retry


class Patience(NamedTuple):
    """How long calls of one function may take.

    Attributes:
        name: what messages call it.
        timeout: seconds for one call; infinite for any time.
        total: seconds for one input over all its attempts, from its first call.
    """

    name: str
    timeout: float
    total: float

    @classmethod
    def of(cls, name: str, timeout: float | None, retry: Retry | None) -> Patience:
        """Read it from policies."""
        total = None if retry is None else retry.total
        return cls(name, inf if timeout is None else timeout, inf if total is None else total)

    @property
    def least(self) -> float:
        """Seconds that a call may take at most; infinite if it may take any time."""
        return min(self.timeout, self.total)

    def due(self, first: float, started: float) -> float:
        """Return when a call is past its time, of an input whose first call began at `first`."""
        return min(started + self.timeout, first + self.total)

    def error(self, started: float, now: float) -> TimeoutError:
        """Say that a call is past its time, and by which of the two."""
        if now >= started + self.timeout:
            return TimeoutError(f"{self.name} took longer than its timeout of {self.timeout:g} s")
        total = f"{self.total:g}"
        return TimeoutError(f"{self.name} took longer than {total} s over all its attempts (Retry(total={total}))")


class Attempts:
    """The attempts of one function under one `Retry`, which its inputs share; `now` is the time of the run.

    Args:
        retry: the policy; without one there is one attempt.
        draw: gives random numbers from 0 to 1.
        ask: asks the policy, whose judges are the user's, of a failure or a value; None to do it here and now.
        still: when everything stood still, which does not count.
        gated: whether a gate keeps all calls to a Retry-After, which lets them go on at a learned rate; then this one
            need not wait for a random time beyond it, nor for the budget.
    """

    __slots__ = ("_ask", "_draw", "_gated", "_still", "_total", "budget", "retry", "waits")

    def __init__(
        self,
        retry: Retry | None,
        now: float,
        draw: Callable[[], float],
        ask: Callable[..., Any] | None = None,
        still: Still | None = None,
        *,
        gated: bool = False,
    ) -> None:
        self._ask = ask
        self._gated = gated
        self._still = still
        self.waits: dict[str, float] = {}
        """Seconds that failed inputs had to wait: for "backoff", "retry_after" or "budget"."""
        self.retry: Retry | None = retry
        self._draw = draw
        self._total = inf if retry is None or retry.total is None else retry.total
        self.budget: Budget | None = None
        if retry is not None and retry.budget is not None:
            self.budget = Budget(retry.budget, now, lambda budget: retry._as_given(budget=budget))

    @property
    def breaks(self) -> bool:
        """Whether failures may open a breaker."""
        return self.retry is not None and self.retry.breaker

    def unwanted(self, value: Any) -> UnwantedValue | None:
        """Return the failure that a call's value is, if the policy does not want it."""
        if self.retry is None or self.retry.on_value is None:
            return None
        return self.retry._unwanted(value) if self._ask is None else self._ask(self.retry._unwanted, value)

    def is_ill(self, error: Exception, pushback: Pushback | None) -> bool:
        """Whether a failure speaks of the other side's health to a breaker."""
        if not self.breaks:
            return False
        if pushback is not None and pushback.retry_after is not None:  # it is well: the pause is enough
            return False
        return transient(error)

    def wait(
        self, error: Exception, pushback: Pushback | None, *, attempt: int, first: float, calls: int, now: float
    ) -> float | None:
        """Return the seconds until a failed input is tried again; None if this failure is what became of it.

        A judge of the user's that raises ends the attempts, with a note.

        Args:
            error: what the call raised.
            pushback: what that says of the other side.
            attempt: which one it was, from 1.
            first: when the first one began.
            calls: how many inputs have been called so far, from which retries earn.
            now: the time.
        """
        if self.retry is None:
            return None
        told = self._gated and pushback is not None and bool(pushback.retry_after)
        try:
            given = error, attempt, 0.0 if told else self._draw(), pushback
            wait = self.retry._wait(*given) if self._ask is None else self._ask(self.retry._wait, *given)
        except Exception as broken:
            noted_retry(error, broken)
            return None
        left = first + self._total - now
        if self._still is not None and self._total < inf:
            left += self._still.within(first, now)
        if waits.off and wait is not None:
            return 0.0 if left > 0.0 else None
        if wait is None or wait >= left:
            return None
        why = "retry_after" if pushback is not None and pushback.retry_after else "backoff"
        # of an unwanted value the other side is not ill, and who is told when to come again comes at a learned rate
        if self.budget is not None and not (told or isinstance(error, UnwantedValue)):
            allowed = self.budget.withdraw(calls, now, left)
            if allowed is None:
                return None
            if allowed > wait:
                wait, why = allowed, "budget"
        if wait > 0.0:
            self.waits[why] = self.waits.get(why, 0.0) + wait
        return wait
