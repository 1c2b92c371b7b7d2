"""What a run is to do: the checked arguments of one map."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from .failures import StopAfter
    from .retry import Retry
    from .tree import Node

Executor = Literal["auto", "thread"]


class Plan(NamedTuple):
    """A map before it runs; see `whilst.map` for what each field means."""

    fn: Callable[[Any], Any]
    inputs: Any
    concurrency: int
    timeout: float | None
    deadline: float | None
    ordered: bool
    stop_after: StopAfter | None
    on_threads: bool
    total: int | None
    progress: bool | None
    name: str
    context: contextvars.Context
    retry: Retry | None = None
    limits: tuple[Any, ...] = ()
    """The limits that each call holds, in the order in which they were made."""
    run_ahead: int | None = None
    """How far the run reads ahead at first, where that is not `concurrency`."""
    journal: Any = None
    subject: Any = None
    """What the user gave to be called, by which a journal knows it again."""
    node: Node | None = None
    """The flow to call instead of `fn`, if it is one."""
    calls: int = 0
    """How many calls the steps of the flow may have in flight at once, all together."""
    as_stream: bool = False
    """Whether `inputs` is one value whose outputs are streamed, instead of many inputs with one output each."""
