"""Is this still the function that the journal was written by?

A fingerprint has the digests of the parts that the function depends on, by name (see `parts`), so that what changed can
be named. Journals of 0.1 have two digests for all, which are kept for them: the code (the syntax tree of the source,
without positions, comments and docstrings) and what is bound to it (arguments of partials, the cells of closures,
defaults). Of a flow it is every step and how the steps are put together, but not their policies.

Builtins and C functions count by name; a function without source by what its compiled code says that does not depend
on the version of Python: names, constants, signature.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Collection
from typing import Any, cast

import msgspec

from ..core.tree import Batched, Each, Flatten, Step, Together, children
from .identity import canonical, digest_of
from .names import in_text
from .parts import SETS, Parts, is_ignored, is_node, words_of_stage
from .sources import class_tree, source_tree
from .tagged import NoTagError

_DEEPEST = 20
_MOST_PARTS = 1000  # of a container that has no content of its own


class Fingerprint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Digests of a function's code, of what is bound to it, and of each part by name; the names of what is no part."""

    code: str
    bound: str
    parts: dict[str, str] = {}
    unseen: tuple[str, ...] = ()
    has_setters: bool = False
    """Whether statements that change what a name holds are among the parts: at first only assignments were."""

    def changed_since(self, before: Fingerprint, ignore: Collection[str] = ()) -> tuple[str, ...] | None:
        """Return the names of the parts that are not what they were; None if nothing changed.

        A part that was not there before is no change: an earlier version did not know of it, or what names it changed.
        Statements that change what a name holds are one, if that version looked for them. A function that moved is
        none. Of a journal of 0.1 no part can be named.
        """
        if not before.parts:
            return None if (before.code, before.bound) == (self.code, self.bound) else ()
        added = {digest for name, digest in self.parts.items() if name not in before.parts}
        differ = [
            name
            for name, digest in before.parts.items()
            if self.parts.get(name) != digest and not is_ignored(name, ignore)
        ]
        changed = [name for name in differ if name in self.parts]
        if before.has_setters:
            new = [name for name in self.parts if name.startswith(SETS) and name not in before.parts]
            changed += [name for name in new if not is_ignored(name, ignore)]
        gone = [name for name in differ if name not in self.parts and before.parts[name] not in added]
        return tuple(changed or gone) or None  # what is gone is mostly what a changed function named


def fingerprint(fn: Any, parts: Parts | None = None, *, as_0_1: bool = False) -> Fingerprint:
    """Return the fingerprint of a function, or of a flow or its node; with its parts, if they are given.

    `as_0_1` gives the one that whilst 0.1 made before Python 3.13, where that differs (see `sources`).

    >>> import functools
    >>> def scaled(x, by): return x * by
    >>> one, two = fingerprint(functools.partial(scaled, by=1)), fingerprint(functools.partial(scaled, by=2))
    >>> one.code == two.code, one.bound == two.bound
    (True, False)
    """
    code: list[Any] = []
    bound: list[Any] = []
    node = fn if is_node(fn) else getattr(fn, "node", None)
    if is_node(node):
        _add_node(node, code, bound, as_0_1)
    else:
        _Reader(code, bound, as_0_1).add(fn)
    if parts is None:
        return Fingerprint(_digest(code), _digest(bound))
    digests = {in_text(name): digest for name, digest in parts.digests.items()}
    return Fingerprint(_digest(code), _digest(bound), digests, tuple(map(in_text, parts.unseen)), has_setters=True)


def _add_node(node: Any, code: list[Any], bound: list[Any], as_0_1: bool) -> None:
    """Describe a node: its kind, what about it changes values, its function, and what is below."""
    code.append(type(node).__name__)
    match node:
        case Step():
            code += [node.takes_value, [keyword for keyword, _ in node.use]]
            _Reader(code, bound, as_0_1).add(node.fn)
        case Together():
            code.append(list(node.names or ()))
        case Each():
            code += [node.ordered, *words_of_stage(node)]
        case Batched():
            code.append(node.n)
            if node.by is not None:
                _Reader(code, bound, as_0_1).add(node.by)
        case Flatten():
            code += words_of_stage(node)
        case _:
            pass
    below = children(node)
    code.append(len(below))
    for _, child in below:
        _add_node(child, code, bound, as_0_1)


class _Reader:
    """Takes a function apart, and what it is made of."""

    def __init__(self, code: list[Any], bound: list[Any], as_0_1: bool) -> None:
        self._as_0_1 = as_0_1
        self._code = code
        self._bound = bound
        self._seen: set[int] = set()

    def add(self, fn: Any) -> None:
        """Add what calling `fn` depends on."""
        if id(fn) in self._seen or len(self._seen) > _DEEPEST:  # recursion through a closure
            return
        self._seen.add(id(fn))
        if isinstance(fn, functools.partial):
            self.add(fn.func)
            self._bind("args", fn.args)
            self._bind("keywords", fn.keywords)
        elif isinstance(fn, types.MethodType):
            owner = fn.__self__ if isinstance(fn.__self__, type) else type(fn.__self__)
            self._code.append(f"{owner.__module__}.{owner.__qualname__}")
            self.add(fn.__func__)
        elif isinstance(fn, types.FunctionType):
            self._function(fn)
        elif isinstance(fn, type) or inspect.isroutine(fn):
            self._named(fn)
        else:
            self._object(fn)

    def _function(self, fn: types.FunctionType) -> None:
        self._code.append(source_tree(fn, as_0_1=self._as_0_1))
        self._bind("defaults", fn.__defaults__ or ())
        self._bind("keyword defaults", fn.__kwdefaults__ or {})
        cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=False)
        for name, cell in cells:
            try:
                self._bind(name, cell.cell_contents)
            except ValueError:  # not filled yet
                self._bind(name, None)
        inner = getattr(fn, "__wrapped__", None)
        if inner is not None:
            self.add(inner)

    def _named(self, thing: Any) -> None:
        self._code.append(f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}")
        if isinstance(thing, type):
            try:
                self._code.append(class_tree(thing))
            except (OSError, TypeError, SyntaxError):  # a class of C, or one whose module is not to be found
                methods = ((name, each) for name, each in vars(thing).items() if isinstance(each, types.FunctionType))
                self._code += [
                    [name, source_tree(each, as_0_1=self._as_0_1)] for name, each in sorted(methods, key=_first)
                ]
        elif getattr(thing, "__self__", None) is not None and not isinstance(thing.__self__, types.ModuleType):
            self._bind("self", thing.__self__)  # `{...}.get`

    def _object(self, thing: Any) -> None:
        """Add an object that is called: its class's method, and its fields if they are meant to stay as they are."""
        kind: Any = type(thing)  # pyright: ignore[reportUnknownVariableType]
        self._code.append(f"{kind.__module__}.{kind.__qualname__}")
        method = getattr(kind, "__call__", None)  # noqa: B004 - the method itself is wanted
        if isinstance(method, types.FunctionType):
            self.add(method)
        wrapped = getattr(thing, "__wrapped__", None)  # functools.cache and the like
        if callable(wrapped):
            self.add(wrapped)
        self._bind("fields", thing)

    def _bind(self, name: str, value: Any) -> None:
        """Add something bound: its content where it has one, its code if it is called, else its type."""
        kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
        content = "" if issubclass(kind, type) else _content(value)
        parts = _parts(value)
        if content:
            self._bound.append([name, content])
        elif parts is not None:
            self._bound.append([name, len(parts)])
            for part, each in parts:
                self._bind(f"{name}{part}", each)
        elif callable(value):
            self._bound.append([name, "called"])
            self.add(value)
        else:
            self._bound.append([name, f"{kind.__module__}.{kind.__qualname__}"])


def _parts(value: Any) -> list[tuple[str, Any]] | None:
    """Return what is in a container, by name; None if it is none that is looked into."""
    if type(value) in (tuple, list):
        parts = [(f"[{place}]", each) for place, each in enumerate(value)]
    elif type(value) is dict and set(map(type, fields := cast("dict[str, Any]", value))) <= {str}:
        parts = [(f".{key}", each) for key, each in sorted(fields.items(), key=_first)]
    else:
        return None
    return parts if len(parts) <= _MOST_PARTS else None


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]


def _content(value: Any) -> str:
    try:
        return digest_of(canonical(value)).hex()
    except (NoTagError, RecursionError, ValueError):
        return ""


def _digest(parts: list[Any]) -> str:
    return digest_of(canonical(parts)).hex()
