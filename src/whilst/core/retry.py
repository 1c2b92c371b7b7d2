"""Is a failed call worth another attempt, and when?"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass, fields
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

from ..errors import UnwantedValue
from .check import answered, whole
from .colour import name_of
from .evidence import leaves_of
from .judge import check_judge, close_awaitable
from .outcome import short
from .transient import transient

if TYPE_CHECKING:
    from .events import AttemptFailed
    from .pushback import Pushback

THROTTLED_BASE = 1.0  # seconds; a side that said "slower", and not when, is given ten times the ordinary first wait

Judge: TypeAlias = (
    "type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool | float | None]"
)


@dataclass(frozen=True, slots=True, repr=False)
class Retry:
    """When a failed call is called again: the decision, without the wait. Users have `retrying.Retry`, which is one.

    >>> Retry(attempts=3)._wait(ConnectionError(), attempt=2, draw=0.5, pushback=None)
    0.1
    """

    attempts: int = 5
    on: Judge = transient
    base: float = 0.1
    cap: float = 30.0
    total: float | None = None
    budget: float | None = 0.2
    breaker: bool = True
    on_value: Callable[[Any], bool | float | None] | None = None
    on_retry: Callable[[AttemptFailed], object] | None = None

    def __post_init__(self) -> None:
        if callable(self.attempts):
            raise TypeError("the decorator needs parentheses\n  try: @whilst.Retry(attempts=5)")
        whole("attempts", self.attempts, least=1)
        _check_judge(self.on)
        _number("base", self.base, "seconds")
        _number("cap", self.cap, "seconds")
        if self.cap < self.base:
            raise ValueError(
                f"cap must be at least base, or the longest wait would be shorter than the first, got {self.cap!r}"
                f"\n  try: base={self.base!r}, cap={self.base * 10:g}"
            )
        if self.total is not None and not _number("total", self.total, "seconds"):
            raise ValueError("total must be more than 0 seconds, got 0")
        if self.budget is not None:
            _number("budget", self.budget, "a share of the calls")
        if not isinstance(self.breaker, bool):
            raise TypeError(f"breaker must be True or False, got {self.breaker!r}")
        if self.on_value is not None:
            check_judge("on_value", self.on_value, of="value")
        if self.on_retry is not None:
            check_judge("on_retry", self.on_retry, of="event")

    @classmethod
    def _of(cls, given: object) -> Self | None:
        """Read what `retry=` was given: a number of attempts, a Retry, or None.

        >>> Retry._of(3).attempts, Retry._of(None)
        (3, None)
        """
        if given is None or isinstance(given, cls):
            return given
        if isinstance(given, bool) or not isinstance(given, int):
            raise TypeError(
                f"retry must be a number of attempts or a whilst.Retry, got {short(given)}\n"
                "  try: retry=3, or retry=whilst.Retry(attempts=3, on=ConnectionError)"
            )
        if given < 1:
            raise ValueError(
                f"retry must be at least 1 attempt (the first call counts), got {given}\n"
                "  try: leave retry out, or retry=1: one call, and no other"
            )
        return cls(attempts=given)

    def __repr__(self) -> str:
        return self._as_given(attempts=self.attempts)

    def _as_given(self, **changes: object) -> str:
        """Return how this would be written, with other values where there are some.

        >>> Retry(attempts=3, on=(OSError, KeyError))._as_given(budget=None)
        'Retry(attempts=3, on=(OSError, KeyError), budget=None)'
        """
        given: dict[str, object] = {
            field.name: changes.get(field.name, getattr(self, field.name))
            for field in fields(self)
            if field.name in changes or getattr(self, field.name) != field.default
        }
        return f"Retry({', '.join(f'{name}={_as_code(value)}' for name, value in given.items())})"

    def _wait(self, error: BaseException, attempt: int, draw: float, pushback: Pushback | None) -> float | None:
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
        asked = pushback.retry_after if pushback is not None else None
        patient = pushback is not None and not asked and not pushback.timeout
        base = max(self.base, min(THROTTLED_BASE, self.cap)) if patient else self.base
        jitter = draw * min(self.cap, base * 2.0 ** min(attempt - 1, 60))
        return jitter if asked is None else asked + jitter

    def _unwanted(self, value: Any) -> UnwantedValue | None:
        """Return the failure that a value is which `on_value` does not want; None for one that is as it should be.

        Never raises: a judge that does so itself makes a failure of the value, without another attempt.
        """
        judge = self.on_value
        if judge is None:
            return None
        verdict: bool | float | None = None
        broken: Exception | None = None
        try:
            verdict = _verdict("on_value", judge(value))
        except Exception as error:
            broken = error
        if broken is None and (verdict is None or verdict is False):
            return None
        name = f"Retry(on_value={name_of(judge)})"
        if broken is None:
            said = f"{name} does not want {short(value)}"
        else:
            said = f"{name} itself raised {short(broken, 300)} for {short(value)}"
        unwanted = UnwantedValue(said, value)
        unwanted.__cause__ = broken
        unwanted._verdict = self, False if broken is not None or verdict is None else verdict
        return unwanted

    def _judged(self, error: Exception) -> bool | float | None:
        if isinstance(error, UnwantedValue) and error._verdict is not None and error._verdict[0] is self:
            return error._verdict[1]
        on = self.on
        if isinstance(on, (type, tuple)):
            kinds = cast("type[BaseException] | tuple[type[BaseException], ...]", on)
            return isinstance(error, kinds) or _consists_of(error, kinds)
        return _verdict("on", on(error))


if not TYPE_CHECKING:  # a type checker knows its keywords by itself
    Retry.__init__ = answered(Retry.__init__)


def _verdict(parameter: str, answer: Any) -> bool | float | None:
    """Return what a judge of the user's answered; seconds as a float."""
    if close_awaitable(answer):
        raise TypeError(f"Retry({parameter}=…) must answer at once, it returned {short(answer)}: it cannot be async")
    if answer is None or isinstance(answer, bool):
        return answer
    if isinstance(answer, (int, float)) and isfinite(answer) and answer >= 0:
        return float(answer)
    raise ValueError(
        f"Retry({parameter}=…) must return True, False, None or seconds of at least 0, got {short(answer)}"
    )


def _consists_of(error: Exception, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    """Whether an error is a group, and every member of it is of these kinds, as `transient` judges groups."""
    return isinstance(error, BaseExceptionGroup) and all(isinstance(leaf, kinds) for leaf in leaves_of(error))


def _check_judge(on: Any) -> None:
    types: tuple[object, ...] = cast("tuple[object, ...]", on) if isinstance(on, tuple) else (on,)
    if all(isinstance(one, type) and issubclass(one, BaseException) for one in types) and types:
        return
    if isinstance(on, (type, tuple)) or not callable(on) or type(on).__module__.startswith("tenacity."):
        raise TypeError(
            f"on must be exception types or a function of the exception, got {short(cast('object', on))}\n"
            f"  try: {_meant(on)}"
        )
    check_judge("on", on, of="error")


def _meant(on: Any) -> str:
    """Return what works where it is known which exceptions were meant: many in a list, the name of one, a status."""
    kinds = getattr(on, "exception_types", on)  # of tenacity's retry_if_exception_type
    kinds = (kinds,) if isinstance(kinds, type) else kinds
    several = isinstance(kinds, (list, set, tuple))
    names = [getattr(one, "__name__", "") for one in cast("list[Any]", kinds)] if several else []
    if names and all(names):
        return f"on=({', '.join(names)},)" if len(names) == 1 else f"on=({', '.join(names)})"
    if isinstance(on, str) and isinstance(found := getattr(builtins, on, None), type):
        return f"on={found.__name__}"
    if isinstance(on, int):
        return f'on=lambda error: getattr(error, "status", 0) == {on}'
    return "on=ConnectionError, on=(ConnectionError, TimeoutError), or on=lambda error: …"


def _number(parameter: str, value: object, of: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        from .meant import try_seconds, try_share

        better = (try_seconds if of == "seconds" else try_share)(parameter, value)
        raise TypeError(f"{parameter} must be a number ({of}), got {value!r}{better}")
    if not 0 <= value < inf:
        raise ValueError(f"{parameter} must be at least 0 and finite, got {value!r}")
    return value


def _as_code(value: object) -> str:
    """Return how an argument is written; what has no name is left to its reader."""
    if isinstance(value, tuple):
        members = [_as_code(it) for it in cast("tuple[object, ...]", value)]
        return f"({', '.join(members)}{',' if len(members) == 1 else ''})"
    if not callable(value):
        return repr(value)
    name = name_of(value)
    return name if all(part.isidentifier() for part in name.split(".")) else "…"
