"""How many calls at once are worth it, judged by whether more of them get more done?

A batch client always has work, so the other side is always as busy as the client lets it be, and a latency that is
compared with its own recent past soon counts its own queue as normal. What cannot deceive is the throughput: while
there is room, twice the calls in flight get twice as much done; where the other side is saturated they only wait
twice as long. The share of an increase that comes out as throughput is its *elasticity*, and `Climb` walks to the
place where it falls off, the knee.

=========  =================================================  ====================================================
phase      what it does                                       leaves for
=========  =================================================  ====================================================
startup    one more per success, which doubles each round     confirm, when throughput did not follow
confirm    grows no further and measures once more            startup, if it followed late; else hold at the knee
hold       stays at `base`                                    up, in turn and at once when throughput rose by
                                                              itself; down, where calls wait longer than they need
up, down   tries a level above or below `base`                the same again from there, if it was the better one;
                                                              else hold at `base`, with longer pauses each time
=========  =================================================  ====================================================

Latency has a part after all: `bare`, what a call took when there was no queue, tells how low a level can be worth a
try. Without that, each look downwards from the knee would cost a fifth of the throughput while it lasts.
"""

from __future__ import annotations

from typing import Literal

HEADROOM = 1.15  # over the knee: a slot that is free finds a call waiting; costs 15 % of latency, gains 5 % of goodput
ELASTIC = 1.7  # times the throughput from twice the calls: there was room for all of them
LEAST_WINDOW = 0.004  # seconds; shorter ones measure the timer of the event loop
LEAST_SAMPLES, MOST_SAMPLES = 16, 512
PATIENCE = 30  # round trips after which a window has to do with the fewest samples
MOST_PAUSES = 8  # windows between two looks in the same direction

Phase = Literal["startup", "confirm", "hold", "up", "down"]


class Climb:
    """The walk to the knee; `level` is where it stands, in calls at once.

    Attributes:
        level: calls that may be in flight, at least 1; not whole.
        phase: see the module's table.
        latency: seconds a successful call takes, on average; 0.0 before the first.
        throughput: successes a second in the last window; 0.0 before the first.
    """

    __slots__ = (
        "_base", "_began", "_best", "_count", "_full", "_gain", "_known", "_looks_down", "_pauses", "_rest", "_skip_to",
        "_spread", "_took", "bare", "cap", "latency", "level", "phase", "throughput",
    )  # fmt: skip

    def __init__(self, *, cap: int, start: int) -> None:
        self.cap: float = float(cap)
        self.level: float = float(min(start, cap))
        self.phase: Phase = "startup"
        self.latency: float = 0.0
        self.throughput: float = 0.0
        self.bare: float = 0.0
        self._spread = 0.0  # variance of the latency
        self._base = self.level
        self._best = 0.0  # throughput at `_base`
        self._gain = 0.25
        self._pauses = self._rest = 1
        self._looks_down = False
        self._full = False  # whether the level was reached in this window, so that it can be judged
        self._known = False  # whether `bare` was measured without a queue
        self._began = -1.0
        self._skip_to = 0.0
        self._count = 0
        self._took = 0.0

    def full(self) -> None:
        """As many calls are in flight as may be."""
        self._full = True

    def succeeded(self, latency: float, now: float) -> None:
        """Count one success; at the end of a window, decide."""
        alpha = 2.0 / (self.level + 1.0)
        alpha = 0.02 if alpha < 0.02 else 0.2 if alpha > 0.2 else alpha
        off = latency - self.latency
        if self.latency:
            self.latency += alpha * off
            self._spread += alpha * (off * off - self._spread)
        else:
            self.latency = latency
        if now < self._skip_to:
            return  # these were sent before the level changed
        if self._began < 0.0:
            self._began = now
            return
        self._count += 1
        self._took += latency
        if self.phase == "startup" and self._full and self.level < self.cap:
            self.level += 1.0
        if self._count >= LEAST_SAMPLES and now - self._began >= self.latency:
            self._judge(now)

    def settle(self, level: float, now: float) -> None:
        """Hold at `level`, because somebody knows better."""
        self._base = level
        self._best = 0.0
        self._hold(now)

    def pause(self, until: float) -> None:
        """Judge nothing by the time in which nothing is sent."""
        self._skip_to = max(self._skip_to, until + self.latency)
        self._began, self._count, self._took, self._full = -1.0, 0, 0.0, False

    def _judge(self, now: float) -> None:
        """Decide, if the window has seen enough."""
        elapsed = now - self._began
        if elapsed < LEAST_WINDOW or (self._count < self._needed() and elapsed < PATIENCE * self.latency):
            return
        was_full, self._full = self._full, False
        throughput, took = self._count / elapsed, self._took / self._count
        self._restart(now)
        if not was_full:
            return  # the source or the consumer held the calls back: this says nothing about the other side
        self.throughput = throughput
        match self.phase:
            case "startup" | "confirm":
                self._start(throughput, took, now)
            case "hold":
                self._held(throughput, took, now)
            case "up":
                self._tried(throughput >= self._best * (1 + (self.level / self._base - 1) / 2), took, now)
            case "down":
                self._tried(throughput >= self._best * (1 - (1 - self.level / self._base) / 3), took, now)

    def _needed(self) -> float:
        """Return how many samples tell half a step of throughput from noise, by their coefficient of variation."""
        step = 1.0 if self.phase in ("startup", "confirm") else abs(self.level / self._base - 1) or self._gain
        varied = self._spread / (self.latency * self.latency) if self.latency else 0.0
        return min(MOST_SAMPLES, max(self.level if self.phase != "startup" else 0.0, 32 * varied / (step * step)))

    def _start(self, throughput: float, took: float, now: float) -> None:
        if throughput >= 1.4 * self._best:
            if throughput >= ELASTIC * self._best:  # no queue yet; and the first window saw the quickest calls only
                self.bare = max(self.bare, took)
                self._known = self._best > 0.0
            self._best = throughput
            self.phase = "startup"
            if self.level >= self.cap:
                self._base = self.cap
                self._hold(now)
        elif self.phase == "startup":
            self.phase = "confirm"
        else:
            self._base = min(self.cap, max(1.0, HEADROOM * throughput * self.bare))
            self._hold(now)

    def _held(self, throughput: float, took: float, now: float) -> None:
        rose = self._best > 0.0 and throughput > 1.12 * self._best
        self._best = throughput
        self._rest -= 1
        if rose and self._base < self.cap:  # there is more room than there was
            self._gain = max(0.5, self._gain)
            self._up(now)
        elif self._rest <= 0:
            knee = HEADROOM * throughput * self.bare
            self._looks_down = not self._looks_down
            if self._looks_down and self._base > 2 and (took > 1.25 * self.bare or not self._known):
                self._go("down", max(min(0.8 * self._base, self._base - 1), min(knee, self._base - 1)), now)
            elif self._base < self.cap:
                self._up(now)

    def _up(self, now: float) -> None:
        self._go("up", max(self._base + 1, self._base * (1 + self._gain)), now)

    def _tried(self, worth: bool, took: float, now: float) -> None:
        """Stay at the level that was tried and try on, or go back to `_base`."""
        up = self.phase == "up"
        if not worth:
            self._gain = 0.25
            self._pauses = min(MOST_PAUSES, 2 * self._pauses)
            if not up:
                self._known = True
                self.bare = max(self.bare, took)  # fewer calls at once are no quicker: calls take longer than they did
            self._hold(now)
            return
        self._base, self._best, self._pauses = self.level, self.throughput, 1
        if not up:
            self.bare = min(self.bare, took)
        if up and self._base < self.cap:
            self._gain = min(1.0, 2 * self._gain)
            self._up(now)
        else:
            self._hold(now)

    def _hold(self, now: float) -> None:
        self._rest = self._pauses
        self._go("hold", self._base, now)

    def _go(self, phase: Phase, level: float, now: float) -> None:
        moved = level != self.level
        self.phase = phase
        self.level = min(self.cap, max(1.0, level))
        self._restart(now)
        if moved:  # what comes back within one round trip was sent at the old level
            self._skip_to = now + self.latency
            self._began = -1.0

    def _restart(self, now: float) -> None:
        self._began, self._count, self._took = now, 0, 0.0
