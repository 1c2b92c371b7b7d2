"""What does a run say of itself? Read from any thread, while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from heapq import nsmallest
from math import inf
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..core.account import added
from ..core.plan import Plan
from ..core.retried import OFF
from ..core.summary import Summary
from ..core.timings import SLOWEST, Slow, Timings
from ..lanes.port import Lanes
from .accounting import Accounting
from .book import Book
from .failing import Failures
from .growing import Additions
from .lateness import Lateness
from .source import Source

if TYPE_CHECKING:
    from .scope import Scope

LOOK_EVERY = 0.25  # seconds
HANGS = 1.0  # seconds; a call that takes longer is told of while it does


@runtime_checkable
class Listing(Protocol):
    """Lanes that know which calls they are in."""

    def in_calls(self) -> list[tuple[int, float]]:
        """Return index and start of calls in flight; from any thread."""
        ...


class Told(Protocol):
    """The driver, as far as it is told of."""

    plan: Plan
    scope: Scope | None
    book: Book
    lanes: Lanes
    failures: Failures
    concurrency: int
    accounting: Accounting
    lateness: Lateness | None
    additions: Additions
    timings: Timings
    clock: Callable[[], float]

    @property
    def total(self) -> int | None:
        """How many inputs there will be, as far as is known."""
        ...

    @property
    def finished(self) -> bool:
        """Whether there will be no more outcomes."""
        ...


def summary_of(run: Told, elapsed: float) -> Summary:
    """Count."""
    plan, scope, book, failures, accounting = run.plan, run.scope, run.book, run.failures, run.accounting
    done, failed = book.done, failures.count  # while this is read, more may be done and begun: hence the bounds below
    lane_time = accounting.account.seconds(-inf if run.finished or run.additions.quiet else run.clock())
    return Summary(
        name=plan.name,
        total=run.total,
        ok=max(0, done - failed - book.unwanted),
        failed=failed,
        in_flight=0 if run.finished else max(0, min(book.in_flight - run.lanes.resting, run.concurrency)),
        abandoned=run.lanes.abandoned + (scope.abandoned if scope is not None else 0),
        elapsed=elapsed,
        concurrency=run.concurrency if book.gate is None else book.gate.concurrency,
        failures=dict(failures.kinds),
        left_behind=_left_behind(run),
        done=run.finished,
        recalled=book.recalled,
        retried=book.retried + (scope.retried if scope is not None else 0),
        hedged=scope.hedged if scope is not None else 0,
        waiting=book.waiting + (scope.waiting if scope is not None else 0),
        rejected=failures.rejected + (scope.rejected if scope is not None else 0),
        paused=0.0 if run.finished else _paused(run),
        held=() if run.finished else _held(run),
        stopping=book.is_told or run.finished,
        shared=book.sifting.shared if book.sifting is not None else 0,
        notes=_notes(run),
        lane_time=lane_time,
        peak=accounting.account.peak,
        called=max(0, done - book.unwanted - book.uncalled) + book.retried,
        cpu=accounting.cpu,
        queued=run.lateness.queued if run.lateness is not None else 0.0,
        late=run.lateness.usual if run.lateness is not None else 0.0,
        hanging=() if run.finished else _hanging(run),
        retry_waits=_retry_waits(run),
        step_time=scope.step_time() if scope is not None else {},
        join_time=scope.join_time() if scope is not None else {},
        stage_time=scope.stage_time(lane_time) if scope is not None else {},
        workers={name: {**it} for name, it in run.lanes.by_worker.items()} if run.lanes.by_worker else {},
        levels=accounting.levels.seen() if accounting.levels is not None else {},
        timings=run.timings.snapshot(),
        bounded=_bounded(plan, run.concurrency),
    )


def since_then(final: Summary, scope: Scope | None, source: Source | None) -> Summary:
    """Return the last summary of a run that has ended, with what is left behind of it by now."""
    if not final.left_behind:
        return final
    calls = scope.left_behind() if scope is not None else ()
    waiting = (source.waiting,) if source is not None and source.waiting else ()
    return final._replace(abandoned=scope.abandoned if scope is not None else 0, left_behind=calls + waiting)


def _bounded(plan: Plan, lanes: int) -> str:
    """Return the limit that permits no more calls at once than there are lanes, by its name."""
    bounds = [limit.most for limit in plan.limits if limit.most is not None and not (limit.keyed or limit.adaptive)]
    return f"concurrency={min(bounds)}" if bounds and min(bounds) <= lanes else ""


def _retry_waits(run: Told) -> dict[str, float]:
    """Return the seconds that inputs waited for another attempt, by what for."""
    attempts = run.book.attempts
    of_map = attempts.attempts.waits if attempts is not None else {}
    return added([of_map, run.scope.retry_waits if run.scope is not None else {}])


def _hanging(run: Told) -> tuple[Slow, ...]:
    """Return the calls that have been in flight the longest, if that is long; to look at all takes its time."""
    now, accounting = run.clock(), run.accounting
    if now < accounting.hanging_until:
        return accounting.hanging
    accounting.hanging_until = now + LOOK_EVERY
    accounting.hanging = found = _oldest(run, now)
    return found


def _oldest(run: Told, now: float) -> tuple[Slow, ...]:
    calls = run.lanes.in_calls() if isinstance(run.lanes, Listing) else []
    oldest = nsmallest(SLOWEST, ((started, index) for index, started in calls if started <= now - HANGS))
    return tuple(Slow(index, now - started) for started, index in oldest)


def _held(run: Told) -> tuple[str, ...]:
    """Say what holds calls up."""
    gate, attempts, now = run.book.gate, run.book.attempts, run.clock()
    at_the_gate = gate.held_up(now) if gate is not None else ()
    budget = attempts.budget.words(now) if attempts is not None and attempts.budget is not None else ""
    of_steps = run.scope.held(now) if run.scope is not None else ()
    said = (*at_the_gate, *_all_refused(run), *((budget,) if budget and run.book.waiting else ()), *of_steps)
    return tuple(dict.fromkeys(said))


def _paused(run: Told) -> float:
    """How many seconds nothing is started for."""
    gate, scope = run.book.gate, run.scope
    return max(gate.paused if gate is not None else 0.0, scope.paused if scope is not None else 0.0)


def _all_refused(run: Told) -> tuple[str, ...]:
    """Say that an adaptive limit sends single calls only."""
    limits = run.book.gate.limits if run.book.gate is not None else ()
    found = [limit.statistics().found for limit in limits if limit.adaptive]
    return tuple(text for text in found if text.startswith("everything is refused"))


def _notes(run: Told) -> tuple[str, ...]:
    gate, attempts = run.book.gate, run.book.attempts
    opened = sum(it.opened for it in (gate, run.scope) if it is not None)
    of_steps = run.scope.said() if run.scope is not None else ()
    budget = attempts.budget.note if attempts is not None and attempts.budget is not None else ""
    broken = [name for name in gate.pauses.held.broken if name] if gate is not None else []
    broken += run.scope.broken if run.scope is not None else []
    of_retries = [budget] if budget else []
    hidden: dict[str, int] = gate.hidden if gate is not None else {}
    for library, count in hidden.items():
        of_retries.append(
            f"{library} tried again {count:,} times by itself inside {run.plan.name}(), which hides refusals from "
            f'"adaptive": better turn that off, {OFF[library]}, and give retry= here'
        )
    of_retries += _all_refused(run)
    return (*run.book.notices, *of_retries, *of_steps, *run.failures.notes(opened, broken))


def _left_behind(run: Told) -> tuple[str, ...]:
    source = run.book.source.waiting if run.book.stopping else ""
    calls = run.scope.left_behind() if run.scope is not None else ()
    return run.lanes.left_behind() + calls + ((source,) if source else ())
