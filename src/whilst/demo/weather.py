"""What can happen to a request on its way to the demo API: latency, a rate limit, faults.

`Conditions` says what is to happen and is checked at construction; `Weather` makes it happen to any ASGI
application. What becomes of the n-th request to arrive depends on the seed and on n alone.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whilst.demo.serving import close, reset

DRIP = 0.1  # seconds between two bytes of a slow body: no read timeout notices, only one for the whole call does

Fault = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one request: the fault it meets, if any, and the seconds it waits before."""

    fault: str | None
    delay: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is to happen to requests; a value that makes no sense is a ValueError that names it.

    `latency`, `jitter` in seconds: a request waits `latency ± jitter` (uniform, never below 0). `rate`:
    requests a second, or None. `faults`: how often each of `FAULTS` strikes, a probability (`0.05`; up to 1)
    or a whole number (`10`: every tenth request).

    >>> fates = Conditions(latency=0.1, faults={"500": 2}).fates()
    >>> [next(fates).fault for _ in range(4)]
    [None, '500', None, '500']
    """

    latency: float = 0.1
    jitter: float = 0.0
    rate: float | None = None
    faults: Mapping[str, float] = field(default_factory=dict[str, float])
    seed: int = 0

    def __post_init__(self) -> None:
        for name, seconds in (("latency", self.latency), ("jitter", self.jitter)):
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{name} must be at least 0 seconds, got {seconds}")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be more than 0 requests a second, or None, got {self.rate}")
        for name, often in self.faults.items():
            _check_fault(name, often)
        if sum(often for often in self.faults.values() if often < 2) > 1 + 1e-9:
            raise ValueError(f"the probabilities of all faults must add up to at most 1, got {dict(self.faults)}")

    def fates(self) -> Iterator[Fate]:
        """Yield what becomes of the first, second, third... request, without end, the same each time."""
        draw = Random(self.seed).random
        for number in count(1):
            yield Fate(
                fault=self._fault(number, luck=draw()),
                delay=max(0.0, self.latency + self.jitter * (2 * draw() - 1)),
            )

    def _fault(self, number: int, luck: float) -> str | None:
        for name, often in self.faults.items():
            if often >= 2 and number % often == 0:
                return name
        for name, often in self.faults.items():
            if often < 2:
                if luck < often:
                    return name
                luck -= often
        return None


@dataclass(slots=True)
class Bucket:
    """A token bucket: `rate` tokens a second flow in, at most one second's worth (and at least one) is kept.

    >>> bucket = Bucket(rate=2.0)
    >>> [bucket.take(now=100.0) for _ in range(3)]
    [0.0, 0.0, 0.5]
    """

    rate: float
    tokens: float = field(init=False)
    at: float = field(init=False, default=-math.inf)

    def __post_init__(self) -> None:
        self.tokens = self._size

    @property
    def _size(self) -> float:
        return max(1.0, self.rate)

    def take(self, now: float) -> float:
        """Take a token and return 0.0, or take none and return the seconds until there is one."""
        self.tokens = min(self._size, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1.0:
            return (1.0 - self.tokens) / self.rate
        self.tokens -= 1.0
        return 0.0


@dataclass(slots=True)
class Traffic:
    """What has been on the road so far; written by the server's thread alone."""

    requests: int = 0
    in_flight: int = 0
    peak: int = 0
    answers: Counter[str] = field(default_factory=Counter[str])

    def arrive(self) -> None:
        """Count a request in."""
        self.requests += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)

    def leave(self) -> None:
        """Count a request out."""
        self.in_flight -= 1


class Weather:
    """An ASGI application: the one given, under these conditions.

    The rate limit answers first and at once (429, `Retry-After` in whole seconds, at least 1); what it lets
    pass waits its latency and then meets its fault or gets its answer.
    """

    __slots__ = ("_app", "_bucket", "_fates", "traffic")

    def __init__(self, app: ASGIApp, conditions: Conditions) -> None:
        self._app = app
        self._fates = conditions.fates()
        self._bucket = None if conditions.rate is None else Bucket(conditions.rate)
        self.traffic: Traffic = Traffic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (the ASGI interface)."""
        self.traffic.arrive()
        try:
            await self._answer(scope, receive, send)
        finally:
            self.traffic.leave()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        fate = next(self._fates)
        wait = self._bucket.take(asyncio.get_running_loop().time()) if self._bucket else 0.0
        if wait > 0:
            self.traffic.answers["429"] += 1
            await _too_many(wait)(scope, receive, send)
            return
        await asyncio.sleep(fate.delay)
        if fate.fault is None:
            await self._app(scope, receive, self._counted(send))
        else:
            self.traffic.answers[fate.fault] += 1
            await FAULTS[fate.fault](self._app, scope, receive, send)

    def _counted(self, send: Send) -> Send:
        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.traffic.answers[str(message["status"])] += 1
            await send(message)

        return counting


def _too_many(wait: float) -> Response:
    # Whole seconds, as real servers give them.
    headers = {"Retry-After": str(max(1, math.ceil(wait)))}
    return PlainTextResponse("Too Many Requests", status_code=429, headers=headers)


async def _server_error(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("Internal Server Error", status_code=500)(scope, receive, send)


async def _reset(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    reset(scope)
    await _disconnected(receive)


async def _truncated(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    start, body = await _answer_of(app, scope, receive)
    await send(start)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    close(scope)
    await _disconnected(receive)


async def _slow(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    start, body = await _answer_of(app, scope, receive)
    await send(start)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        for byte in body:
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
            if (await asyncio.wait([gone], timeout=DRIP))[0]:
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()


async def _wrong_json(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    # Half a document in a complete, well-formed response: only the JSON parser can notice.
    _, body = await _answer_of(app, scope, receive)
    await Response(body[: len(body) // 2], media_type="application/json")(scope, receive, send)


FAULTS: Mapping[str, Fault] = {
    "500": _server_error,
    "reset": _reset,
    "slow": _slow,
    "truncated": _truncated,
    "json": _wrong_json,
}


def _check_fault(name: str, often: float) -> None:
    if name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; there are {', '.join(FAULTS)}")
    if not (0 <= often <= 1 or (2 <= often < math.inf and often == int(often))):
        raise ValueError(
            f"fault {name} must be a probability up to 1 or a whole number from 2 (every n-th), got {often}"
        )


async def _answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
