"""The nodes of a flow: what runs one after another, what runs together, what streams. Data, nothing runs here.

Nodes are immutable; they are equal if they have the same shape, functions and policies, and hashable where their
functions are. `engine.interpret` gives them their meaning, `flow` builds them for users.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Literal, TypeAlias

from .colour import is_async, is_generator_function, name_of
from .concurrency import AtOnce
from .frozen import Frozen
from .signature import hands_over

Uses: TypeAlias = "tuple[tuple[str, Any], ...]"  # (keyword, resource) pairs
WhenFailed: TypeAlias = Literal["raise", "skip", "pass"]


class Step(Frozen):
    """One function with its policies."""

    fn: Callable[..., Any]
    takes_value: bool = True
    executor: Any = "auto"
    timeout: float | None = None
    limits: tuple[Any, ...] = ()
    retry: Any = None
    hedge: bool = False
    use: Uses = ()
    name: str = ""

    # found once: that takes as long as a call, and a flow may be called for each request

    @cached_property
    def on_thread(self) -> bool:
        """Whether its calls happen on a thread."""
        return not self.elsewhere and (self.executor == "thread" or not is_async(self.fn))

    @cached_property
    def elsewhere(self) -> bool:
        """Whether its calls happen in other processes: `executor` is an object that knows how."""
        return not isinstance(self.executor, str)

    @cached_property
    def called(self) -> str:
        """What messages call its calls."""
        return f"{name_of(self.fn)}()"

    @cached_property
    def label(self) -> str:
        """What it is known by, besides its path."""
        return self.name or name_of(self.fn)

    @cached_property
    def is_generator(self) -> bool:
        """Whether its function gives an iterator, of which nothing runs in the call."""
        return is_generator_function(self.fn)


class Sequence(Frozen):
    """Steps one after another; each gets what the one before returned."""

    steps: tuple[Node, ...]


class Together(Frozen):
    """Branches at the same time, all with the same value; a tuple comes out, or a dict if they have names."""

    branches: tuple[Node, ...]
    names: tuple[str, ...] | None = None


class First(Frozen):
    """Branches at the same time; the first success comes out and the others are cancelled."""

    branches: tuple[Node, ...]


class Fallback(Frozen):
    """Branches one after another, all with the same value, until one succeeds."""

    branches: tuple[Node, ...]


class Policed(Frozen):
    """A part of a flow under a policy of its own: `step(flow, timeout=…, limit=…)`."""

    node: Node
    timeout: float | None = None
    limits: tuple[Any, ...] = ()
    retry: Any = None
    name: str = ""


class Each(Frozen):
    """A stage: calls its step on every item of the stream, so many at a time."""

    step: Node
    at_once: AtOnce
    ordered: bool = True
    failures: WhenFailed = "raise"
    """What becomes of items that fail: the failure of the stage, nothing, or an outcome for the next stage."""
    keeps: bool = False
    """Whether it gives items instead of values: those for which the step says yes."""

    @property
    def concurrency(self) -> int:
        """How many at a time these are now; it moves with the limits of the stage."""
        return self.at_once.now


class Flatten(Frozen):
    """A stage: gives the items of each item, of `concurrency` items at a time."""

    concurrency: int = 1


class Batched(Frozen):
    """A stage: gives lists of at most `n` items, the first of which waited at most `within` seconds.

    `by` sorts them: a list has items of one key alone.
    """

    n: int
    within: float | None = None
    by: Callable[[Any], Any] | None = None


Node: TypeAlias = "Step | Sequence | Together | First | Fallback | Policed | Each | Flatten | Batched"
STAGES = (Each, Flatten, Batched)


def flat_steps(node: Sequence, path: str = "sequence") -> Iterator[tuple[Node, str]]:
    """Give the steps of a sequence with their paths, those of sequences directly within it in their place.

    A sequence in a sequence changes nothing but the grouping, so its last stage streams into what follows it.
    """
    for place, step in enumerate(node.steps):
        at = f"{path}[{place}]"
        if isinstance(step, Sequence):
            yield from flat_steps(step, f"{at}.sequence")
        else:
            yield step, at


def children(node: Node) -> tuple[tuple[str, Node], ...]:
    """Return the nodes directly below, each with what its path adds to this node's."""
    match node:
        case Sequence(steps):
            return tuple((f"[{place}]", step) for place, step in enumerate(steps))
        case Together(branches, names) if names is not None:
            return tuple((f".{name}", branch) for name, branch in zip(names, branches, strict=True))
        case Together(branches) | First(branches) | Fallback(branches):
            return tuple((f"[{place}]", branch) for place, branch in enumerate(branches))
        case Policed(inner):
            return (("", inner),)
        case Each(step):
            return (("", step),)
        case _:
            return ()


def with_children(node: Node, made: Callable[[Node], Node]) -> Node:
    """Return the same node with what `made` gives for each node directly below it."""
    match node:
        case Sequence(steps):
            return Sequence(tuple(map(made, steps)))
        case Together(branches) | First(branches) | Fallback(branches):
            return node._replace(branches=tuple(map(made, branches)))
        case Policed(inner):
            return node._replace(node=made(inner))
        case Each(step):
            return node._replace(step=made(step))
        case _:
            return node


def kind_name(node: Node) -> str:
    """Return what users call this kind of node."""
    if isinstance(node, Each) and node.keeps:
        return "filter"
    return type(node).__name__.lower() if not isinstance(node, Policed) else "step"


def ends_in_stage(node: Node) -> bool:
    """Whether what comes out is a stream, so that `stream()` gives its items one by one."""
    return isinstance(node, STAGES) or (isinstance(node, Sequence) and ends_in_stage(node.steps[-1]))


def calls_at_once(node: Node) -> int:
    """How many calls a flow may have in flight for one value, all its branches and stages busy."""
    match node:
        case Step():
            return 1
        case Each(step=step, concurrency=concurrency):
            return concurrency * calls_at_once(step)
        case Sequence():
            return _widest(node)
        case Fallback(branches):
            return max(map(calls_at_once, branches))
        case _:
            return sum(calls_at_once(child) for _, child in children(node))


def _widest(node: Sequence) -> int:
    """Return the most of any step, counting stages in a row as one, because they run at the same time."""
    widest = row = 0
    for step, _ in flat_steps(node):
        row = row + calls_at_once(step) if isinstance(step, STAGES) else 0
        widest = max(widest, row or calls_at_once(step))
    return widest


def takes_value(fn: Callable[..., Any], keywords: tuple[str, ...] = (), *, as_item: bool = False) -> bool:
    """Whether a step is called with the value: it is, unless only the call without it fits (never `as_item`).

    Raises:
        TypeError: when neither fits.
    """
    if hands_over(fn):
        return True
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return True  # many builtins have no signature
    given = dict.fromkeys(keywords)
    if _binds(signature, (None,), given):
        return True
    without = _binds(signature, (), given)
    if without and not as_item:
        return False
    name = name_of(fn)
    if without and not signature.parameters.keys() - given.keys():
        raise TypeError(
            f"{name}() takes no argument, so the items would be ignored\n  to call it for each: lambda _: {name}()"
        )
    shown = name if name.isidentifier() else "fn"
    fits = "one positional argument" if as_item else "one positional argument or none"
    raise TypeError(
        f"{name}{signature} cannot be called with {fits}"
        + (f" and {', '.join(f'{keyword}=' for keyword in keywords)}" if keywords else "")
        + f"\n  try: functools.partial({shown}, …) for known arguments, or whilst.spread({shown}) for tuples"
    )


def _binds(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True
