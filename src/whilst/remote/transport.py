"""What carries batches to those who make the calls, and answers back: what is asked of it, and what it may tell.

A *worker* is one place that makes calls: a process, or a node with many calls at once. Everything here happens on the
run's loop. What was sent and is not answered is out; exactly one thing becomes of it: an answer, or it is handed back,
or its worker is lost. One that is ended before that is not out any more; where it goes on, it is said when it is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from .codec import Encoded

HOME, LEFT, ENDS, UNHEARD = "home", "left", "ends", "unheard"
"""What else is said, besides what a call says (`core.call`): it is over, though nobody waited for it; so many calls are
left, as an answer says; the run shall end with this error; what the call said cannot be understood, for that reason."""

Answer: TypeAlias = "tuple[int, Any, BaseException | None, float, float]"
"""(index, value, error, started, took): `started` by the clock of the worker, `took` in seconds."""


class Worker(Protocol):
    """One place that makes calls, as the lanes see it."""

    width: int
    """How many calls it makes at once. One: it makes them in the order in which they were sent."""
    kills: bool
    """Whether a blocking call can be ended; else it goes on, until `HOME` is said of it or the worker is no more."""
    name: str
    """What the summary calls it; empty: it gets a number."""

    def computed(self) -> float | None:
        """Return for how many seconds it has had a processor or queued for one; None where that cannot be known."""
        ...

    def put(self, index: int, target: int, value: Any, attempt: int = 1, identity: Any = None) -> int:
        """Add an input to the batch that goes out next; return how many bytes it has.

        `target` is the number of the function, as given to `know`; `attempt` and `identity` are what `current_call`
        says there (`core.call`; None: the input is known by its index). Raises what makes it impossible to send the
        value: that input is not in the batch then.
        """
        ...

    def know(self, target: int, encoded: Encoded) -> None:
        """Tell the worker a function, before an input for it is put; see `codec.Target`."""

    def send(self) -> None:
        """Send the batch."""

    def call_back(self, *, behind: bool = False) -> None:
        """Ask for all inputs that are out and not begun: they will be handed back.

        None of them begins later than a round trip from now; what is sent after this may. `behind`: only for those that
        wait behind a call that is being made, so that somebody else makes them; if none is, they begin.
        """

    def end(self, indices: Iterable[int]) -> bool:
        """End these calls, which nobody waits for any more: an answer for them is ignored.

        True: the worker died of it, and `lost` is not told; what else was out has not been begun, or not been noticed.
        """
        ...

    def close(self) -> None:
        """Have it end by itself, in good order; nothing is out."""

    def kill(self) -> None:
        """End it at once; nothing more is told of it."""

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of it."""
        ...

    async def gone(self, patience: float) -> None:
        """Return when nothing is left of it; it is killed after so many seconds."""


class Client(Protocol):
    """The lanes, as a worker sees them."""

    def ready(self, worker: Worker) -> None:
        """Take note that it can make calls."""

    def unready(self, worker: Worker, error: BaseException, *, again: bool) -> None:
        """Take note that it could not get ready. `again`: it was ended from outside, and another one may do better."""

    def answered(self, worker: Worker, answers: Sequence[Answer], offset: float) -> bool:
        """Take what became of calls, found together; `offset` is what their clock lacks to be the run's.

        Returns whether it is soon enough to look for more of them after `batch.ROUND` seconds.
        """
        ...

    def handed_back(self, worker: Worker, indices: Sequence[int]) -> None:
        """Take back inputs that were not begun: after `call_back`, or by the worker's own doing."""

    def lost(self, worker: Worker, error: Exception, begun: Iterable[int] | None = None) -> None:
        """Take note that a worker is no more; `error` is what became of the calls that were begun, or may have been.

        `begun` are their indices. None: the first that is out, as the worker makes one call at a time and sends each
        answer before the next one.
        """

    def said(self, worker: Worker, index: int, what: str, more: tuple[Any, ...]) -> None:
        """Take note of what is said before the answer comes, in a word and what belongs to it."""


class Transport(Protocol):
    """Where workers come from."""

    def start(self, client: Client) -> Worker:
        """Begin a worker; it tells the client when it is ready. Raises what makes that impossible."""
        ...
