"""Spans of OpenTelemetry for runs and their calls: a span a run, and for some of its calls one each.

`pip install 'whilst[otel]'` brings the API alone; what is done with spans is for the SDK that the program sets up.
Nothing of it is loaded before this module is.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

try:
    from opentelemetry import context as contexts
    from opentelemetry import trace
    from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags, Tracer
except ModuleNotFoundError as _missing:
    if (_missing.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise ModuleNotFoundError(
        "whilst.otel needs opentelemetry-api, which is not installed\n  try: pip install 'whilst[otel]'",
        name="opentelemetry",
    ) from None

from .core.check import seconds
from .core.failures import kind_of
from .core.outcome import Record, is_recalled
from .core.plan import Plan
from .core.secrets import bounded, encodable, without_secrets
from .core.summary import Summary
from .lanes.chance import draw
from .lanes.clock import clock_of
from .run import watchers

if TYPE_CHECKING:
    from .core.events import Event
    from .engine.observer import Observer, StepCall

__all__ = ["instrument", "uninstrument"]

T = TypeVar("T")

SAMPLE: Final = 0.01
SLOW: Final = 5.0  # times the usual call, where nothing else is said
FEWEST: Final = 50  # calls before one is called slow
A_SECOND: Final = 100.0  # spans of failures and slow calls, at most
MOST_SPANNED: Final = 100_000  # calls with a span of which the end is still awaited
ITEMS: Final = ".each"  # in the path of a step whose calls are of items of a stage
OF_ITEM: Final = -1  # instead of the index of an input

_watcher: list[Any] = []


def instrument(*, sample: float = SAMPLE, slow: float | None = None, tracer_provider: Any = None) -> None:
    """Have every run that begins from now on make spans; called again, its new terms hold.

    A run has one span, a child of the span that is current where it was made. A share of the calls have one each, which
    is current while the function runs, so that what its client traces is below it; what the others trace is not
    recorded. Calls that fail or are slow have a span in any case, made when they have ended, up to a hundred a second;
    so has an input of a flow whose time is over while no call of it has failed.

    Spans have `whilst.run`, `whilst.index`, `whilst.attempt`, `whilst.path` (of a step), that of the run `whilst.ok`,
    `whilst.failed`, `whilst.concurrency`, `whilst.total`; failures have `error.type`, which is the kind that the
    summary counts. Texts are without secrets; inputs and values are not in them.

    Args:
        sample: the share of calls that have a span, from 0 to 1. Where the run's own span is not recorded, no call is.
        slow: seconds from which on a call is slow; None: five times the mean of those before it.
        tracer_provider: whose spans they are; None: the global one.

    Raises:
        TypeError, ValueError: an argument cannot be meant.

    >>> import whilst
    >>> whilst.otel.instrument(sample=0.1)
    >>> whilst.map(abs, [-1]).list()
    [1]
    >>> whilst.otel.uninstrument()
    """
    if isinstance(sample, bool) or not isinstance(sample, (int, float)):
        raise TypeError(f"sample must be a share of the calls, got {sample!r}\n  try: sample=0.01")
    if not 0 <= sample <= 1:
        raise ValueError(f"sample must be a share from 0 to 1, got {sample!r}\n  try: sample=0.01")
    late = seconds("slow", slow)
    tracer = trace.get_tracer("whilst", tracer_provider=tracer_provider)

    def begin(plan: Plan, loop: asyncio.AbstractEventLoop, summary: Callable[[], Summary]) -> Observer:
        return _Traced(tracer, plan, clock_of(loop), float(sample), late)

    uninstrument()
    _watcher.append(begin)
    watchers[begin] = ()


def uninstrument() -> None:
    """Have runs that begin from now on make no spans; the others end theirs."""
    for begin in _watcher:
        del watchers[begin]
    _watcher.clear()


class _Traced:
    """The spans of one run; an observer of it."""

    def __init__(
        self, tracer: Tracer, plan: Plan, clock: Callable[[], float], sample: float, slow: float | None
    ) -> None:
        from .engine.current import current_call  # loaded with the first run: what it needs the run has loaded beside

        self._current_call = current_call
        self._tracer = tracer
        self._name = encodable(without_secrets(plan.name))
        self._sample = sample
        self._slow = slow
        self._is_flow = plan.node is not None
        self._offset = time.time() - clock()  # from the run's clock to the epoch
        around = plan.context.run(contexts.get_current)
        about: dict[str, Any] = {"whilst.run": self._name, "whilst.concurrency": plan.concurrency}
        if plan.total is not None:
            about["whilst.total"] = plan.total
        self._span = tracer.start_span(f"whilst {self._name}", around, attributes=about)
        self._around = trace.set_span_in_context(self._span, around)
        found = self._span.get_span_context()
        unsampled = SpanContext(found.trace_id, found.span_id, is_remote=False, trace_flags=TraceFlags(0))
        self._unsampled = _Spanned(NonRecordingSpan(unsampled))
        self._spanned: dict[int, list[_Spanned]] = {}  # calls that have a span of their own, by the index
        self._late: dict[int, int] = {}  # by the index: the id of the last failure by time that a step has told of
        self._calls = 0
        self._worked = 0.0
        self._left = A_SECOND
        self._at = clock()
        self._left_out = 0

    # -- an observer -----------------------------------------------------------------------------------------

    def wrap(self, fn: Callable[..., Any], path: str, *, is_async: bool) -> Callable[..., Any]:
        """Return a function that has a span, or none that is recorded, current while it runs."""
        if not self._span.is_recording():
            return fn
        name = self._called(path)
        if is_async:

            @wraps(fn)
            async def acall(*args: Any, **kwargs: Any) -> Any:
                return await _awaited(fn(*args, **kwargs), self._begun(name))

            return acall

        @wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            spanned = self._begun(name)
            token = contexts.attach(trace.set_span_in_context(spanned.span))
            try:
                value = fn(*args, **kwargs)
            except BaseException as error:
                spanned.over(error)
                raise
            finally:
                contexts.detach(token)
            if hasattr(value, "__await__"):
                return _awaited(value, spanned)
            spanned.over(None)
            return value

        return call

    def ended(self, record: Record) -> None:
        """Make a span of an outcome that failed or was slow, if it has none."""
        index, _, _, error, started, took, attempts = record
        if is_recalled(record):
            return
        if self._is_flow:
            self._input_ended(index, attempts, started, took, error)
        else:
            self._call_ended(index, "", attempts, started, took, error)

    def step_ended(self, call: StepCall) -> None:
        """Make a span of a call of a step likewise."""
        if isinstance(call.error, TimeoutError):
            self._late[OF_ITEM if ITEMS in call.path else call.place] = id(call.error)
        self._call_ended(call.place, call.path, call.attempt, call.started, call.took, call.error)

    def happened(self, event: Event, now: float) -> None:
        """Tell it in the span of the run, which ends with it."""
        from .core.events import AttemptFailed, BreakerOpened, CallAbandoned, Paused, Resumed, RunEnded, as_json

        if isinstance(event, AttemptFailed):
            if not event.path:
                started = now - event.took
                self._call_ended(event.index, "", event.attempt, started, event.took, event.error)
        elif isinstance(event, (Paused, Resumed, BreakerOpened, CallAbandoned)):
            said = {name: value for name, value in as_json(event).items() if name not in ("event", "run")}
            self._span.add_event(f"whilst.{as_json(event)['event']}", _attributes(said), self._ns(now))
        elif isinstance(event, RunEnded):
            for spanned in [each for index in [*self._spanned] for each in self._spanned.pop(index)]:
                spanned.leave()
            self._span.set_attributes({"whilst.ok": event.ok, "whilst.failed": event.failed})
            if self._left_out:
                self._span.set_attribute("whilst.spans_left_out", self._left_out)
            if event.why:
                why = encodable(event.why)
                self._span.set_attribute("error.type", why.partition(":")[0])
                self._span.set_status(Status(StatusCode.ERROR, bounded(why, 300)))
            self._span.end(self._ns(now))

    # -- private ---------------------------------------------------------------------------------------------

    def _called(self, path: str) -> str:
        return encodable(f"{self._name} {path}") if path else self._name

    def _begun(self, name: str) -> _Spanned:
        """Return the span of a call: one of its own, or one that is not recorded, nor is what stands below it."""
        if not self._sample or draw() >= self._sample:
            return self._unsampled
        call = self._current_call()
        if call is None:
            return _Spanned(self._tracer.start_span(name, self._around, attributes={"whilst.run": self._name}))
        about = self._about(call.index, call.path, call.attempt)
        span = self._tracer.start_span(name, self._around, attributes=about)
        if len(self._spanned) >= MOST_SPANNED:
            return _Spanned(span)
        found = _Spanned(span, call.path, call.attempt, is_told=False)
        self._spanned.setdefault(call.index, []).append(found)
        return found

    def _about(self, index: int, path: str, attempt: int) -> dict[str, Any]:
        about: dict[str, Any] = {"whilst.run": self._name, "whilst.index": index, "whilst.attempt": attempt}
        return {**about, "whilst.path": encodable(path)} if path else about

    def _call_ended(
        self, index: int, path: str, attempt: int, started: float, took: float, error: BaseException | None
    ) -> None:
        self._calls += 1
        self._worked += took
        if self._spanned and (own := self._taken(index, path, attempt)):
            ended = [each for each in own if each.is_over]
            for spanned in own:
                if spanned in ended or not ended:
                    spanned.settle(error, self._ns(started + took), alone=len(own) == 1)
                else:  # it goes on, beside the one that counts
                    spanned.leave()
        elif error is not None or self._is_slow(took):
            self._make(index, path, attempt, started, took, error)

    def _input_ended(self, index: int, attempts: int, started: float, took: float, error: BaseException | None) -> None:
        """End the spans of calls that were cut off with their input of a flow, which nobody tells of one by one."""
        told = self._late.pop(index, None), self._late.get(OF_ITEM)
        late = error if isinstance(error, TimeoutError) and id(error) not in told else None
        own = [each for each in self._spanned.get(index, ()) if ITEMS not in each.path]  # else it is an item's index
        for spanned in own:
            self._forget(index, spanned)
            if late is not None:
                spanned.settle(late, self._ns(started + took), alone=False)
            else:
                spanned.leave()
        if late is not None and not own:
            self._make(index, "", attempts, started, took, late)

    def _taken(self, index: int, path: str, attempt: int) -> list[_Spanned]:
        """Return the calls of this attempt that have a span of their own, of which more is not awaited."""
        own = [each for each in self._spanned.get(index, ()) if each.path == path and each.attempt == attempt]
        for spanned in own:
            self._forget(index, spanned)
        return own

    def _forget(self, index: int, spanned: _Spanned) -> None:
        held = self._spanned[index]
        held.remove(spanned)
        if not held:
            del self._spanned[index]

    def _make(
        self, index: int, path: str, attempt: int, started: float, took: float, error: BaseException | None
    ) -> None:
        """Make the span of a call that is over, if there is room for it."""
        if not self._has_room(started + took):
            self._left_out += 1
            return
        about, since = self._about(index, path, attempt), self._ns(started)
        span = self._tracer.start_span(self._called(path), self._around, attributes=about, start_time=since)
        if error is not None:
            _failed(span, error)
        span.end(self._ns(started + took))

    def _is_slow(self, took: float) -> bool:
        if self._slow is not None:
            return took >= self._slow
        return self._calls > FEWEST and took * self._calls > SLOW * self._worked

    def _has_room(self, now: float) -> bool:
        """Whether there may be one more span of those that are made in any case: a hundred a second."""
        self._left = min(A_SECOND, self._left + max(0.0, now - self._at) * A_SECOND)
        self._at = max(self._at, now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _ns(self, moment: float) -> int:
        return int((moment + self._offset) * 1e9)


class _Spanned:
    """A call that has a span of its own, which ends when its function is over and it is known what became of the call.

    The two differ for a call that ran out of its time: the function is cancelled, or goes on, on its thread.
    """

    __slots__ = ("_at", "_error", "_guard", "attempt", "is_over", "is_told", "path", "span")

    def __init__(self, span: Span, path: str = "", attempt: int = 0, *, is_told: bool = True) -> None:
        self.span = span
        self.path = path
        self.attempt = attempt
        self.is_told = is_told
        self.is_over = False
        self._error: BaseException | None = None
        self._at = 0  # when its function was over
        self._guard = threading.Lock()

    def over(self, error: BaseException | None) -> None:
        """Take note that the function is over; on its thread."""
        if not self.span.is_recording():  # nor is it where the span has ended
            return
        with self._guard:
            self._error, self._at, self.is_over = error, time.time_ns(), True
            if self.is_told:
                self._end(error, self._at)

    def settle(self, error: BaseException | None, at: int, *, alone: bool) -> None:
        """Have the span end with what became of the call; if it is one of several, its own failure comes first."""
        with self._guard:
            own = self._error if isinstance(self._error, Exception) and not alone else None
            self._end(own or error or self._error, self._at if self.is_over else at)

    def leave(self) -> None:
        """Have the span end with what the function says."""
        with self._guard:
            self.is_told = True
            if self.is_over:
                self._end(self._error, self._at)

    def _end(self, error: BaseException | None, at: int) -> None:
        if self.span.is_recording():
            if error is not None:
                _failed(self.span, error)
            self.span.end(at)


async def _awaited(value: Awaitable[T], spanned: _Spanned) -> T:
    """Await the value of a call with its span current, which then ends."""
    token = contexts.attach(trace.set_span_in_context(spanned.span))
    failed: BaseException | None = None
    try:
        return await value
    except BaseException as error:  # a cancellation, too, is how a call ended
        failed = error
        raise
    finally:
        contexts.detach(token)
        spanned.over(failed)
        del failed  # whose frames keep this one


def _failed(span: Span, error: BaseException) -> None:
    if span.is_recording():
        from .insight.kept import said_by  # loaded when used

        span.set_attribute("error.type", encodable(without_secrets(kind_of(error))))
        span.set_status(Status(StatusCode.ERROR, said_by(error)))


def _attributes(said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"whilst.{name}": encodable(value) if isinstance(value, str) else value
        for name, value in said.items()
        if isinstance(value, (str, int, float, bool))
    }
