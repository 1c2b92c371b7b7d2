"""How many calls are left, and when do they come back, as the headers of an answer say? One table of families.

- A *window* (GitHub, Sentry, Linear; the IETF draft draft-ietf-httpapi-ratelimit-headers, its present form
  `"name";r=5;t=30` and its earlier ones; `X-RateLimit-*` of many): so many are left, and none comes back before the
  reset.
- A *bucket* (OpenAI, Anthropic, Groq, Shopify): calls come back one by one, and the reset is when all of them will
  have. So (limit - remaining) / reset come back a second, and with none left the next is there in one part of that.
- An *interval* (HubSpot): so many are left of a window that is so long; when it began is not told.
- *Tokens* (and Linear's complexity) are not calls: only that none is left says something.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from typing import Final

from .fields import Headers, clock_of, first_number, items, number, text_of, texts, until
from .frozen import NamedTuple

TOKENS_WAIT = 1.0  # seconds; how many tokens the next call needs nobody says, so not all of them are waited for
DRAINS = 20.0  # seconds in which Shopify's buckets of any size run empty: 40 at 2/s, 400 at 20/s


class Left(NamedTuple):
    """How many calls are left.

    Attributes:
        calls: that may be made now.
        seconds: until there are new ones; of a bucket, until it is full.
        refill: calls a second that come back meanwhile; 0.0 where none does.
    """

    calls: float
    seconds: float
    refill: float = 0.0

    @property
    def wait(self) -> float:
        """Seconds until a call may be made."""
        if self.calls >= 1:
            return 0.0
        return 1.0 / self.refill if self.refill else self.seconds


class Family(NamedTuple):
    """Headers that belong together; `remaining` is in every answer that has them."""

    remaining: str
    limit: str
    reset: str
    kind: str


def _families() -> Iterator[Family]:
    for prefix in ("ratelimit", "x-ratelimit", "x-rate-limit"):
        yield _of_prefix(prefix, "window")
    yield _of_prefix("x-sentry-rate-limit", "window")
    for what in ("requests", "endpoint-requests"):  # Linear's
        yield _of_prefix(f"x-ratelimit-{what}", "window")
    yield Family(
        *("x-hubspot-ratelimit-remaining", "x-hubspot-ratelimit-max", "x-hubspot-ratelimit-interval-milliseconds"),
        "interval",
    )
    yield Family("x-ratelimit-remaining-requests", "x-ratelimit-limit-requests", "x-ratelimit-reset-requests", "bucket")
    yield _of_prefix("anthropic-ratelimit-requests", "bucket")
    yield Family("ratelimit", "", "ratelimit-policy", "list")
    yield Family("x-shopify-shop-api-call-limit", "", "", "ratio")
    yield Family("x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens", "tokens")
    for what in ("tokens", "input-tokens", "output-tokens"):
        yield _of_prefix(f"anthropic-ratelimit-{what}", "tokens")
    yield _of_prefix("x-ratelimit-complexity", "tokens")


def _of_prefix(prefix: str, kind: str) -> Family:
    return Family(f"{prefix}-remaining", f"{prefix}-limit", f"{prefix}-reset", kind)


FAMILIES: Final = tuple(_families())
TELLING: Final = frozenset(family.remaining for family in FAMILIES)
"""One of these is in every answer that says how many calls are left."""
NAMES: Final = frozenset(name for family in FAMILIES for name in family[:3] if name) | {"date"}
"""All that is read."""


def counts_of(headers: Headers, now: float) -> list[Left]:
    """Return what each family says; `now` is the wall clock, used where the answer has none of its own.

    >>> bucket = {"limit": "60", "remaining": "57", "reset": "1.5s"}
    >>> counts_of({f"x-ratelimit-{name}-requests": [text] for name, text in bucket.items()}, now=0.0)
    [Left(calls=57.0, seconds=1.5, refill=2.0)]
    """
    found = [family for family in FAMILIES if family.remaining in headers]
    if not found:
        return []
    clock = clock_of(headers, now)
    return [left for family in found for left in READERS[family.kind](family, headers, clock)]


def policies_of(headers: Headers) -> Iterator[tuple[float, float]]:
    """Give (calls, seconds of the window) of every policy: `"name";q=100;w=60`, earlier `100;w=60`."""
    for header in ("ratelimit-policy", "ratelimit-limit", "x-ratelimit-limit"):
        for name, given in items(headers, header):
            quota = number(given.get("q", name))
            if quota is not None and "w" in given and not _is_foreign(given):
                yield quota, float(given["w"])


def is_told(names: Container[str]) -> bool:
    """Whether an answer with these headers says how many calls are left."""
    return any(name in names for name in TELLING)


def _window(family: Family, headers: Headers, clock: float) -> Iterator[Left]:
    for left, reset in zip(texts(headers, family.remaining), texts(headers, family.reset), strict=False):
        calls, seconds = number(left), until(reset, clock)
        if calls is not None and seconds is not None:
            yield Left(calls, seconds)


def _interval(family: Family, headers: Headers, clock: float) -> Iterator[Left]:
    calls, length = first_number(headers, family.remaining), first_number(headers, family.reset)
    if calls is not None and length is not None:
        yield Left(calls, length / 1000)


def _bucket(family: Family, headers: Headers, clock: float) -> Iterator[Left]:
    limit = first_number(headers, family.limit)
    for left in _window(family, headers, clock):
        if limit is None:
            yield left
        elif left.calls < limit and left.seconds > 0:
            yield Left(left.calls, left.seconds, (limit - left.calls) / left.seconds)


def _list(family: Family, headers: Headers, clock: float) -> Iterator[Left]:
    foreign = {name for name, given in items(headers, family.reset) if _is_foreign(given)}
    merged: dict[str, str] = {}
    for name, given in items(headers, family.remaining):
        merged |= given
        if name not in foreign and "r" in given and "t" in given:
            yield Left(float(given["r"]), float(given["t"]))
    if "remaining" in merged and "reset" in merged:  # the draft of 2021: one header, `limit=9, remaining=3, reset=5`
        yield Left(float(merged["remaining"]), float(merged["reset"]))


def _ratio(family: Family, headers: Headers, clock: float) -> Iterator[Left]:
    for value in headers[family.remaining]:
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text_of(value) or "", re.ASCII)
        used, size = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
        if 0 < used <= size:
            yield Left(size - used, used * DRAINS / size, size / DRAINS)


def _tokens(family: Family, headers: Headers, clock: float) -> Iterator[Left]:
    for left in _window(family, headers, clock):
        if left.calls == 0:  # without any no call is answered
            yield Left(0.0, min(left.seconds, TOKENS_WAIT))


def _is_foreign(given: Mapping[str, str]) -> bool:
    """Whether a policy counts something other than calls, such as bytes."""
    return given.get("qu", "requests") != "requests"


READERS: Final = {
    "window": _window,
    "interval": _interval,
    "bucket": _bucket,
    "list": _list,
    "ratio": _ratio,
    "tokens": _tokens,
}
