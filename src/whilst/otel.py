"""Spans of OpenTelemetry for runs and their calls: a span a run, and for some of its calls one each.

`pip install 'whilst[otel]'` brings the API alone; what is done with spans is for the SDK that the program sets up.
Nothing of it is loaded before this module is.
"""

from __future__ import annotations

import asyncio
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
from .core.secrets import bounded, without_secrets
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

_watcher: list[Any] = []


def instrument(*, sample: float = SAMPLE, slow: float | None = None, tracer_provider: Any = None) -> None:
    """Have every run that begins from now on make spans; called again, its new terms hold.

    A run has one span, a child of the span that is current where it was made. A share of the calls have one each, which
    is current while the function runs, so that what its client traces is below it; what the others trace is not
    recorded. Calls that fail or are slow have a span in any case, made when they have ended, up to a hundred a second.

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
        self._name = without_secrets(plan.name)
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
        self._unsampled = NonRecordingSpan(unsampled)
        self._spanned: set[tuple[int, str, int]] = set()  # calls that have a span of their own
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
        name = f"{self._name} {path}" if path else self._name
        if is_async:

            @wraps(fn)
            async def acall(*args: Any, **kwargs: Any) -> Any:
                return await _awaited(fn(*args, **kwargs), self._begun(name))

            return acall

        @wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            span = self._begun(name)
            token = contexts.attach(trace.set_span_in_context(span))
            try:
                value = fn(*args, **kwargs)
            except BaseException as error:
                _failed(span, error)
                span.end()
                raise
            finally:
                contexts.detach(token)
            if hasattr(value, "__await__"):
                return _awaited(value, span)
            span.end()
            return value

        return call

    def ended(self, record: Record) -> None:
        """Make a span of an outcome that failed or was slow, if it has none."""
        index, _, _, error, started, took, attempts = record
        if not self._is_flow and not is_recalled(record):
            self._call_ended(index, "", attempts, started, took, error)

    def step_ended(self, call: StepCall) -> None:
        """Make a span of a call of a step likewise."""
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
            self._span.set_attributes({"whilst.ok": event.ok, "whilst.failed": event.failed})
            if self._left_out:
                self._span.set_attribute("whilst.spans_left_out", self._left_out)
            if event.why:
                self._span.set_attribute("error.type", event.why.partition(":")[0])
                self._span.set_status(Status(StatusCode.ERROR, bounded(event.why, 300)))
            self._span.end(self._ns(now))

    # -- private ---------------------------------------------------------------------------------------------

    def _begun(self, name: str) -> Span:
        """Return the span of a call: one of its own, or one that is not recorded, nor is what stands below it."""
        if not self._sample or draw() >= self._sample:
            return self._unsampled
        call = self._current_call()
        about: dict[str, Any] = {"whilst.run": self._name}
        if call is not None:
            about |= {"whilst.index": call.index, "whilst.attempt": call.attempt}
            if call.path:
                about["whilst.path"] = call.path
            if len(self._spanned) < MOST_SPANNED:
                self._spanned.add((call.index, call.path, call.attempt))
        return self._tracer.start_span(name, self._around, attributes=about)

    def _call_ended(
        self, index: int, path: str, attempt: int, started: float, took: float, error: BaseException | None
    ) -> None:
        self._calls += 1
        self._worked += took
        if error is None and not self._is_slow(took):
            if self._spanned:
                self._spanned.discard((index, path, attempt))
            return
        if (index, path, attempt) in self._spanned:
            self._spanned.discard((index, path, attempt))
            return
        if not self._has_room(started + took):
            self._left_out += 1
            return
        about: dict[str, Any] = {"whilst.run": self._name, "whilst.index": index, "whilst.attempt": attempt}
        if path:
            about["whilst.path"] = path
        name = f"{self._name} {path}" if path else self._name
        span = self._tracer.start_span(name, self._around, attributes=about, start_time=self._ns(started))
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


async def _awaited(value: Awaitable[T], span: Span) -> T:
    """Await the value of a call with its span current, and end that."""
    token = contexts.attach(trace.set_span_in_context(span))
    try:
        return await value
    except BaseException as error:  # a cancellation, too, is how a call ended
        _failed(span, error)
        raise
    finally:
        contexts.detach(token)
        span.end()


def _failed(span: Span, error: BaseException) -> None:
    if span.is_recording():
        from .insight.kept import said_by  # loaded when used

        span.set_attribute("error.type", without_secrets(kind_of(error)))
        span.set_status(Status(StatusCode.ERROR, said_by(error)))


def _attributes(said: Mapping[str, Any]) -> dict[str, Any]:
    return {f"whilst.{name}": value for name, value in said.items() if isinstance(value, (str, int, float, bool))}
