"""How are the values of headers read: numbers, lists with parameters, points in time, durations?

Text comes from outside, so every pattern is bounded, and what does not fit is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

from .evidence import is_a

Headers: TypeAlias = "Mapping[str, list[object]]"  # names in lower case, every value of a name

MOST_ITEMS = 16  # of a list of policies
EPOCH_FROM = 1e9  # a reset that is larger is a point in time, not a duration (thirty years)
MILLISECONDS_FROM = 1e11


def text_of(value: object) -> str | None:
    """Return a header's value as text; None for what no header can be."""
    if is_a(value, str):
        return value.strip()
    if is_a(value, bytes):
        return value.decode("latin-1").strip()
    if is_a(value, (int, float)) and not is_a(value, bool):
        return repr(value)
    return None


def number(text: str) -> float | None:
    """Return a number without sign, exponent or underscore; those that overflow are refused too.

    >>> number("12.5"), number("-1"), number("1e3")
    (12.5, None, None)
    """
    if len(text) <= 15 and text.isdigit() and text.isascii():
        return float(text)
    return float(text) if re.fullmatch(r"\d{1,100}(?:\.\d{0,100})?", text, re.ASCII) else None


_BETWEEN = r"(?<!Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?<!day),"  # values; a date has a comma after its weekday


def texts(headers: Headers, *names: str) -> list[str]:
    """Return all values of some headers as texts, whether each has a line of its own or clients have joined them.

    A value that no header can have is "".

    >>> texts({"retry-after": ["5, 10", b"7"]}, "retry-after")
    ['5', '10', '7']
    """
    whole = [text_of(value) or "" for name in names for value in headers.get(name, ())]
    if not any("," in text for text in whole):
        return whole
    return [one.strip() for text in whole for one in re.split(_BETWEEN, text[:2000])[:MOST_ITEMS]]


def first_number(headers: Headers, name: str) -> float | None:
    """Return the number that a header has for its first value."""
    for value in headers.get(name, ()):
        return number(text_of(value) or "")
    return None


def clock_of(headers: Headers, now: float) -> float:
    """Return the time by the clock of who answered, so that a wrong one here harms nothing."""
    return next((at for it in headers.get("date", ()) if (at := date(text_of(it) or "")) is not None), now)


def items(headers: Headers, header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give (name, parameters) of every member of a list such as `"a";r=5;t=1, "b";r=9;t=60`."""
    for value in headers.get(header, ()):
        yield from _members((text_of(value) or "")[:2000])


@lru_cache(64)  # policies are the same in every answer
def _members(text: str) -> tuple[tuple[str, dict[str, str]], ...]:
    found: list[tuple[str, dict[str, str]]] = []
    for member in re.findall(r'(?:"[^"]*"|[^",])+', text)[:MOST_ITEMS]:
        name, *parameters = re.findall(r'(?:"[^"]*"|[^";])+', member) or [""]
        given = (it.strip().partition("=") for it in (name, *parameters) if "=" in it)
        read = {key.strip(): value.strip().strip('"') for key, _, value in given}
        numbers = {key: it for key, it in read.items() if key == "qu" or number(it) is not None}
        found.append((name.strip(), numbers))
    return tuple(found)


def until(text: str, clock: float) -> float | None:
    """Return the seconds until a moment, given as seconds, as `6m0s` or `20ms`, or as a point in time.

    Points in time are dates, and numbers that would be more than thirty years; one that has passed is 0. None for
    anything else.
    """
    count = number(text)
    if count is None:
        at = date(text)
        return duration(text) if at is None else max(0.0, at - clock)
    if count < EPOCH_FROM:
        return count
    return max(0.0, (count if count < MILLISECONDS_FROM else count / 1000) - clock)


UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def duration(text: str) -> float | None:
    """Return the seconds of a time in units.

    >>> duration("6m0s"), duration("20ms"), duration("soon")
    (360.0, 0.02, None)
    """
    if len(text) > 120 or not re.fullmatch(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[dhms]))+", text, re.ASCII):
        return None
    return sum(float(count) * UNITS[unit] for count, unit in re.findall(r"([\d.]+)(ms|[dhms])", text))


MONTHS = " jan feb mar apr may jun jul aug sep oct nov dec"
# RFC 9110 section 5.6.7: the form to use (day of two digits, also with a numeric zone as mail has it), and an old one
# twice; then RFC 3339, also without a zone; then what a Date of JavaScript is as a text
DATES = (
    r"[a-z]{3,9}, (?P<d>\d\d?)[ -](?P<m>[a-z]{3})[ -](?P<y>\d{4}|\d\d) (?P<t>\d\d:\d\d:\d\d) "
    r"(?:GMT|UTC|(?P<z>[+-]\d{4}))",
    r"[a-z]{3} (?P<m>[a-z]{3}) {1,2}(?P<d>\d{1,2}) (?P<t>\d\d:\d\d:\d\d) (?P<y>\d{4})(?P<z>)",
    r"(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)[T ](?P<t>\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?:Z|(?P<z>[+-]\d\d:?\d\d))?",
    r"[a-z]{3} (?P<m>[a-z]{3}) (?P<d>\d\d) (?P<y>\d{4}) (?P<t>\d\d:\d\d:\d\d) GMT(?P<z>[+-]\d{4})(?: \([\w ]{1,40}\))?",
)


_MONTHS_OF = {name.title(): f"{place:02}" for place, name in enumerate(MONTHS.split(), 1)}


def _as_iso(text: str) -> str:
    """Return the two forms that APIs send in the one that Python reads in 0.2 µs; "" for others, or what looks odd."""
    if len(text) == 20 and text[4:20:3] == "--T::Z":
        return text
    if len(text) == 29 and text[3:5] == ", " and text[25:] == " GMT" and text[:3].isalpha():
        month = _MONTHS_OF.get(text[8:11])
        if month is not None and text[7] == text[11] == text[16] == " " and text[19] == text[22] == ":":
            return f"{text[12:16]}-{month}-{text[5:7]}T{text[17:25]}Z"
    return ""


@lru_cache(64)  # the clock of an answer is the same for a second, and a window's end for a window
def date(text: str) -> float | None:
    """Return the seconds since 1970 of a point in time; `email.utils` would load random, socket and os.

    >>> date("Sun, 06 Nov 1994 08:49:37 GMT") == date("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777.0
    True
    """
    if len(text) > 80:
        return None
    if (common := _as_iso(text)) and common.isascii():
        try:
            from datetime import datetime  # loaded when used

            return datetime.fromisoformat(common).timestamp()
        except (ValueError, ImportError):  # a leap second; or no file can be opened, which may be the very failure
            pass
    found = next((match for form in DATES if (match := re.fullmatch(form, text, re.ASCII | re.IGNORECASE))), None)
    if found is None:
        return None
    name = found["m"].lower()
    month = int(name) if name.isdigit() else (MONTHS.find(f" {name}") + 4) // 4  # 0 for what is no month
    year = int(found["y"])
    if len(found["y"]) == 2:  # of the 1900s, when it was written, or of the 2000s
        year += 1900 if year >= 70 else 2000
    hour, minute, second = map(int, found["t"].split(":"))
    try:  # a leap second counts as the one before
        from datetime import UTC, datetime  # loaded when used

        there = datetime(year, month, int(found["d"]), hour, minute, min(second, 59), tzinfo=UTC).timestamp()
        return there - _ahead(found["z"] or "")
    except (ValueError, ImportError):  # the 31st of February; or no file can be opened, which may be the very failure
        return None


def _ahead(zone: str) -> float:
    """Return by how many seconds clocks of a zone such as `+0200` or `-05:30` are ahead of UTC."""
    if not zone:
        return 0.0
    seconds = 3600.0 * int(zone[1:3]) + 60.0 * int(zone[-2:])
    return seconds if zone[0] == "+" else -seconds
