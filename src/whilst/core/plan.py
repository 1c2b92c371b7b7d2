"""What a run is to do: the checked arguments of one map."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from .frozen import Frozen

if TYPE_CHECKING:
    from .concurrency import AtOnce
    from .equal import KeyOf
    from .failures import StopAfter
    from .retry import Retry
    from .tree import Node

Named = Literal["auto", "thread", "process"]


class Place(Protocol):
    """Where calls are made that are made in other processes; what a run needs of it besides is in `lanes.port`."""

    @property
    def name(self) -> str:
        """Return what plans call it."""
        ...

    @property
    def default(self) -> int:
        """Return how many calls are in flight at once where nobody says."""
        ...

    @property
    def opens(self) -> frozenset[str]:
        """Return the `per=` of resources that can be opened there."""
        ...

    def check(self, fn: Callable[..., Any], use: tuple[tuple[str, Any], ...] = ()) -> None:
        """Refuse a function that cannot be sent there."""


class Elsewhere(Protocol):
    """Something that has calls made in other processes, and may be given as `executor=`; its place is for runs."""

    @property
    def _place(self) -> Place: ...


Executor: TypeAlias = "Named | Elsewhere"

MOST_THREADS = 4000  # 16 KiB resident each; past that the scheduler is the bottleneck, not the waiting


class Plan(Frozen):
    """A map before it runs; see `whilst.map` for what each field means."""

    fn: Callable[[Any], Any]
    inputs: Any
    concurrency: int
    timeout: float | None
    deadline: float | None
    ordered: bool
    stop_after: StopAfter | None
    executor: Any
    """Where the calls are made: "loop", "thread", or an object as `lanes.port.Executor` describes it."""
    total: int | None
    progress: bool | None
    name: str
    context: contextvars.Context
    retry: Retry | None = None
    limits: tuple[Any, ...] = ()
    """The limits that each call holds, in the order in which they were made."""
    at_once: AtOnce | None = None
    """What `concurrency` follows once the run has begun; None: it stays."""
    run_ahead: int | None = None
    """How far the run reads ahead at first, where that is not `concurrency`."""
    share: KeyOf | None = None
    """What tells equal inputs by a key; those that are in flight at the same time share one call."""
    journal: Any = None
    subject: Any = None
    """What the user gave to be called, by which a journal knows it again."""
    node: Node | None = None
    """The flow to call instead of `fn`, if it is one."""
    composed: bool = False
    """Whether `fn` is made of steps, which heed by themselves what the other side says."""
    observers: tuple[Any, ...] = ()
    """What sees the run; see `engine.observer`."""
    trace: str | None = None
    """The file that the run is recorded to."""
    in_flags: bool = False
    """Whether the command line asked for it, so that advice is written as its options."""
    as_stream: bool = False
    """Whether `inputs` is one value whose outputs are streamed, instead of many inputs with one output each."""

    def spent(self) -> Plan:
        """Return what is left of a plan that runs: its names and numbers, and nothing of the user's."""
        return self._replace(
            fn=_nothing,
            inputs=(),
            context=_EMPTY,
            retry=None,
            limits=(),
            at_once=None,
            share=None,
            journal=None,
            subject=None,
            node=None,
            observers=(),
        )


def _nothing(_: Any) -> None:
    pass


_EMPTY = contextvars.Context()
