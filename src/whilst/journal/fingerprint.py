"""Is this still the function that the journal was written by?

A fingerprint has two parts: the code (the syntax tree of the source, without positions, comments and docstrings) and
what is bound to it (arguments of partials, the cells of closures, defaults). Of a flow it is every step and how the
steps are put together, but not their policies. What a function calls by a global name is not looked into.

Builtins and C functions count by name; a function without source by what its compiled code says that does not depend
on the version of Python: names, constants, signature.
"""

from __future__ import annotations

import ast
import functools
import inspect
import types
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from ..core.tree import Batched, Each, First, Policed, Sequence, Step, Together, children
from .identity import canonical, digest_of
from .tagged import NoTagError

_NODES = (Step, Sequence, Together, First, Policed, Each, Batched)
_DEEPEST = 20
_MOST_PARTS = 1000  # of a container that has no content of its own


class Fingerprint(msgspec.Struct, frozen=True):
    """Digests of a function's code and of what is bound to it."""

    code: str
    bound: str


def fingerprint(fn: Any) -> Fingerprint:
    """Return the fingerprint of a function, or of a flow or its node.

    >>> import functools
    >>> def scaled(x, by): return x * by
    >>> one, two = fingerprint(functools.partial(scaled, by=1)), fingerprint(functools.partial(scaled, by=2))
    >>> one.code == two.code, one.bound == two.bound
    (True, False)
    """
    code: list[Any] = []
    bound: list[Any] = []
    node = fn if isinstance(fn, _NODES) else getattr(fn, "node", None)
    if isinstance(node, _NODES) or type(node).__name__ == "Flatten":
        _add_node(node, code, bound)
    else:
        _Reader(code, bound).add(fn)
    return Fingerprint(_digest(code), _digest(bound))


def _add_node(node: Any, code: list[Any], bound: list[Any]) -> None:
    """Describe a node: its kind, what about it changes values, its function, and what is below."""
    code.append(type(node).__name__)
    match node:
        case Step():
            code += [node.takes_value, [keyword for keyword, _ in node.use]]
            _Reader(code, bound).add(node.fn)
        case Together():
            code.append(list(node.names or ()))
        case Each():
            code.append(node.ordered)
        case Batched():
            code.append(node.n)
        case _:
            pass
    below = children(node)
    code.append(len(below))
    for _, child in below:
        _add_node(child, code, bound)


class _Reader:
    """Takes a function apart, and what it is made of."""

    def __init__(self, code: list[Any], bound: list[Any]) -> None:
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
        self._code.append(source_tree(fn))
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
                self._code.append(_shape(ast.parse(_whole(inspect.getsource(thing)))))
            except (OSError, TypeError, SyntaxError):  # a class of C, or one whose module is not to be found
                methods = ((name, each) for name, each in vars(thing).items() if isinstance(each, types.FunctionType))
                self._code += [[name, source_tree(each)] for name, each in sorted(methods, key=_first)]
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


def source_tree(fn: types.FunctionType) -> Any:
    """Return the syntax tree of a function as plain lists, or what its compiled code says if there is no source."""
    return _tree_of(fn.__code__)


@functools.lru_cache(maxsize=64)
def _tree_of(code: types.CodeType) -> Any:
    try:
        lines, _ = inspect.findsource(code)
        tree = _parsed("".join(lines))
    except (OSError, SyntaxError, TypeError, ValueError, IndexError):
        return _compiled(code)
    if code.co_name == "<lambda>":
        found: list[Any] = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda) and _is_of(node, code)][-1:]
    else:
        found = [node for node in ast.walk(tree) if _defines(node, code)]
    return _shape(found[0]) if len(found) == 1 else _compiled(code)


@functools.lru_cache(maxsize=4)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _defines(node: ast.AST, code: types.CodeType) -> bool:
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != code.co_name:
        return False
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return first == code.co_firstlineno


def _is_of(node: ast.Lambda, code: types.CodeType) -> bool:
    """Whether compiled code is that of this lambda or of one inside it: its instructions lie in the body."""
    body = node.body
    begin, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
    places = [(line, column) for line, _, column, _ in code.co_positions() if line and column is not None]
    inside = [place for place in places if begin <= place < end]
    return bool(inside) and min(places[1:] or places) >= begin and max(inside) == max(places)


def _shape(node: Any) -> Any:
    """Return a syntax tree as lists, the same in every version of Python: fields that are empty are left out."""
    if isinstance(node, list):
        return [_shape(each) for each in node]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(node, ast.AST):
        return node if isinstance(node, (str, int, float, bool, type(None))) else repr(node)
    shape: list[Any] = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            value = _without_docstring(value)
        if value is None and not isinstance(node, ast.Constant):
            continue
        if value == [] or name in ("ctx", "kind", "type_comment", "type_ignores"):
            continue
        shape.append([name, _shape(value)])
    return shape


def _without_docstring(body: list[Any]) -> list[Any]:
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body


def _compiled(code: types.CodeType) -> list[Any]:
    constants = [_compiled(each) if isinstance(each, types.CodeType) else repr(each) for each in _constants(code)]
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount]
    return ["code", code.co_name, counts, list(code.co_names), list(code.co_varnames), constants]


def _constants(code: types.CodeType) -> Iterator[Any]:
    """Give the constants in an order that does not depend on the compiler, without sets, whose repr is unordered."""
    return iter(sorted((each for each in code.co_consts if not isinstance(each, frozenset)), key=_constant_key))


def _constant_key(constant: Any) -> str:
    return constant.co_name if isinstance(constant, types.CodeType) else repr(constant)


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]


def _content(value: Any) -> str:
    try:
        return digest_of(canonical(value)).hex()
    except (NoTagError, RecursionError, ValueError):
        return ""


def _whole(source: str) -> str:
    """Return source that can be parsed, whatever it was indented by; multi-line strings stay as they are."""
    return f"if True:\n{source}" if source[:1].isspace() else source


def _digest(parts: list[Any]) -> str:
    return digest_of(canonical(parts)).hex()
