"""What does a limit hold to, for each key: how many calls at once, and how many in a time?"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import inf
from typing import Any, Final, Literal, TypeAlias

from ..core import check
from ..core.colour import name_of
from ..core.frozen import Frozen
from ..core.judge import check_judge, close_awaitable
from ..core.outcome import short
from ..core.rates import Rate, parse_rates

ADAPTIVE: Final = "adaptive"

Concurrency: TypeAlias = int | Literal["adaptive"] | Callable[[Any], int | None] | None
RateText: TypeAlias = str | Sequence[str]
Rates: TypeAlias = RateText | Callable[[Any], RateText | None] | None


class Terms(Frozen):
    """The terms of a limit.

    Attributes:
        concurrency: calls in flight at once for each key, "adaptive", a function of the key, or None for any number.
        rates: shortest period first, or a function of the key.
    """

    concurrency: Concurrency = None
    rates: tuple[Rate, ...] | Callable[[Any], RateText | None] = ()

    @property
    def asks(self) -> bool:
        """Whether a function of the user's says what a key has."""
        return callable(self.concurrency) or callable(self.rates)

    @property
    def most(self) -> int | None:
        """How many calls at once each key may have; None if that is not one number."""
        return self.concurrency if isinstance(self.concurrency, int) else None

    @property
    def heaviest(self) -> tuple[float, str]:
        """What a call may weigh at most, by the tightest quota, and which that is; where all keys have the same."""
        if callable(self.rates):
            return inf, ""
        return min(((rate.amount, str(rate)) for rate in self.rates[1:]), default=(inf, ""))

    @property
    def rate_names(self) -> tuple[str, ...]:
        """The rates, in words."""
        return (f"rate={name_of(self.rates)}",) if callable(self.rates) else tuple(map(str, self.rates))

    def __str__(self) -> str:
        if self.concurrency is None:
            first: list[str] = []
        elif callable(self.concurrency):
            first = [f"concurrency={name_of(self.concurrency)}"]
        else:
            first = [str(self.concurrency)]
        return ", ".join([*first, *self.rate_names])

    def of(self, key: Hashable) -> tuple[int | None, tuple[Rate, ...]]:
        """Return what one key has: calls at once, if that is a number, and rates. What functions raise comes out."""
        most, rates = self.most, self.rates
        if callable(self.concurrency):
            found = _answer("concurrency", self.concurrency, key)
            most = None if found is None else _named("concurrency", key, lambda: check.whole("", found, least=1))
        if not callable(rates):
            return most, rates
        text = _answer("rate", rates, key)
        return most, () if text is None else _named("rate", key, lambda: parse_rates(text))


NO_TERMS = Terms()


def concurrency_of(given: Any, *, keyed: bool) -> Concurrency:
    """Check what was given as a concurrency."""
    if given is None:
        return None
    if callable(given):
        return _function("concurrency", given, keyed=keyed)
    if not isinstance(given, str):
        return check.whole("concurrency", given, least=1)
    if given != ADAPTIVE:
        raise TypeError(f'concurrency must be a whole number or "adaptive", got {given!r}\n  try: concurrency=32')
    return ADAPTIVE


def rates_of(given: Any, *, keyed: bool) -> tuple[Rate, ...] | Callable[[Any], RateText | None]:
    """Check what was given as a rate."""
    if given is None:
        return ()
    if callable(given):
        return _function("rate", given, keyed=keyed)
    return parse_rates(given)


def _function(parameter: str, fn: Callable[[Any], Any], *, keyed: bool) -> Callable[[Any], Any]:
    check_judge(parameter, fn, of="key")
    if not keyed:
        raise TypeError(
            f"{parameter}={name_of(fn)} is called with each key, and without by= there are no keys\n"
            f"  try: by=lambda item: …, {parameter}={name_of(fn)}"
        )
    return fn


def _answer(parameter: str, fn: Callable[[Any], Any], key: Hashable) -> Any:
    answer = fn(key)
    if close_awaitable(answer):
        raise TypeError(f"{parameter}={name_of(fn)} returned {short(answer)} for {short(key)}: it cannot be async")
    return answer


def _named(parameter: str, key: Hashable, read: Callable[[], Any]) -> Any:
    """Return what an answer means, or say of which key it was."""
    try:
        return read()
    except (TypeError, ValueError) as error:
        said = str(error).strip()
        raise type(error)(f"{parameter} for the key {short(key)}: {said}") from None
