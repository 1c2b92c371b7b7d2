"""The nodes of a flow: what runs one after another, what runs together, what streams. Data, nothing runs here.

Nodes are immutable; they are equal if they have the same shape, functions and policies, and hashable where their
functions are. `engine.interpret` gives them their meaning, `flow` builds them for users.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from .colour import is_async, name_of

Uses: TypeAlias = "tuple[tuple[str, Any], ...]"  # (keyword, resource) pairs


@dataclass(frozen=True, slots=True)
class Step:
    """One function with its policies."""

    fn: Callable[..., Any]
    takes_value: bool = True
    executor: str = "auto"
    timeout: float | None = None
    limits: tuple[Any, ...] = ()
    retry: Any = None
    hedge: bool = False
    use: Uses = ()
    name: str = ""

    @property
    def on_thread(self) -> bool:
        """Whether its calls happen on a thread."""
        return self.executor == "thread" or not is_async(self.fn)


@dataclass(frozen=True, slots=True)
class Sequence:
    """Steps one after another; each gets what the one before returned."""

    steps: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """Branches at the same time, all with the same value; a tuple comes out, or a dict if they have names."""

    branches: tuple[Node, ...]
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class First:
    """Branches at the same time; the first success comes out and the others are cancelled."""

    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Policed:
    """A part of a flow under a policy of its own: `step(flow, timeout=…, limit=…)`."""

    node: Node
    timeout: float | None = None
    limits: tuple[Any, ...] = ()
    retry: Any = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Each:
    """A stage: calls its step on every item of the stream, at most `concurrency` at a time."""

    step: Node
    concurrency: int
    ordered: bool = True
    adaptive: bool = False
    """Whether `concurrency` is only the most that a limit of the step may find to be best."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """A stage: gives the items of each item."""


@dataclass(frozen=True, slots=True)
class Batched:
    """A stage: gives lists of at most `n` items, the first of which waited at most `within` seconds."""

    n: int
    within: float | None = None


Node: TypeAlias = "Step | Sequence | Together | First | Policed | Each | Flatten | Batched"
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
        case Together(branches) | First(branches):
            return tuple((f"[{place}]", branch) for place, branch in enumerate(branches))
        case Policed(inner):
            return (("", inner),)
        case Each(step):
            return (("", step),)
        case _:
            return ()


def kind_name(node: Node) -> str:
    """Return what users call this kind of node."""
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
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return True  # many builtins have no signature
    given = dict.fromkeys(keywords)
    if _binds(signature, (None,), given):
        return True
    if not as_item and _binds(signature, (), given):
        return False
    fits = "one positional argument" if as_item else "one positional argument or none"
    raise TypeError(
        f"{name_of(fn)}{signature} cannot be called with {fits}"
        + (f" and {', '.join(f'{keyword}=' for keyword in keywords)}" if keywords else "")
        + f"\n  try: functools.partial({name_of(fn)}, …) for what is known, or a lambda that takes the value apart"
    )


def _binds(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True
