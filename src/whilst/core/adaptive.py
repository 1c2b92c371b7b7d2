"""How many calls at once, and how many a second, does the other side allow?"""
from __future__ import annotations
from math import inf
from .elasticity import Climb
from .ceiling import Ceiling
from .cubic import Pace

TOLERATED = 0.015
SAVED = 2.0
FEW = 3

class Controller:
    __slots__ = ("_ceiling", "_climb", "_credit", "_cut_at", "_few", "_pace", "limit", "pause_until")

    def __init__(self, *, cap: int = 4096, start: int = 10) -> None:
        self._climb = Climb(cap=cap, start=start)
        self._ceiling = Ceiling()
        self._pace = Pace()
        self._credit = 0.0
        self._few = FEW
        self._cut_at = -inf
        self.limit = max(1, int(self._climb.level))
        self.pause_until = 0.0

    @property
    def rate(self) -> float | None:
        return self._pace.rate

    def delay(self, in_flight: int, now: float) -> float:
        if in_flight >= self.limit:
            return inf
        if now < self.pause_until:
            return self.pause_until - now
        wait = self._pace.next_at - now
        if wait <= 1e-9:
            return 0.0
        self._pace.bound(now)
        return wait

    def sent(self, in_flight: int, now: float) -> None:
        if in_flight >= self.limit:
            self._climb.full()
            if self._ceiling.top <= in_flight and (self._credit >= 1 or self._ceiling.looking) and self._ceiling.reached(now, self._climb.latency):
                self._climb.settle(self._ceiling.top, now)
                self._limit()
        self._pace.sent(now, in_flight)

    def succeeded(self, sent: float, now: float, in_flight: int) -> None:
        latency = max(0.0, now - sent)
        self._climb.succeeded(latency, now)
        self._pace.succeeded(sent, now, self._climb.latency)
        if self._credit < SAVED:
            self._credit += TOLERATED
        self._limit()

    def _limit(self):
        self.limit = max(1, int(min(self._climb.level, self._ceiling.top)))

    def rejected(self, sent: float, now: float, in_flight: int, retry_after: float | None = None) -> None:
        if retry_after:
            self.pause_until = max(self.pause_until, now + retry_after)
        if sent < self._cut_at:
            self._ceiling.lower(in_flight)
            self._limit()
            return
        if self._few == 0 and self._ceiling.looking and self._climb.throughput < self._pace.most:
            self._pace.resume()
            self._few = FEW + 1
        if self._few == FEW and self._pace.rate is not None and not retry_after and self._pace.crowded(in_flight):
            self._pace.drop()
            self._few = 0
            self._ceiling = Ceiling()
            self._ceiling.refused(in_flight, now, self._climb.latency)
            self._climb.settle(self._ceiling.top, now)
            self._limit()
            return
        if not retry_after and self._credit >= 1 and not self._ceiling.looking:
            self._credit -= 1
            return
        self._cut_at = now
        latency = self._climb.latency
        if self._pace.rate is None and not retry_after and in_flight >= self._few and self._ceiling.refused(in_flight, now, latency):
            self._climb.settle(self._ceiling.top, now)
        else:
            self._ceiling = Ceiling()
            self._pace.cut(now, latency, retry_after or 0.0)
            if self._pace.rate:
                self._climb.settle(max(10, 3*self._pace.rate*latency+3), now)
        self._limit()
    def failed(self, sent, now, in_flight): ...
