"""Is a failed call worth another attempt, and when?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, TypeAlias, cast

from .check import whole
from .outcome import short
from .pushback import Pushback
from .transient import transient

THROTTLED_BASE = 1.0  # seconds; a side that said "slower" is given ten times the ordinary first wait

Judge: TypeAlias = (
    "type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool | float | None]"
)


@dataclass(frozen=True, slots=True)
class Retry:
    """When a failed call is called again. A retry that waits holds no permit, no lane and no thread.

    Waits are random between 0 and min(cap, base * 2^k) for the k-th retry ("full jitter", Brooker, AWS Architecture
    Blog 2015), at least as long as a Retry-After asks for, and start from 1 s when the other side said that it has
    too much to do. What is no failure to retry ends at the first attempt.

    Args:
        attempts: calls for one input at most; the first one counts.
        on: which failures: exception types, or a function of the exception that returns True, False (or None), or
            the seconds to wait instead of the jitter. Default `whilst.transient`: connections, timeouts, 408, 425,
            429 and 5xx; never a programming error or a 401.
        base: seconds, the most that the first wait may take.
        cap: seconds, the most that any wait may take unless the other side asks for more.
        total: seconds for one input over all its attempts and waits, from the first call; then the attempt in flight
            ends like one past its `timeout`, and none follows.
        budget: retries may be at most this share of the calls, plus 10 a second, over some ten seconds (the budget of
            Twitter's Finagle); a retry without budget waits for it. None: no budget.
        breaker: when half of at least 20 calls failed within 10 s in a way worth a retry, nothing is started for 5 s,
            then one call probes; each failed probe doubles the pause, up to 60 s.

    Raises:
        TypeError, ValueError: at construction, when a value cannot be meant.

    >>> import whilst
    >>> tries = iter([ConnectionError("reset"), "fine"])
    >>> def fetch(_):
    ...     answer = next(tries)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> [outcome] = whilst.map(fetch, ["page"], retry=whilst.Retry(attempts=3, base=0.001)).outcomes()
    >>> outcome.value, outcome.attempts
    ('fine', 2)
    """

    attempts: int = 5
    on: Judge = transient
    base: float = 0.1
    cap: float = 30.0
    total: float | None = None
    budget: float | None = 0.2
    breaker: bool = True

    def __post_init__(self) -> None:
        whole("attempts", self.attempts, least=1)
        _check_judge(self.on)
        _number("base", self.base, "seconds")
        _number("cap", self.cap, "seconds")
        if self.cap < self.base:
            raise ValueError(f"cap must be at least base: the waits would be shorter than the first, got {self.cap!r}")
        if self.total is not None and not _number("total", self.total, "seconds"):
            raise ValueError("total must be more than 0 seconds, got 0")
        if self.budget is not None:
            _number("budget", self.budget, "a share of the calls")
        if not isinstance(self.breaker, bool):
            raise TypeError(f"breaker must be True or False, got {self.breaker!r}")

    @classmethod
    def of(cls, given: object) -> Retry | None:
        """Read what `retry=` was given: a number of attempts, a Retry, or None.

        >>> Retry.of(3).attempts, Retry.of(None)
        (3, None)
        """
        if given is None or isinstance(given, Retry):
            return given
        if isinstance(given, bool) or not isinstance(given, int):
            raise TypeError(
                f"retry must be a number of attempts or a whilst.Retry, got {short(given)}\n"
                "  try: retry=3, or retry=whilst.Retry(attempts=3, on=ConnectionError)"
            )
        if given < 1:
            raise ValueError(f"retry must be at least 1 attempt (the first call counts), got {given}")
        return cls(attempts=given)

    def wait(self, error: BaseException, attempt: int, draw: float, pushback: Pushback | None) -> float | None:
        """Return the seconds until the next attempt, or None if `error` on the `attempt`-th one is final.

        `draw` is a random number from 0 to 1. What the judge raises comes out.
        """
        if attempt >= self.attempts or not isinstance(error, Exception):
            return None
        verdict = self._judged(error)
        if verdict is None or verdict is False:
            return None
        if verdict is not True:
            return verdict
        base = self.base if pushback is None or pushback.timeout else max(self.base, min(THROTTLED_BASE, self.cap))
        jitter = draw * min(self.cap, base * 2.0 ** min(attempt - 1, 60))
        asked = pushback.retry_after if pushback is not None else None
        return jitter if asked is None else asked + jitter

    def _judged(self, error: Exception) -> bool | float | None:
        on = self.on
        if isinstance(on, (type, tuple)):
            return isinstance(error, on)
        verdict = on(error)
        if verdict is None or isinstance(verdict, bool):
            return verdict
        if isinstance(verdict, (int, float)) and isfinite(verdict) and verdict >= 0:
            return float(verdict)
        raise ValueError(f"Retry(on=…) must return True, False, None or seconds of at least 0, got {short(verdict)}")


def _check_judge(on: Any) -> None:
    types: tuple[object, ...] = cast("tuple[object, ...]", on) if isinstance(on, tuple) else (on,)
    if all(isinstance(one, type) and issubclass(one, BaseException) for one in types) and types:
        return
    if isinstance(on, (type, tuple)) or not callable(on):
        raise TypeError(
            f"on must be exception types or a function of the exception, got {short(cast('object', on))}\n"
            "  try: on=ConnectionError, on=(ConnectionError, TimeoutError), or on=lambda error: …"
        )


def _number(parameter: str, value: object, of: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{parameter} must be a number ({of}), got {value!r}")
    if not 0 <= value < inf:
        raise ValueError(f"{parameter} must be at least 0 and finite, got {value!r}")
    return value
