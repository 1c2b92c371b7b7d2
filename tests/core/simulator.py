"""How does a controller fare against servers whose limits it is not told? A discrete-event simulation.

`python -m tests.core.simulator` prints goodput, rejects and latency per server, for the adaptive controller and for
two references: additive increase with multiplicative decrease by 0.7, and a fixed concurrency.

A server is a function of the arrival time: because it is told of calls in the order in which they arrive, it can say
at once when each will be answered and how, so a call costs one or two events on the heap and no server needs any of
its own. A client always has work; it asks its controller before each call, the way the engine does, and its timers
come late by up to a millisecond, the way those of an event loop do. Time is virtual and randomness seeded: the same
seed gives the same run.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from whilst.core.adaptive import Controller

TIMER_LATE = 0.001  # seconds; asyncio rounds the time to wait up to whole milliseconds
REFUSAL = 0.005  # seconds until a server has said no


class Answer(NamedTuple):
    """What a server will say, and when."""

    at: float
    ok: bool
    retry_after: float | None = None


class Server(Protocol):
    """Something that answers calls; told of them in the order in which they arrive."""

    def answer(self, now: float, rng: random.Random) -> Answer: ...


class Steering(Protocol):
    """What a client asks; see `Controller`."""

    def delay(self, in_flight: int, now: float) -> float: ...
    def sent(self, in_flight: int, now: float) -> None: ...
    def succeeded(self, sent: float, now: float, in_flight: int) -> None: ...
    def rejected(self, sent: float, now: float, in_flight: int, retry_after: float | None = None) -> None: ...


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


@dataclass(slots=True)
class Client:
    """One run's calls on a server, and what came of those that were answered since `counted_from`."""

    steering: Steering
    counted_from: float = 0.0
    in_flight: int = 0
    ok: int = 0
    refused: int = 0
    latency: float = 0.0
    wakes_at: float = math.inf
    early: int = 0  # calls sent while the last Retry-After still held
    barred_until: float = 0.0
    seen: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def refused_share(self) -> float:
        return self.refused / max(1, self.ok + self.refused)


def simulate(server: Server, clients: Sequence[Client], until: float, seed: int, *, hop: Times | None = None) -> None:
    """Run `clients` against `server` for `until` virtual seconds; `hop`: the way there, if it is not even."""
    rng = random.Random(seed)
    order = itertools.count()
    events: list[tuple[float, int, int, Client, float, Answer | None]] = []
    wake, arrive, answered = 0, 1, 2

    def push(at: float, kind: int, client: Client, sent: float, answer: Answer | None = None) -> None:
        heapq.heappush(events, (at, next(order), kind, client, sent, answer))

    def send_more(client: Client, now: float) -> None:
        steering = client.steering
        while (wait := steering.delay(client.in_flight, now)) <= 0:
            client.in_flight += 1
            steering.sent(client.in_flight, now)
            client.early += now < client.barred_until
            if hop is None:
                answer = server.answer(now, rng)
                push(answer.at, answered, client, now, answer)
            else:
                push(now + hop(rng), arrive, client, now)
        if wait < math.inf and now + wait < client.wakes_at:
            client.wakes_at = now + wait
            push(now + wait + TIMER_LATE * rng.random(), wake, client, 0.0)

    for client in clients:
        send_more(client, 0.0)
    while events and events[0][0] < until:
        now, _, kind, client, sent, answer = heapq.heappop(events)
        if kind == arrive:
            answer = server.answer(now, rng)
            push(answer.at + (hop(rng) if hop else 0.0), answered, client, sent, answer)
            continue
        if kind == wake:
            client.wakes_at = math.inf
        elif answer is not None:
            take(client, sent, now, answer)
        send_more(client, now)


def take(client: Client, sent: float, now: float, answer: Answer) -> None:
    """Give an answer to the client and count it."""
    client.in_flight -= 1
    counts = now >= client.counted_from
    if answer.ok:
        client.steering.succeeded(sent, now, client.in_flight)
        client.ok += counts
        client.latency += (now - sent) * counts
    else:
        client.steering.rejected(sent, now, client.in_flight, answer.retry_after)
        client.refused += counts
        client.barred_until = max(client.barred_until, now + (answer.retry_after or 0.0))


# -- what the controller is compared with ---------------------------------------------------------------------------


class Fixed:
    """A fixed concurrency that obeys Retry-After."""

    def __init__(self, concurrency: int = 32) -> None:
        self.limit = float(concurrency)
        self.pause_until = 0.0

    def delay(self, in_flight: int, now: float) -> float:
        if in_flight >= max(1, int(self.limit)):
            return math.inf
        return max(0.0, self.pause_until - now)

    def sent(self, in_flight: int, now: float) -> None:
        pass

    def succeeded(self, sent: float, now: float, in_flight: int) -> None:
        pass

    def rejected(self, sent: float, now: float, in_flight: int, retry_after: float | None = None) -> None:
        self.pause_until = max(self.pause_until, now + (retry_after or 0.0))


class Aimd(Fixed):
    """One more a round trip, 0.7 of it after a reject, at most once a round trip."""

    def __init__(self, cap: int = 4096) -> None:
        super().__init__(10)
        self.cap = cap
        self.cut_at = -math.inf

    def succeeded(self, sent: float, now: float, in_flight: int) -> None:
        self.limit = min(self.cap, self.limit + 1 / self.limit)

    def rejected(self, sent: float, now: float, in_flight: int, retry_after: float | None = None) -> None:
        super().rejected(sent, now, in_flight, retry_after)
        if sent >= self.cut_at:
            self.limit = max(1.0, self.limit * 0.7)
            self.cut_at = now


# -- the servers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scene:
    """A server, for how long, and the most that anybody could get out of it.

    Attributes:
        server: makes a fresh one.
        until: virtual seconds; long enough that finding the limit is a part of the run and not all of it.
        best: calls that could be answered in that time.
        unloaded: seconds a call takes on the idle server.
        floor: the least goodput, % of `best`; the design's figure less two points.
        cap: the controller's cap.
        clients: how many share the server.
    """

    name: str
    server: Callable[[], Server]
    until: float
    best: float
    unloaded: float
    floor: float
    cap: int = 4096
    clients: int = 1


CALL = around(0.1, 0.3)  # a call to a service: 100 ms
QUICK = around(0.05, 0.3)
SLOW = around(8.0, 0.4)  # a language model: 8 s

SCENES = (
    Scene("queue of 50 slots", lambda: Slots(50, CALL), 40, 50 / 0.1 * 40, 0.1, 93),
    # Nothing but the cap holds the client back; 1,000 instead of 4,096 keeps the simulation quick.
    Scene("unlimited", lambda: Unlimited(CALL), 20, 1000 / 0.1 * 20, 0.1, 96, cap=1000),
    Scene("200/s with 429", lambda: TokenBucket(200, 20, QUICK), 60, 200 * 60 + 20, 0.05, 95),
    Scene("200/s, Retry-After", lambda: TokenBucket(200, 20, QUICK, retry_after=1.0), 120, 200 * 120 + 20, 0.05, 89),
    Scene("5/s", lambda: TokenBucket(5, 5, CALL), 300, 5 * 300 + 5, 0.1, 98),
    Scene("20 slots then 429", lambda: SlotsOrRefused(20, CALL), 60, 20 / 0.1 * 60, 0.1, 87),
    Scene("1000 per 10 s", lambda: FixedWindow(1000, 10.0, CALL), 240, 100 * 240, 0.1, 98),
    Scene("8 s LLM, 64 slots", lambda: Slots(64, SLOW), 600, 64 / 8 * 600, 8.0, 90),
    Scene(
        "50 slots, then 100, then 25",
        lambda: Slots(50, CALL, [(20.0, 100), (40.0, 25)]),
        60,
        (500 + 1000 + 250) * 20,
        0.1,
        93,
    ),  # fmt: skip
    Scene("two on a queue of 50", lambda: Slots(50, CALL), 30, 500 * 30, 0.1, 93, clients=2),
    Scene("two on 200/s with 429", lambda: TokenBucket(200, 20, QUICK), 60, 200 * 60 + 20, 0.05, 90, clients=2),
)


@dataclass(frozen=True, slots=True)
class Score:
    """What came of one scene: goodput in % of the best, rejects in %, latency relative to the idle server's."""

    goodput: float
    refused: float
    latency: float
    early: int
    shares: tuple[float, ...]


def play(scene: Scene, steering: Callable[[], Steering], seed: int = 1) -> Score:
    """Run one scene."""
    clients = [Client(steering()) for _ in range(scene.clients)]
    simulate(scene.server(), clients, scene.until, seed)
    ok = sum(client.ok for client in clients)
    refused = sum(client.refused for client in clients)
    latency = sum(client.latency for client in clients) / max(1, ok)
    return Score(
        100 * ok / scene.best,
        100 * refused / max(1, ok + refused),
        latency / scene.unloaded,
        sum(client.early for client in clients),
        tuple(client.ok / max(1, ok) for client in clients),
    )


def table(scenes: Sequence[Scene] = SCENES, seeds: Sequence[int] = (1,)) -> str:
    """Play all scenes and lay out the scores, one line a server."""
    players: dict[str, Callable[[Scene], Steering]] = {
        "adaptive": lambda scene: Controller(cap=scene.cap),
        "AIMD 0.7": lambda scene: Aimd(scene.cap),
        "fixed 32": lambda scene: Fixed(32),
    }
    lines = [f"{'goodput %, rejected %, latency x':32}" + "".join(f"{name:>22}" for name in players)]
    for scene in scenes:
        line = f"{scene.name:32}"
        for make in players.values():
            scores = [play(scene, lambda make=make, scene=scene: make(scene), seed) for seed in seeds]  # type: ignore[misc]
            n = len(scores)
            goodput, refused, latency = (
                sum(s.goodput for s in scores) / n, sum(s.refused for s in scores) / n, sum(s.latency for s in scores) / n
            )  # fmt: skip
            line += f"{goodput:8.1f} {refused:6.1f} {latency:6.2f}"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(seeds=range(1, 1 + int(sys.argv[1]) if len(sys.argv) > 1 else 2)))
