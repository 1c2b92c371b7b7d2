"""Servers with limits that a client is not told; in virtual time, for `simulator.py`.

A server is a function of the arrival time: because it is told of calls in the order in which they arrive, it can say
at once when each will be answered and how, so a call costs one or two events and no server needs any of its own.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

REFUSAL = 0.005  # seconds until a server has said no


class Answer(NamedTuple):
    """What a server will say, and when."""

    at: float
    ok: bool
    retry_after: float | None = None


class Server(Protocol):
    """Something that answers calls; told of them in the order in which they arrive."""

    def answer(self, now: float, rng: random.Random) -> Answer: ...


Times = Callable[[random.Random], float]


def around(mean: float, spread: float) -> Times:
    """Service times with a log-normal distribution: `mean` seconds, standard deviation `spread` times that."""
    sigma = math.sqrt(math.log1p(spread * spread))
    mu = math.log(mean) - sigma * sigma / 2
    return lambda rng: rng.lognormvariate(mu, sigma)


def between(least: float, most: float) -> Times:
    """Service times spread evenly from `least` to `most` seconds."""
    return lambda rng: rng.uniform(least, most)


class Slots:
    """So many calls at once, the rest wait in line; `steps` are (from when, how many)."""

    def __init__(self, slots: int, times: Times, steps: Sequence[tuple[float, int]] = ()) -> None:
        self.slots = slots
        self.times = times
        self.steps = deque(steps)
        self.free_at: list[float] = []

    def answer(self, now: float, rng: random.Random) -> Answer:
        while self.steps and self.steps[0][0] <= now:
            self.slots = self.steps.popleft()[1]
        starts = now
        # The slots that are taken, by when they will be free: a call waits for the one that leaves room for it. Where
        # slots went away, the calls that no longer fit wait for several to end.
        while self.free_at and (len(self.free_at) >= self.slots or self.free_at[0] <= now):
            starts = max(now, heapq.heappop(self.free_at))
        done = starts + self.times(rng)
        heapq.heappush(self.free_at, done)
        return Answer(done, True)


class Unlimited:
    """Takes whatever comes."""

    def __init__(self, times: Times) -> None:
        self.times = times

    def answer(self, now: float, rng: random.Random) -> Answer:
        return Answer(now + self.times(rng), True)


class SlotsOrRefused:
    """So many calls at once, the rest are refused at once."""

    def __init__(self, slots: int, times: Times, refusal: float = REFUSAL) -> None:
        self.slots = slots
        self.times = times
        self.refusal = refusal
        self.free_at: list[float] = []

    def answer(self, now: float, rng: random.Random) -> Answer:
        while self.free_at and self.free_at[0] <= now:
            heapq.heappop(self.free_at)
        if len(self.free_at) >= self.slots:
            return Answer(now + self.refusal, False)
        done = now + self.times(rng)
        heapq.heappush(self.free_at, done)
        return Answer(done, True)


class TokenBucket:
    """`rate` calls a second, `burst` of them saved up; the rest are refused, perhaps with Retry-After."""

    def __init__(
        self, rate: float, burst: float, times: Times, retry_after: float | None = None, refusal: float = REFUSAL
    ) -> None:
        self.rate = rate
        self.burst = burst
        self.times = times
        self.retry_after = retry_after
        self.refusal = refusal
        self.tokens = burst
        self.filled = 0.0

    def answer(self, now: float, rng: random.Random) -> Answer:
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < 1:
            return Answer(now + self.refusal, False, self.retry_after)
        self.tokens -= 1
        return Answer(now + self.times(rng), True)


class FixedWindow:
    """`count` calls in each window of `period` seconds; the rest are refused."""

    def __init__(self, count: int, period: float, times: Times) -> None:
        self.count = count
        self.period = period
        self.times = times
        self.window = -1
        self.used = 0

    def answer(self, now: float, rng: random.Random) -> Answer:
        window = int(now / self.period)
        if window != self.window:
            self.window, self.used = window, 0
        if self.used >= self.count:
            return Answer(now + REFUSAL, False)
        self.used += 1
        return Answer(now + self.times(rng), True)


class LimitReq:
    """nginx's `limit_req rate=… burst=… nodelay`: a leaky bucket that counts in thousandths of a call and whole ms."""

    def __init__(self, rate: float, burst: int, times: Times, refusal: float = 0.0003) -> None:
        self.rate = rate
        self.burst = burst * 1000
        self.times = times
        self.refusal = refusal
        self.excess = 0.0
        self.last = -(10**9)

    def answer(self, now: float, rng: random.Random) -> Answer:
        ms = int(now * 1000)
        excess = max(0.0, self.excess - self.rate * (ms - self.last) + 1000)
        if self.last < 0:
            excess = 0.0
        if excess > self.burst:
            return Answer(now + self.refusal, False)
        self.excess, self.last = excess, ms
        return Answer(now + self.times(rng), True)
