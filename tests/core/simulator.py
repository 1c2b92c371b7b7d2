"""How does a controller fare against servers whose limits it is not told? A discrete-event simulation.

`python tests/core/simulator.py [SEEDS]` prints goodput, rejects and latency per server, for the adaptive controller
and for two references: additive increase with multiplicative decrease by 0.7, and a fixed concurrency.

A client always has work; it asks its controller before each call, the way the engine does, and its timers
come late by up to a millisecond, the way those of an event loop do. Time is virtual and randomness seeded: the same
seed gives the same run.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Protocol

from server_models import (
    Answer,
    FixedWindow,
    Server,
    Slots,
    SlotsOrRefused,
    Times,
    TokenBucket,
    Unlimited,
    around,
    between,
)

from whilst.core.adaptive import Controller

TIMER_LATE = 0.001  # seconds; asyncio rounds the time to wait up to whole milliseconds


class Steering(Protocol):
    """What a client asks; see `Controller`."""

    def delay(self, in_flight: int, now: float) -> float: ...
    def sent(self, in_flight: int, now: float) -> None: ...
    def succeeded(self, sent: float, now: float, in_flight: int) -> None: ...
    def rejected(self, sent: float, now: float, in_flight: int, retry_after: float | None = None) -> None: ...


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

    Several scenes last minutes because their limit shows in minutes: 300 calls at 5/s are one.

    Attributes:
        server: makes a fresh one.
        until: virtual seconds; long enough that finding the limit is a part of the run and not all of it.
        best: calls that could be answered in that time.
        unloaded: seconds a call takes on the idle server.
        floor: the least goodput, % of `best`: for the first eight the design's figure less two points, for the others
            what was measured over ten seeds less three.
        slowest: the most latency, relative to `unloaded`.
        cap: the controller's cap.
        clients: how many share the server.
    """

    name: str
    server: Callable[[], Server]
    until: float
    best: float
    unloaded: float
    floor: float
    slowest: float = 1.1
    cap: int = 4096
    clients: int = 1


CALL = around(0.1, 0.3)  # a call to a service: 100 ms
QUICK = around(0.05, 0.3)
SLOW = around(8.0, 0.4)  # a language model: 8 s

SCENES = (
    Scene("queue of 50 slots", lambda: Slots(50, CALL), 40, 50 / 0.1 * 40, 0.1, 93, 1.6),
    # Nothing but the cap holds the client back; 1,000 instead of 4,096 keeps the simulation quick.
    Scene("unlimited", lambda: Unlimited(CALL), 20, 1000 / 0.1 * 20, 0.1, 96, cap=1000),
    Scene("200/s with 429", lambda: TokenBucket(200, 20, QUICK), 60, 200 * 60 + 20, 0.05, 95),
    Scene("200/s, Retry-After", lambda: TokenBucket(200, 20, QUICK, retry_after=1.0), 120, 200 * 120 + 20, 0.05, 89),
    Scene("5/s", lambda: TokenBucket(5, 5, CALL), 300, 5 * 300 + 5, 0.1, 98),
    Scene("20 slots then 429", lambda: SlotsOrRefused(20, CALL), 60, 20 / 0.1 * 60, 0.1, 87),
    Scene("1000 per 10 s", lambda: FixedWindow(1000, 10.0, CALL), 360, 100 * 360, 0.1, 98),
    Scene("8 s LLM, 64 slots", lambda: Slots(64, SLOW), 600, 64 / 8 * 600, 8.0, 90, 2.0),
    Scene(
        "50 slots, then 100, then 25",
        lambda: Slots(50, CALL, [(20.0, 100), (40.0, 25)]),
        60,
        (500 + 1000 + 250) * 20,
        0.1,
        95,
        2.2,
    ),
    Scene("two on a queue of 50", lambda: Slots(50, CALL), 30, 500 * 30, 0.1, 96, 6.0, clients=2),
    Scene("two on 200/s with 429", lambda: TokenBucket(200, 20, QUICK), 60, 200 * 60 + 20, 0.05, 96, clients=2),
)


@dataclass(frozen=True, slots=True)
class Score:
    """What came of one scene: goodput in % of the best, rejects in %, latency relative to the idle server's."""

    goodput: float
    refused: float
    latency: float
    early: int  # calls sent before a Retry-After was over


def play(scene: Scene, make: Callable[[Scene], Steering], seed: int = 1) -> Score:
    """Run one scene with a fresh controller for each client."""
    clients = [Client(make(scene)) for _ in range(scene.clients)]
    simulate(scene.server(), clients, scene.until, seed)
    ok = sum(client.ok for client in clients)
    refused = sum(client.refused for client in clients)
    latency = sum(client.latency for client in clients) / max(1, ok)
    return Score(
        goodput=100 * ok / scene.best,
        refused=100 * refused / max(1, ok + refused),
        latency=latency / scene.unloaded,
        early=sum(client.early for client in clients),
    )


def adaptive(scene: Scene) -> Controller:
    return Controller(cap=scene.cap)


PLAYERS: dict[str, Callable[[Scene], Steering]] = {
    "adaptive": adaptive,
    "AIMD 0.7": lambda scene: Aimd(scene.cap),
    "fixed 32": lambda scene: Fixed(min(32, scene.cap)),
}


def line(scene: Scene, seeds: Sequence[int], players: Sequence[str] = tuple(PLAYERS)) -> str:
    """Play one scene with each player; return goodput %, rejects % and latency, averaged over the seeds."""
    columns = [f"{scene.name:30}"]
    for name in players:
        scores = [play(scene, PLAYERS[name], seed) for seed in seeds]
        columns.append(f"{mean(s.goodput for s in scores):6.1f}{mean(s.refused for s in scores):6.1f}")
        columns.append(f"{mean(s.latency for s in scores):7.2f}")
    return " ".join(columns)


def header(players: Sequence[str] = tuple(PLAYERS)) -> str:
    return f"{'goodput %, rejected %, latency x':32}" + " ".join(f"{name:>19}" for name in players)


# -- limiters as met on a real network --------------------------------------------------------------------------------

HOP = between(0.00005, 0.00025)  # one way over loopback, client's and server's scheduling included


def after_five_seconds(server: Server, best: float, seed: int, until: float = 20.0) -> tuple[float, float]:
    """Return goodput in % of `best` calls a second, and rejects in %, of what was answered after five seconds."""
    client = Client(Controller(), counted_from=5.0)
    simulate(server, [client], until, seed, hop=HOP)
    return 100 * client.ok / (best * (until - 5.0)), 100 * client.refused_share


def main() -> None:
    seeds = range(1, 1 + (int(sys.argv[1]) if len(sys.argv) > 1 else 1))
    print(header())
    for scene in SCENES:
        print(line(scene, seeds), flush=True)


if __name__ == "__main__":
    main()
