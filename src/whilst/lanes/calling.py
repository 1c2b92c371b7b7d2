"""What does the code inside a call find around it? Which call it is, who hears of answers, whose place it holds.

What a call leaves running inherits the answer, and can be told from the next call's: a lane makes many calls one after
the other in one context. So where it matters, because a limit is held, each call has a name there: an object of its
own.
"""

from __future__ import annotations

import asyncio
import gc
from asyncio import _get_running_loop as running_loop
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from ..core.call import Call
from . import here

if TYPE_CHECKING:
    from ..core.headers import Left


class Maker(Protocol):
    """What makes calls, one after the other or many at once."""

    def makes(self, call: Any) -> bool:
        """Whether it is in that call now; from any thread."""
        ...

    def makes_here(self, call: Any) -> bool:
        """Whether the task or thread that runs now is the one that makes it."""
        ...

    def item_of(self, call: Any) -> Any:
        """Return the input of that call."""
        ...


maker: ContextVar[Maker | None] = ContextVar("whilst_maker", default=None)
"""What makes the calls in this context; only where it names them."""

calling: ContextVar[Any] = ContextVar("whilst_calling", default=None)
"""The name of the call."""

current: ContextVar[Call | None] = ContextVar("whilst_current", default=None)
"""What the code of the call may know of it; None as long as nobody has asked. See `engine.current`."""


class Wanted:
    """Whether anybody asks which call is made: before that, calls have names only where limits need them."""

    __slots__ = ("is_asked",)

    def __init__(self) -> None:
        self.is_asked: bool = False


wanted: Wanted = Wanted()


class Names:
    """The names of the calls that one lane makes in its context, one after the other.

    To put one there costs as much as a quick call, and is needed only if something has copied the context since the
    last one was: a task, a thread, a run. Copies share what holds the variables, so its count of references tells;
    where that cannot be had, each call gets a name. What the code inside may know of its call is an object that becomes
    the next call's, unless somebody has kept it, which its count of references tells likewise.

    Attributes:
        name: of the call that is made now.
        call: what its code may know of it; None as long as nobody asks for such things.
        root: what holds the variables, if it can be had.
        begun: when the run began, by its clock.
        tell_apart: tells the attempt of an input, and what that is known by; None: the first one, and its index.
    """

    __slots__ = ("_port", "begun", "call", "name", "root", "tell_apart")

    def __init__(self, port: Any) -> None:
        self._port = port
        self.begun: float = port.started
        self.tell_apart: Callable[[int], tuple[int, Any]] | None = port.told_apart if port.is_told_apart else None
        self.name: object = None
        self.call: Any = None  # a `Call`, whose attributes nobody else may set
        self.root: object = None

    def renew(self, context: Context) -> Context:
        """Give the next call another name; return a copy of the context as it is then. Called inside the context."""
        self.name = object()
        calling.set(self.name)
        if wanted.is_asked:
            self.call = Call(self._port, -1, "", 1, 0.0)
            current.set(self.call)
        copied = context.copy()
        found = gc.get_referents(copied)
        self.root = found.pop() if len(found) == 1 else None
        return copied


def task_here() -> asyncio.Task[Any] | None:
    """Return the task that runs now, if any does."""
    return asyncio.current_task() if running_loop() is not None else None


# -- who hears of answers ---------------------------------------------------------------------------------------
#
# An exception tells how many calls are left, a value does not. So whatever limits a call listens while it is made;
# innermost first, as that is what the call was made under. A client that finds something in an answer tells it here.


class Listener(Protocol):
    """What limits a call."""

    def allow(self, left: Left) -> None:
        """Take note, in the middle of the call, of how many calls are left; on any thread."""


listening: ContextVar[Listener | None] = ContextVar("whilst_listening", default=None)
"""What limits the call that is made now, if not the run of its `seat` alone. What it is told after the call has ended,
by what the call left running, it may ignore."""


class Innermost:
    """How to find who holds permits around the code that runs now, and so wants to know first."""

    find: Callable[[], Listener | None] = staticmethod(lambda: None)  # whoever knows of permits puts a better one here


innermost: Innermost = Innermost()


def listener_now() -> Listener | None:
    """Return who is to be told: the innermost block or call that holds permits, else what limits the call."""
    return innermost.find() or listening.get() or seat.get() or here.listener


# -- whose place of a run's concurrency it holds ----------------------------------------------------------------
#
# An input that only waits (for permits, a pause or another attempt) gives its place to another, and takes it again when
# it goes on. What stands inline in the lane of an input finds that lane here.


class Back:
    """What an input was, if it is given back while it only waits: its run starts nothing new.

    Attributes:
        error: its last failure; None: no call of it was made, so nothing becomes of it.
        last: when the last call began, and how long it took, where that is what the input took.
        counted: how many attempts are counted of it that were not made.
    """

    __slots__ = ("counted", "error", "last")

    def __init__(
        self, error: Exception | None = None, last: tuple[float, float] | None = None, counted: int = 0
    ) -> None:
        self.error: Exception | None = error
        self.last: tuple[float, float] | None = last
        self.counted: int = counted


NOT_CALLED = Back()

given_back: ContextVar[Back | None] = ContextVar("whilst_given_back", default=NOT_CALLED)
"""What an input is given back as that waits for the first call here, in a flow or in a part that is tried again; None:
it is not, as calls before that part were made."""


class Seat(Listener, Protocol):
    """The place of one input; branches that run at the same time share it."""

    outer: Seat | None
    """The place in whose call the run of this one was started."""

    @property
    def port(self) -> Any:
        """Return the run; None when it has ended."""
        ...

    @property
    def index(self) -> int:
        """Return that of the input."""
        ...

    def give_up(self, error: Exception) -> None:
        """Settle the input with this failure: one of its calls ignores that it was cancelled, and is left behind."""

    def fork(self, count: int) -> None:
        """Count so many branches more that run."""

    def begins(self, now: float) -> None:
        """Take note that the call begins which is all that the input needs."""

    def uncalled(self, started: float, took: float) -> None:
        """Take note that the input ends without the call that was to come; when an earlier one was made, if one was."""

    def count(self, attempts: int) -> None:
        """Count attempts more than the one that each input has, or less."""

    def rest(self, back: Back | None) -> None:
        """Take note that a branch waits from now on: the place is free if none runs.

        `back` is what the input is given back as if the run starts nothing new; None: it is not, it goes on later.
        """

    def resume(self, back: Back | None) -> None:
        """Take note that it goes on which waited with this."""

    def ends(self) -> None:
        """Take note that a branch has ended before others."""

    def is_given_back(self) -> bool:
        """Whether the input would be given back now if the branch that asks this waited for another attempt."""
        ...


seat: ContextVar[Seat | None] = ContextVar("whilst_seat", default=None)
