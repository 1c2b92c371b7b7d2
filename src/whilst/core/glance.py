"""What does an answer that went well say of calls left, read in 2 µs, and in next to nothing where it says none?

`left_of` reads all that headers may say, which takes 4 to 20 µs. Answers of one API are alike, so what one said tells
where to look in the next, and for each kind of family there is a reader that knows the common forms; it leaves every
other form to `left_of`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias, cast

from .counts import DRAINS, FAMILIES, NAMES, Family, Left
from .fields import EPOCH_FROM, MILLISECONDS_FROM, date, number
from .headers import CAP, left_of

MANY, SELDOM = 32, 16  # after so many answers in a row that say nothing, one in so many is looked at
AGAIN = 64  # answers after which all families are looked for anew


class Given(Protocol):
    """An answer's headers."""

    def get(self, key: str, /) -> str | None:
        """Return the first value of a header."""
        ...


class _Hard(Exception):
    """A form that is not among the common ones."""


Get: TypeAlias = Callable[[str], "str | None"]
Clock: TypeAlias = Callable[[], float]
Reader: TypeAlias = Callable[[Get, Clock], "Left | None"]

_TELLING: Final = tuple(family.remaining for family in FAMILIES)
_HARD: Final = _Hard()  # one for all: to make one takes 0.3 µs
_ABSENT: Final = object()
_new: Callable[..., Left] = cast("Any", tuple).__new__  # a third of what Left(…) takes


class Glance:
    """Reads answers one after the other; from any thread, as what is remembered is only where to look first.

    >>> glance = Glance()
    >>> glance.at({"x-ratelimit-remaining": "4999", "x-ratelimit-reset": "60"}, lambda: 0.0)
    Left(calls=4999.0, seconds=60.0, refill=0.0)
    """

    __slots__ = ("_found", "_looks", "_mute", "_read")

    def __init__(self) -> None:
        self._found: tuple[int, ...] = ()  # the families that the last answers had
        self._read: Reader | None = None  # reads what the last answers had
        self._looks = 0
        self._mute = 0  # answers in a row that said nothing

    def at(self, headers: Given, clock: Clock) -> Left | None:
        """Return how many calls are left; None where the answer does not say. `clock` tells the wall's time."""
        read, hard = self._read, False
        if read is not None:
            self._looks = looks = self._looks + 1
            if looks % AGAIN:
                try:
                    return read(headers.get, clock)
                except _Hard:
                    hard = True
        elif self._mute >= MANY:
            self._mute += 1
            if self._mute % SELDOM:
                return None
        return self._search(headers, clock, hard)

    def _search(self, headers: Given, clock: Clock, hard: bool) -> Left | None:
        """Read everything, and remember where the answer said it."""
        found = tuple(place for place, name in enumerate(_TELLING) if headers.get(name) is not None)
        if found != self._found:
            self._found, self._read = found, _reader_of([FAMILIES[place] for place in found])
        elif not hard and self._read is not None:
            try:
                return self._read(headers.get, clock)
            except _Hard:
                pass
        if not found:
            self._mute += 1
            return None
        self._mute = 0
        return _at_length(headers, clock)


def _at_length(headers: Given, clock: Clock) -> Left | None:
    return left_of({name: [text] for name in NAMES if (text := headers.get(name)) is not None}, clock())


def _reader_of(families: list[Family]) -> Reader | None:
    """Return what reads these families at once; None for none."""
    tokens = tuple(family.remaining for family in families if family.kind == "tokens")
    of_calls = [family for family in families if family.kind != "tokens"]
    if not of_calls:
        return None
    if len(of_calls) == 1 and of_calls[0].kind == "bucket":
        return _bucket(of_calls[0], tokens)
    first, *more = [_READERS[family.kind](family) for family in of_calls]
    if not (more or tokens):
        return first

    def read(get: Get, clock: Clock) -> Left | None:
        for name in tokens:
            if (some := get(name)) is not None and some < "1":
                raise _HARD
        least = first(get, clock)
        for other in more:
            left = other(get, clock)
            if left is not None and (least is None or (left[0], -left[1]) < (least[0], -least[1])):
                least = left
        return least

    return read


def _window(family: Family) -> Reader:
    remaining, reset = family.remaining, family.reset

    def read(get: Get, clock: Clock) -> Left | None:
        text, when = get(remaining), get(reset)
        if text is None:
            raise _HARD
        if when is None:
            return None
        calls = float(text) if text.isdigit() and text.isascii() and len(text) <= 15 else _number(text)
        seconds = _seconds(when, get, clock)
        return _new(Left, (calls, seconds if seconds <= CAP else CAP, 0.0))

    return read


def _interval(family: Family) -> Reader:
    remaining, length = family.remaining, family.reset
    known: tuple[object, float] = (_ABSENT, 0.0)  # the length is the same in every answer

    def read(get: Get, clock: Clock) -> Left | None:
        nonlocal known
        text, said = get(remaining), get(length)
        if text is None:
            raise _HARD
        if said is None:
            return None
        last, seconds = known
        if said != last:
            seconds = min(_number(said.strip()) / 1000, CAP)
            known = (said, seconds)
        calls = float(text) if text.isdigit() and text.isascii() and len(text) <= 15 else _number(text)
        return _new(Left, (calls, seconds, 0.0))

    return read


def _bucket(family: Family, tokens: Sequence[str] = ()) -> Reader:
    """Read the calls of a bucket. Of its `tokens` only that none is left says something, and is hard."""
    remaining, reset, limit = family.remaining, family.reset, family.limit
    known: tuple[object, float | None] = (_ABSENT, None)  # the limit is the same in every answer

    def read(get: Get, clock: Clock) -> Left | None:
        nonlocal known
        for name in tokens:
            if (some := get(name)) is not None and some < "1":
                raise _HARD
        text, when = get(remaining), get(reset)
        if text is None:
            raise _HARD
        if when is None:
            return None
        calls = float(text) if text.isdigit() and text.isascii() and len(text) <= 15 else _number(text)
        seconds = _seconds(when, get, clock)
        size = get(limit)
        last, most = known
        if size != last:
            most = None if size is None else number(size.strip())
            known = (size, most)
        if most is None:
            refill = 0.0
        elif calls < most and seconds > 0.0:
            refill = (most - calls) / seconds
        else:
            return None
        return _new(Left, (calls, seconds if seconds <= CAP else CAP, refill))

    return read


_ITEM = r'"[^"]{1,60}+";r=(\d{1,15}+);t=(\d{1,15}+)'
_items = re.compile(rf"{_ITEM}(?:, ?{_ITEM})?", re.ASCII).fullmatch


_span = re.compile(r"(?:(\d{1,9}(?:\.\d{1,9})?)m)?(\d{1,9}(?:\.\d{1,9})?)(m?)s", re.ASCII).fullmatch


def _list(family: Family) -> Reader:
    remaining, policy = family.remaining, family.reset
    plain: object = _ABSENT  # a policy without a unit of its own; it is the same in every answer

    def read(get: Get, clock: Clock) -> Left | None:
        nonlocal plain
        text, said = get(remaining), get(policy)
        if text is None:
            raise _HARD
        if said != plain:
            if said is not None and "qu=" in said:
                raise _HARD
            plain = said
        found = _items(text)
        if found is None:
            raise _HARD
        calls, seconds, others, until = found.groups()
        one = float(calls)
        if others is not None and (two := float(others)) <= one and (two < one or float(until) > float(seconds)):
            one, seconds = two, until
        its = float(seconds)
        return _new(Left, (one, its if its <= CAP else CAP, 0.0))

    return read


def _ratio(family: Family) -> Reader:
    remaining = family.remaining

    def read(get: Get, clock: Clock) -> Left | None:
        text = get(remaining)
        if text is None:
            raise _HARD
        one, slash, other = text.partition("/")
        if not (slash and text.isascii() and one.isdigit() and other.isdigit() and len(one) <= 6 and len(other) <= 6):
            raise _HARD
        used, size = float(one), float(other)
        if not 0.0 < used <= size:
            return None
        seconds = used * DRAINS / size
        return _new(Left, (size - used, seconds, size / DRAINS))

    return read


_READERS: Final = {"window": _window, "interval": _interval, "bucket": _bucket, "list": _list, "ratio": _ratio}


def _number(text: str) -> float:
    value = number(text)
    if value is None:
        raise _HARD
    return value


def _seconds(text: str, get: Get, clock: Clock) -> float:
    """Return the seconds until `60`, `1.5s`, `120ms`, `6m0s`, a point in time; what is none of these is hard."""
    if text.isdigit() and text.isascii() and len(text) <= 15:
        count = float(text)
        if count < EPOCH_FROM:
            return count
        if count >= MILLISECONDS_FROM:
            count /= 1000
    elif text[-1:] == "s":
        in_ms = text[-2:-1] == "m"
        whole = text[:-2] if in_ms else text[:-1]
        if whole.isdigit() and whole.isascii() and len(whole) <= 9:  # most are: a third of what the pattern takes
            return float(whole) / 1000 if in_ms else float(whole)
        span = _span(text)
        if span is None:
            raise _HARD
        minutes, seconds, thousandth = span.groups()
        if thousandth:
            return float(seconds) / 1000 if minutes is None else float(minutes) * 60.0 + float(seconds) / 1000
        return float(seconds) if minutes is None else float(minutes) * 60.0 + float(seconds)
    else:
        at = date(text)
        if at is None:
            count = _number(text)
            if count < EPOCH_FROM:
                return count
            raise _HARD
        count = at
    given = get("date")
    now = date(given) if given is not None else None
    ahead = count - (clock() if now is None else now)
    return ahead if ahead > 0.0 else 0.0
