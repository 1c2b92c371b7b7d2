"""What a lane needs from the driver, and what the driver needs from its lanes."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..core.call import Call
from ..core.timings import Timings
from .results import Client

if TYPE_CHECKING:
    from ..core.headers import Left


class Port(Client, Protocol):
    """The driver as its lanes see it; every method is called on the loop unless it says otherwise.

    Who derives from it does nothing where it only takes note.
    """

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    context: contextvars.Context
    names_calls: bool
    """Whether what calls leave running must be able to tell which call that was; see `calling`."""
    ends_at: float
    """When the run's deadline is, by its clock: no call begins then or later."""
    is_told_apart: bool
    """Whether there may be several attempts of an input, or a journal that knows inputs by what they are."""
    timings: Timings
    """Told by lanes how long calls took: of 25 µs and more each, of shorter ones some."""
    started: float
    """When the run began, by its clock."""

    def run_id(self) -> bytes:
        """Return what tells the run from others."""
        ...

    def told_apart(self, index: int) -> tuple[int, tuple[Any, ...]]:
        """Return which attempt of an input its next call is, and what the input is known by; from any thread."""
        ...

    def call_of(self, index: int) -> Call | None:
        """Return the call of an input that is in flight, as the code inside it sees it; None: nobody can ask there."""
        ...

    def allow(self, item: Any, left: Left) -> None:
        """Take note of what an answer says in the middle of the call of this input; on any thread."""

    def abandon(self, index: int) -> None:
        """Take note that a call is left behind; called before its outcome is emitted or dropped."""
        return

    def unmade(self, pairs: Sequence[tuple[int, Any]]) -> None:
        """Take back inputs that were taken from the queue and not called: no attempt, and before the others."""

    def due(self, index: int, started: float) -> float:
        """Return when a call that began at `started` is past its time (inf: never)."""
        ...

    def overdue(self, index: int, started: float) -> TimeoutError:
        """Return the error of a call that is past its time."""
        ...

    def turn(self) -> None:
        """Take note that fewer or more lanes hold a place of the concurrency than before."""
        return

    def give_up(self, error: Exception) -> None:
        """Start nothing new, let what is in flight finish, then raise `error`."""
        return

    def past_deadline(self, took: float) -> None:
        """Act on the deadline, which is over, at once: a call that `took` so long may have kept its timer from it."""
        return


class Lanes(Protocol):
    """A set of lanes of one kind; every method is called on the loop unless it says otherwise.

    Those that only take note of something do nothing, where that makes no difference to lanes of a kind.
    """

    by_worker: dict[str, dict[str, float]] = {}  # noqa: RUF012 - whoever has workers makes one of its own
    """What each worker process or node has made, by its name; nothing where there is but this process."""
    resting: int = 0
    """How many calls are of inputs that only wait, and hold no place of the concurrency: none, where a call that waits
    holds its lane."""
    starting: int = 0
    """How many lanes are not ready yet, of those that are being started elsewhere."""

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        ...

    @property
    def idle(self) -> bool:
        """Whether a lane stands ready without work, or could be started."""
        ...

    def wake(self) -> None:
        """Start on the queue, which has something now: each lane that wakes up wakes the next."""

    def resize(self, concurrency: int) -> None:
        """Have another number of lanes at most; those that are one too many end when their call is over."""

    def no_more(self) -> None:
        """Take note that the queue will not be filled again; idle lanes may end."""
        return

    def more(self) -> None:
        """Take note that it will be, after all."""
        return

    def sweep(self, now: float) -> float:
        """End the calls that are past their timeout; return when the next one may be (inf: none in flight)."""
        ...

    def expire(self, error: Exception) -> None:
        """End every call in flight, each with an outcome whose error is `error`."""

    def leave_stubborn(self) -> None:
        """Leave the calls behind that were told to end with an outcome and have not: they have it now."""
        return

    def drop(self, after: int) -> None:
        """End every call in flight whose input stands after index `after`, without an outcome."""

    def give_back(self, start: float, *, settles: bool) -> None:
        """Give up inputs from an index on that have a lane and only wait for a call, now and whenever that is so.

        If that `settles`, one that has failed has its last failure for an outcome; the others have none.
        """
        return

    def call_back(self) -> None:
        """Hand back what was taken from the queue and has not begun: see `Port.unmade`."""
        return

    def in_calls(self) -> list[tuple[int, float]]:
        """Return index and start of the calls in flight; from any thread."""
        ...

    def left_behind(self) -> tuple[str, ...]:
        """Name the calls that were abandoned and still run."""
        ...

    def close(self) -> None:
        """End every lane; idempotent."""

    async def gone(self) -> None:
        """Return when the lanes have ended, or when waiting longer would be rude."""

    def let_go(self) -> None:
        """Refer to the run no more: it has ended, and nothing is left behind."""
        return


class Executor(Protocol):
    """One place where calls are made: whoever composes a run picks one and asks it for the rest."""

    @property
    def name(self) -> str:
        """Return what messages and plans call it."""
        ...

    def lanes(self, port: Port, fn: Callable[[Any], Any], concurrency: int, patience: float, *, name: str) -> Lanes:
        """Return the lanes of a run; `patience` is how many seconds a call may take, for messages."""
        ...


def nothing(*_: object) -> None:
    """Be told of what does not matter."""


class Here:
    """Such a place in this process: the run's own loop, or threads.

    Calls on a loop can be cancelled, though one may ignore that; those on threads cannot be stopped.
    """

    def __init__(self, name: str, lanes: Callable[..., Lanes]) -> None:
        self.name: str = name
        self.lanes: Callable[..., Lanes] = lanes
