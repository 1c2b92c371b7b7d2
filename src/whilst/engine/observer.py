"""Who wants to see what happens in a run? A logger, a trace, a span. A run that nobody watches pays nothing for it.

There are three doors: `wrap`, once a function, for who must be around each call; `ended`, once an outcome, and
`step_ended`, once a call of a flow's step; and `happened`, for what is rare. An observer that raises is reported once
and not asked again; the run goes on.

What holds up the calls of a run or a step is told here, too.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Hashable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from ..core.failures import kind_of
from ..core.frozen import NamedTuple
from ..core.held import DOWN, Held, Still, key_name
from ..core.judge import close_awaitable
from ..core.outcome import Record, short
from ..core.secrets import encodable, without_secrets
from ..lanes.clock import alone_later

if TYPE_CHECKING:
    from ..core.events import AttemptFailed, Event
    from ..core.summary import Summary
    from ..limit.state import LimitState

INPUT_SHOWN = 60  # characters of an input in an event

logger: logging.Logger = logging.getLogger("whilst")


class Observer(Protocol):
    """What sees a run; every method is called on the run's loop and must return soon."""

    def wrap(self, fn: Callable[..., Any], path: str, *, is_async: bool) -> Callable[..., Any]:
        """Return what is called in the place of a function: itself, or what does something around each call.

        `path` is that of the step in its flow, "" in a plain map; an async function wants an async one back. Calls of
        blocking functions are made on threads, many at once.
        """
        ...

    def ended(self, record: Record, /) -> None:
        """See an outcome: of a call, or recalled from the journal. Its times are of the run's clock."""

    def step_ended(self, call: StepCall) -> None:
        """See the end of one call of a step of a flow, whatever came of it; each attempt is a call."""

    def happened(self, event: Event, now: float) -> None:
        """See something rare, at this time of the run's clock."""


class StepCall(NamedTuple):
    """One call of a step that has ended.

    Attributes:
        place: the index of the input; inside `each`, of the stage's item.
        path: of the step.
        attempt: which one it was, from 1.
        started: when the call began, by the run's clock.
        took: seconds.
        error: what it raised; None if it went well.
    """

    place: int
    path: str
    attempt: int
    started: float
    took: float
    error: BaseException | None


class Watch:
    """The observers of one run, and the `whilst` logger, which is one of them while somebody listens to it.

    Args:
        observers: those that were given to the run.
        clock: the run's.
        name: of the run.
    """

    def __init__(self, observers: Sequence[Observer], clock: Callable[[], float], name: str) -> None:
        self.observers: list[Observer] = list(observers)
        self.name: str = name
        self.started: float = clock()
        self.deaf: set[int] = set()
        """Functions of the user's that were told of retries, and raised, by their ids."""
        self._clock = clock

    def wrap(self, fn: Callable[..., Any], path: str, *, is_async: bool) -> Callable[..., Any]:
        """Return what is to be called instead of a function."""
        for observer in self.observers:
            try:
                fn = observer.wrap(fn, path, is_async=is_async)
            except Exception as error:
                self._failed(observer, error)
        return fn

    def seeing(self, push: Callable[[Record], None]) -> Callable[[Record], None]:
        """Return `push`, before which everybody is told of the outcome: once a call, so with no ado."""

        def see(record: Record) -> None:
            for observer in self.observers:
                try:
                    observer.ended(record)
                except Exception as error:
                    self._failed(observer, error)
            push(record)

        return see

    def step_ended(self, call: StepCall) -> None:
        """Tell everybody of a call of a step."""
        self._tell("step_ended", call)

    @property
    def listens(self) -> bool:
        """Whether anybody hears of what is a warning at least."""
        return self._is_heard(logging.WARNING)

    # -- what is rare: nothing is made of it where nobody listens ----------------------------------------------

    def run_started(self, total: int | None, concurrency: int) -> None:
        """The run has begun."""
        if self._is_heard(logging.DEBUG):
            from ..core import events

            self._happened(logging.DEBUG, events.RunStarted(self.name, total, concurrency))

    def attempt_failed(
        self,
        index: int,
        item: object,
        path: str,
        *,
        attempt: int,
        error: Exception,
        wait: float,
        started: float,
        took: float,
        tell: Callable[[AttemptFailed], object] | None = None,
    ) -> None:
        """A call is made again after `wait` seconds; it had `started` at this time of the run's clock.

        `tell` is what the user wants to be told by (`Retry(on_retry=…)`); one that has raised is not called again.
        """
        if id(tell) in self.deaf:
            tell = None
        if tell is not None or self._is_heard(logging.INFO):
            from ..core import events

            kind, since, shown = without_secrets(kind_of(error)), started - self.started, short(item, INPUT_SHOWN)
            event = events.AttemptFailed(self.name, index, path, attempt, kind, wait, shown, error, since, took)
            if tell is not None:
                self._call(tell, event)
            self._happened(logging.INFO, event)

    def paused(self, limit: str, key: str, seconds: float, why: str) -> None:
        """Calls of a key are held up."""
        if self._is_heard(logging.WARNING):
            from ..core import events

            self._happened(logging.WARNING, events.Paused(self.name, limit, key, seconds, why))

    def resumed(self, limit: str, key: str) -> None:
        """They are not any more."""
        if self._is_heard(logging.INFO):
            from ..core import events

            self._happened(logging.INFO, events.Resumed(self.name, limit, key))

    def breaker_opened(self, limit: str, key: str, seconds: float) -> None:
        """Nothing is sent for a key but probes."""
        if self._is_heard(logging.WARNING):
            from ..core import events

            self._happened(logging.WARNING, events.BreakerOpened(self.name, limit, key, seconds))

    def call_abandoned(self, index: int, where: str) -> None:
        """A call goes on that was given up."""
        if self._is_heard(logging.WARNING):
            from ..core import events

            self._happened(logging.WARNING, events.CallAbandoned(self.name, index, where))

    def run_ended(self, error: BaseException | None, counted: Callable[[], Summary]) -> None:
        """The run has ended, by itself or with an error."""
        level = logging.DEBUG if error is None else logging.WARNING
        if self._is_heard(level):
            from ..core import events

            it, why = counted(), "" if error is None else f"{type(error).__name__}: {without_secrets(str(error))}"
            self._happened(level, events.RunEnded(self.name, why, it.ok, it.failed, it.elapsed))

    # -- private, in order of use -----------------------------------------------------------------------------

    def _is_heard(self, level: int) -> bool:
        return bool(self.observers) or _is_logged(level)

    def _happened(self, level: int, event: Event) -> None:
        if _is_logged(level):
            from ..core.events import name_of_event, values_of

            extra: dict[str, Any] = {f"whilst_{name}": value for name, value in values_of(event).items()}
            extra["whilst_event"] = event
            text, extra["event"] = encodable(without_secrets(str(event))), name_of_event(event)
            logger.log(level, "%s", text, extra=extra)
        if self.observers:
            self._tell("happened", event, self._clock())

    def _tell(self, door: str, *what: Any) -> None:
        for observer in self.observers:
            try:
                getattr(observer, door)(*what)
            except Exception as error:
                self._failed(observer, error)

    def _call(self, tell: Callable[[AttemptFailed], object], event: AttemptFailed) -> None:
        try:
            answer = tell(event)
            if close_awaitable(answer):
                raise TypeError(f"it must return at once, and returned {short(answer)}: it cannot be async")
        except Exception as error:
            self.deaf.add(id(tell))
            _warn(f"{self.name}: Retry(on_retry=…) raised {short(error)}; it is not told any more")

    def _failed(self, observer: Observer, error: Exception) -> None:
        self.observers = [it for it in self.observers if it is not observer]  # a new one: all others are told still
        _warn(f"{self.name}: an observer ({type(observer).__name__}) raised {short(error)}; it is not told any more")


def _warn(said: str) -> None:
    try:
        warnings.warn(said, RuntimeWarning, stacklevel=2)
    except RuntimeWarning:  # where warnings are errors this is no place for one
        pass


def _is_logged(level: int) -> bool:
    """Whether a handler would get it that somebody has chosen, which the interpreter's last resort is not."""
    return logger.isEnabledFor(level) and logger.hasHandlers()


# -- what holds up calls: the run was paused, a limit is, or the other side asked for a pause or seems to be down ----


class PausesHost(Protocol):
    """What pauses need from the driver, or from a step."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    watch: Watch

    def soon(self, act: Callable[[], None]) -> None:
        """Do something on the loop: at once if this is its thread."""

    @property
    def still(self) -> Still:
        """When it stood still because somebody had paused it."""
        ...


class Pauses:
    """The pauses of one gate; what is `held` is read from any thread."""

    def __init__(self, host: PausesHost, limits: tuple[LimitState, ...]) -> None:
        self.held: Held = Held()
        """Which keys are paused, and why."""
        self.of_run: str = ""
        """What has paused the run itself, in words."""
        self._host = host
        self._limits = limits
        self._resuming: dict[str, asyncio.TimerHandle] = {}  # pauses of which somebody wants to hear the end
        self._said: dict[tuple[str, str], str] = {}  # limits that were said to be paused, by key and words
        self._closed = False

    def note_stops(self) -> None:
        """Take note of which limits are paused now, and whether the run is."""
        host = self._host
        stopped = [limit for limit in self._limits if limit.stops]
        of_run = [self.of_run] if self.of_run else []
        self.held.stopped = (*of_run, *[limit.stops.words for limit in stopped])
        host.still.mark(self, host.clock(), on=bool(self.held.stopped))
        said = {(key, words): repr(limit) for limit in stopped for key, words in limit.stops.by_key.items()}
        if of_run:
            said["", of_run[0]] = ""
        before, self._said = self._said, said
        for (key, words), limit in said.items():
            if (key, words) not in before:
                host.watch.paused(limit, key, inf, words)
        for (key, words), limit in before.items():
            if (key, words) not in said:
                host.watch.resumed(limit, key)

    def note(self, keys: tuple[Hashable, ...], until: float, why: str) -> None:
        """Take note that the calls for these keys wait until then; from any thread."""
        host = self._host
        now = host.clock()
        if until <= now:
            return
        name = key_name(keys)
        if host.watch.listens and self.held.until(name) <= now:
            host.soon(lambda: self._say(name, until - now, why))
        self.held.pause(name, until, why)

    def close(self) -> None:
        """Say nothing more."""
        self._closed = True
        for timer in self._resuming.values():
            timer.cancel()
        self._resuming.clear()

    def let_go(self) -> None:
        """Refer to the run no more."""
        del self._host

    def _say(self, key: str, seconds: float, why: str) -> None:
        if self._closed or key in self._resuming:  # said: several calls may hear of the same pause at once
            return
        watch, limit = self._host.watch, ", ".join(repr(one) for one in self._limits if one.bounded)
        if why is DOWN:
            watch.breaker_opened(limit, key, seconds)
        else:
            watch.paused(limit, key, seconds, why)
        self._say_it_goes_on_in(seconds, key, limit)

    def _say_it_goes_on(self, key: str, limit: str) -> None:
        """Say that a pause is over, unless it was made longer."""
        del self._resuming[key]
        left = self.held.until(key) - self._host.clock()
        if left > 0:
            self._say_it_goes_on_in(left, key, limit)
        else:
            self._host.watch.resumed(limit, key)

    def _say_it_goes_on_in(self, seconds: float, key: str, limit: str) -> None:
        self._resuming[key] = alone_later(self._host.loop, seconds, self._say_it_goes_on, key, limit)
