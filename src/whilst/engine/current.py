"""`whilst.current_call()`: which call is made now, and which attempt of which input is it?

On the task or the thread of a call that is read off its lane, which costs the call nothing. What a call starts sees it
through a context variable, that is set from when this file was loaded: when somebody has asked for the first time.
"""

from __future__ import annotations

import sys
from types import FrameType

from ..core.call import Call
from ..lanes import here
from ..lanes.calling import current, seat, wanted
from ..lanes.calls import job_of
from ..lanes.loop import call_here
from ..lanes.pool import call_of_thread
from ..lanes.worker import current_worker

wanted.is_asked = True


def current_call() -> Call | None:
    """Return the call in which this code runs; None outside of a call.

    In a flow it is the call of the step. A task or thread that a call has left running still sees that call, never the
    next one. With `hedge=True` both calls of an attempt have the same attributes, except `started`. After `batched`,
    the index is the position of the batch.

    >>> import whilst
    >>> def double(x):
    ...     call = whilst.current_call()
    ...     return call.index, call.attempt, 2 * x
    >>> whilst.map(double, [7, 8]).list()
    [(0, 1, 14), (1, 1, 16)]
    >>> whilst.current_call() is None
    True
    """
    call: Call | None = current.get()
    return _look_around() if call is None else call


def _look_around() -> Call | None:
    """Find the call that had begun when somebody asked for the first time, or that is made for another process."""
    call = None
    if f"{__package__}.driver" in sys.modules:
        call = _step_of_frames() or _step_of_thread() or _read_off_lane()
    return here.is_making() if call is None and here.is_making is not None else call


def _step_of_frames() -> Call | None:
    """Find the step by whose code this is called, on the loop."""
    from .suspended import held_in

    frame: FrameType | None = sys._getframe(3)
    while frame is not None:
        _, leaf, call = held_in(frame) or (None, None, None)
        if leaf is not None:
            if call is None:
                return leaf.told_of(1, frame.f_locals["started"] or leaf.clock(), seat.get())
            return leaf.told_of(1 if call.tries is None else call.tries.number, call.started, seat.get(), call)
        frame = frame.f_back
    return None


def _step_of_thread() -> Call | None:
    """Find the step whose call this thread makes."""
    from .step_calls import LeafCall, StepRun

    worker = current_worker()
    job = job_of(worker) if worker is not None else None
    if worker is None or job is None:
        return None
    place, made_for = job.context.get(seat), getattr(job.after, "__self__", None)
    if job.row is not None:
        made_for = job.row.of.leaf(job.row.at)
    if isinstance(made_for, LeafCall):
        attempt = 1 if made_for.tries is None else made_for.tries.number
        return made_for.leaf.told_of(attempt, made_for.started, place, made_for)
    return made_for.told_of(1, worker.started, place) if isinstance(made_for, StepRun) else None


def _read_off_lane() -> Call | None:
    """Return the call of the lane whose task or thread this is, if it is one's."""
    from .driver import Driver

    found = call_here() or call_of_thread()
    if found is None:
        return None
    port, index, started = found
    if not isinstance(port, Driver):  # single calls: of steps, which have been looked for, or of `unblock`
        return None
    attempt, identity = port.told_apart(index)
    return Call(port, index, "", attempt, started - port.started, identity)
