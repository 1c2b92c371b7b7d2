"""What does a function, or a flow, say that it returns?"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import typing
from typing import Any, cast

import msgspec

from ..core.tree import Batched, Each, Fallback, First, Flatten, Node, Policed, Sequence, Step, Together, flat_steps

_NODES = (Step, Sequence, Together, First, Fallback, Policed, Each, Batched, Flatten)


def returned_by(fn: Any) -> Any:
    """Return the type that annotations give to the result of a function, a flow or its node; None if they do not."""
    node = fn if isinstance(fn, _NODES) else getattr(fn, "node", None)
    return _of_node(node) if isinstance(node, _NODES) else _of_function(fn)


def has_classes(hint: Any) -> bool:
    """Whether a type needs to be known to read it: it has a class of the user's own somewhere."""
    return _has_classes(hint, frozenset())


def is_class_of_data(kind: Any) -> bool:
    """Whether a class is a dataclass, a Struct, an enum, a named tuple or one of attrs."""
    if issubclass(kind, (msgspec.Struct, enum.Enum)) or dataclasses.is_dataclass(kind):
        return True
    return hasattr(kind, "__attrs_attrs__") or (hasattr(kind, "_fields") and issubclass(kind, tuple))


def _of_function(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    if not inspect.isroutine(fn):
        kind: Any = type(fn)  # pyright: ignore[reportUnknownVariableType]
        fn = getattr(kind, "__call__", None)  # noqa: B004 - the method itself is wanted
    try:
        return typing.get_type_hints(inspect.unwrap(fn)).get("return")
    except Exception:  # annotations are code of the user's; a name that is not there is no reason to fail
        return None


def _of_node(node: Node) -> Any:
    match node:
        case Step(fn=fn):
            return _of_function(fn)
        case Policed(node=inner):
            return _of_node(inner)
        case Sequence():
            return _of_node([step for step, _ in flat_steps(node)][-1])
        case Each(keeps=True) | Each(failures="pass"):
            return None
        case Each(step=step):  # a flow that ends in a stage gives the list when it is called
            return _made(list, [_of_node(step)])
        case First(branches=branches) | Fallback(branches=branches):
            hints = [_of_node(branch) for branch in branches]
            return None if None in hints else _made(typing.Union, hints)
        case Together(branches=branches, names=names):
            return _all_of([_of_node(branch) for branch in branches], names)
        case _:
            return None


def _all_of(hints: list[Any], names: tuple[str, ...] | None) -> Any:
    """Return the type of what branches return together; one without an annotation may be anything of JSON's."""
    known = [Any if hint is None else hint for hint in hints]
    if names is None:
        return _made(tuple, known)
    return cast("Any", typing.TypedDict)("Branches", dict(zip(names, known, strict=True)))


def _made(generic: Any, hints: list[Any]) -> Any:
    return None if hints == [None] else generic[tuple(hints)]


def _has_classes(hint: Any, above: frozenset[int]) -> bool:
    if isinstance(hint, type) and is_class_of_data(hint):
        return True
    if id(hint) in above:  # a type that is in itself
        return False
    above |= {id(hint)}
    return any(_has_classes(part, above) for part in _parts(hint))


def _parts(hint: Any) -> tuple[Any, ...]:
    if not typing.is_typeddict(hint):
        return typing.get_args(hint)
    try:
        return tuple(typing.get_type_hints(hint).values())
    except Exception:  # as above
        return ()
