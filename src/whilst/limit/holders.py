"""Who holds which permits, and who was started by whom?

A permit belongs to the block or the call that took it. To ask for another of the same limit in the same task or thread
is refused, as it could wait for itself. What a block or a call starts inherits, by its context, who started it: it may
take what is free, or wait unless that would be for ever (see `circle`). Once the one who started it holds nothing any
more it is a stranger.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextvars import Context, ContextVar, Token, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from ..lanes.calling import Listener, Maker, calling, innermost, maker, seat
from .queue import WaitQueue
from .state import LimitState

if TYPE_CHECKING:
    from ..core.headers import Left

Inside = tuple[tuple["Holder", tuple[WaitQueue, ...]], ...]


class Link:
    """What is inherited: somebody who holds permits, or something that leads to one."""

    __slots__ = ("outer",)

    outer: Holder | None
    """Who it was started by."""

    def holder(self) -> Holder | None:
        """Return the innermost one who held permits when the code that runs now was started."""
        return self.outer

    def forked(self) -> None:
        """Hold nothing: this is a child, and the permits are the parent's."""

    def hears(self) -> Listener | None:
        """Return who is to be told of what an answer says, if this knows."""
        return None


class Holder(Link):
    """One who holds permits.

    Attributes:
        token: of the context in which they were taken.
    """

    __slots__ = ("token",)

    token: Token[Link | None] | None

    def holder(self) -> Holder | None:
        """Return itself."""
        return self

    def hears(self) -> Listener | None:
        """Return itself, while it holds."""
        return self if self.holding else None

    def allow(self, left: Left) -> None:
        """Slow down as an answer says."""
        raise NotImplementedError

    @property
    def holding(self) -> bool:
        """Whether it holds permits now."""
        raise NotImplementedError

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """The limits that it holds a permit of."""
        raise NotImplementedError

    @property
    def queues(self) -> tuple[WaitQueue, ...]:
        """The queues from which its permits are."""
        raise NotImplementedError

    def is_mine(self) -> bool:
        """Whether the code that runs now is the task or thread that took them: each has a context of its own.

        Only there the token can be used, which is cheaper than to remember who took each permit.
        """
        link, token = held.get(), self.token
        try:
            if token is not None:
                held.reset(token)
        except ValueError:
            return False
        self.token = held.set(self)  # which leads to what was there before, too
        held.set(link)
        return token is not None

    def leave_context(self) -> None:
        """Have what the code that runs now starts inherit this no more."""
        token, self.token = self.token, None
        if token is not None:
            try:
                held.reset(token)  # not `set`: a context that looks as before lets a run's lane go on
            except ValueError:
                pass  # left in another context than it was entered in; it does not hold any more


class RunPermit(Link):
    """What the calls of a run inherit: each holds a permit of each of its limits."""

    __slots__ = ("limits",)

    def __init__(self, limits: tuple[LimitState, ...], outer: Holder | None) -> None:
        self.limits: tuple[LimitState, ...] = limits
        self.outer: Holder | None = outer

    def holder(self) -> Holder | None:
        """Return the call that is made now, or has started the code that asks."""
        made_by = maker.get()
        return self.outer if made_by is None else CallPermit(self, made_by, calling.get())

    def forked(self) -> None:
        """Hold nothing."""
        self.limits = ()


class CallPermit(Holder):
    """The permits of one call of a run, for as long as that lasts; made when somebody asks for them."""

    __slots__ = ("_call", "_maker", "_run")

    def __init__(self, run: RunPermit, made_by: Maker, call: Any) -> None:
        self.outer: Holder | None = run.outer
        self.token: Token[Link | None] | None = None
        self._run = run
        self._maker = made_by
        self._call = call

    @property
    def holding(self) -> bool:
        """Whether the call has not returned."""
        return self._maker.makes(self._call)

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """Those of the run."""
        return self._run.limits

    @property
    def queues(self) -> tuple[WaitQueue, ...]:
        """Those of its input's keys."""
        try:
            item = self._maker.item_of(self._call)
            found = [limit.keys.known(limit.key(item)) for limit in self.limits]
        except Exception:  # of the user's `by`, which has been asked before
            return ()
        return tuple([queue for queue in found if queue is not None])

    def is_mine(self) -> bool:
        """Whether the code that runs now is the call itself."""
        return self._maker.makes_here(self._call)

    def forked(self) -> None:
        """Hold nothing."""
        self._run.forked()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallPermit) and other._call is self._call

    def __hash__(self) -> int:
        return id(self._call)


class Errand(Link):
    """A run that somebody who holds permits has started and waits for: what it asks for is asked for by them.

    Attributes:
        mine: those around it whose permits are of the task or thread that started it.
    """

    __slots__ = ("mine",)

    def __init__(self, outer: Holder) -> None:
        self.outer: Holder | None = outer
        self.mine: tuple[Holder, ...] = tuple([one for one in _chain(outer) if one.is_mine()])


held: ContextVar[Link | None] = ContextVar("whilst_limits_held", default=None)
"""What the code that runs now inherits, or holds itself."""


def _hears() -> Listener | None:
    link = held.get()
    return link.hears() if link is not None else None


innermost.find = _hears


def holder_now(link: Link | None) -> Holder | None:
    """Return the innermost of those who still hold permits, and have its chain lead to such ones only."""
    holder = innermost = _holding(link.holder() if link is not None else None)
    while holder is not None:
        holder.outer = _holding(holder.outer)
        holder = holder.outer
    return innermost


def ask_around(limits: tuple[LimitState, ...], *, for_run: bool = False) -> Holder | None:
    """Return who holds permits around the code that runs now and asks for others.

    `for_run`: it is a run, or the call of a step, that asks for whoever waits for it.

    Raises:
        RuntimeError: it is the same task or thread, and could wait for itself.
    """
    link = held.get()
    if link is None:
        return None
    holder = holder_now(link)
    errand = link if for_run and type(link) is Errand else None
    for one in _chain(holder):
        for limit in one.limits:
            if limit.bounded and limit in limits and (one.is_mine() if errand is None else one in errand.mine):
                raise holds_already(limit)
    return holder


def holds_already(limit: LimitState) -> RuntimeError:
    """Say that a wait could be for ever."""
    return RuntimeError(
        f"{limit!r}: this call holds a permit of this limit already, so it could wait for another one for ever\n"
        "  try: give the limit to the inner calls only, or to the outer one only"
    )


def inside_of(holder: Holder | None) -> Inside:
    """Return those inside whom the code that runs now is, and what each holds."""
    return tuple([(one, one.queues) for one in _chain(holder)])


def callers_context() -> Context:
    """Return a copy of this context for a run that this code waits for, and which has no part in this code's run."""
    context = copy_context()
    if (holder := holder_now(held.get())) is not None:
        context.run(held.set, Errand(holder))
    if context.get(seat) is not None:
        context.run(seat.set, None)
    return context


def holding(context: Context, limits: tuple[LimitState, ...]) -> Context:
    """Return a context for calls that hold a permit of each of `limits`; raise if `context` holds one already."""
    if not any(limit.bounded for limit in limits):
        return context
    inner = context.copy()
    holder = inner.run(partial(ask_around, limits, for_run=True))
    inner.run(held.set, RunPermit(limits, holder))
    return inner


def inside_of_run(context: Context) -> Inside:
    """Return those inside whom a run is whose calls are made in `context`."""
    link = context.get(held)
    return inside_of(link.outer) if type(link) is RunPermit else ()


def _holding(holder: Holder | None) -> Holder | None:
    while holder is not None and not holder.holding:
        holder = holder.outer
    return holder


def _chain(holder: Holder | None) -> Iterator[Holder]:
    while holder is not None:
        yield holder
        holder = holder.outer


def _in_child() -> None:
    link = held.get()
    while link is not None:
        link.forked()
        link = link.outer


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
