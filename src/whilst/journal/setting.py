"""Which statements of a module change what one of its names holds, besides a plain assignment of it?

`C.append(2)`, `C["a"] = 1`, `C += [3]`, a loop or a `with` that binds the name, a function that declares it
`global`; each with the conditions and loops that it stands under. Read from the source; nothing is run.
"""

from __future__ import annotations

import ast
import collections.abc
import functools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

from .names import Space, assignments, place_in, sources_of
from .sources import shape_of

_CONTAINERS = (collections.abc.MutableSequence, collections.abc.MutableMapping, collections.abc.MutableSet)
_PURE = frozenset(
    {
        *("abs", "all", "any", "bool", "bytes", "chr", "dict", "divmod", "enumerate", "filter", "float"),
        *("frozenset", "int", "len", "list", "map", "max", "min", "ord", "pow", "range", "repr", "reversed"),
        *("round", "set", "slice", "sorted", "str", "sum", "tuple", "zip"),
    }
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Setter(NamedTuple):
    """A statement that changes what a name holds."""

    shape: Any
    """What it says, with what it stands under and what gives the names that it uses there."""
    path: tuple[str, ...]
    """The attributes between the name and what is set: `("MODEL",)` of `config.MODEL = "small"`."""
    names: tuple[str, ...]
    """What else it names."""
    how: str
    """"plain": an assignment under a condition or a loop, "bound" otherwise, "called" if it is a method of it."""
    is_fixed: bool
    """Whether it is made of literals and names only."""
    place: str


def setters(space: Space, name: str, value: object) -> list[Setter]:
    """Return the statements that change what a name of a module holds; `value` is that, for its type."""
    is_container = issubclass(type(value), _CONTAINERS)
    found: dict[str, Setter] = {}
    sources = sources_of(space)
    for source, file in sources:
        if len(sources) > 1 and name in assignments(source, file):  # a cell of a notebook that begins it anew
            found.clear()
        for each in _in_source(source, file).get(name, ()):
            if is_container or each.how != "called":
                found[repr(each.shape)] = each  # a cell of a notebook may have run twice
    return list(found.values())


class _Under(NamedTuple):
    """What statements stand under."""

    headers: tuple[Any, ...] = ()
    nodes: tuple[ast.AST, ...] = ()
    function: str = ""
    local: frozenset[str] = frozenset()
    declared: frozenset[str] = frozenset()  # `global`
    is_matched: bool = False


class _Change(NamedTuple):
    """A name that a statement changes, and how."""

    name: str
    path: tuple[str, ...]
    node: ast.AST
    under: _Under
    how: str


@functools.lru_cache(maxsize=64)
def _in_source(source: str, file: str) -> dict[str, list[Setter]]:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[str, list[Setter]] = {}
    called = _called_in(body)
    for statement in body:
        together = list(_changes([statement], _Under()))
        for change in together:
            function = change.under.function
            if function and change.name not in change.under.declared and function not in called:
                continue
            if change.how != "plain" or change.under.headers:
                found.setdefault(change.name, []).append(_setter(change, together, file))
                for call in called.get(function, ()) if function else ():
                    found[change.name].append(_setter(call, (), file))
    return found


def _setter(change: _Change, together: Iterable[_Change], file: str) -> Setter:
    """Return a change with what gives the names that it uses inside the same statement of the module."""
    used = [change]
    for each in used:  # grows
        names = _names((each.node, *each.under.nodes)) - {change.name}
        used += [
            it for it in together if it.name in names and it not in used and it.under.function == each.under.function
        ]
    bound = {each.name for each in used} | change.under.local
    nodes = [node for each in used for node in (each.node, *each.under.nodes)]
    # A plain assignment is a part of its own: only what it stands under is told here.
    own: Any = change.name if change.how == "plain" else shape_of(change.node)
    shape = [[*change.under.headers, own], *([*each.under.headers, shape_of(each.node)] for each in used[1:])]
    return Setter(
        shape,
        change.path,
        tuple(sorted(_names(nodes) - bound)),
        change.how,
        change.how == "plain" or (not change.under.local & _names(nodes) and _is_fixed(nodes, bound)),
        place_in(file, getattr(change.node, "lineno", 0)),
    )


# -- what statements change ----------------------------------------------------------------------------------------


def _changes(body: Iterable[ast.stmt], under: _Under) -> Iterator[_Change]:
    """Give what statements change, those under conditions and loops and in functions too."""
    for node in body:
        if isinstance(node, _FUNCTIONS):
            yield from _changes(node.body, _of_function(node, under))
        elif isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, _FUNCTIONS)]
            yield from (it for it in _changes(methods, under) if it.name in it.under.declared)
        elif blocks := list(_blocks(node)):
            for target in _targets_of(node):
                yield from _of_target(target, _header(node), under)
            for word, header, below, is_matched in blocks:
                inner = under._replace(
                    headers=(*under.headers, [word, *([shape_of(it) for it in header])]),
                    nodes=(*under.nodes, *header),
                    is_matched=under.is_matched or is_matched,
                )
                yield from (it for it in _walrus(header, inner) if it.name not in under.local)
                yield from _changes(below, inner)
        else:
            yield from _of_statement(node, under)


def _of_statement(node: ast.stmt, under: _Under) -> Iterator[_Change]:
    targets: list[ast.expr] = []
    if isinstance(node, (ast.Assign, ast.Delete)):
        targets = node.targets
    elif isinstance(node, ast.AugAssign) or (isinstance(node, ast.AnnAssign) and node.value is not None):
        targets = [node.target]
    elif isinstance(node, ast.Expr):
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and (chain := _chain(call.func)):
            name, path = chain
            if name not in under.local:
                yield _Change(name, path[:-1], node, under, "called")
    is_plain = isinstance(node, (ast.Assign, ast.AnnAssign))
    for target in targets:
        yield from _of_target(target, node, under, is_plain=is_plain)
    yield from (it for it in _walrus([node], under) if it.name not in under.local)


def _of_target(target: ast.expr, node: ast.AST, under: _Under, is_plain: bool = False) -> Iterator[_Change]:
    if isinstance(target, (ast.Tuple, ast.List)):
        for each in target.elts:
            yield from _of_target(each, node, under, is_plain)
    elif isinstance(target, ast.Starred):
        yield from _of_target(target.value, node, under, is_plain)
    elif (chain := _chain(target)) and chain[0] not in under.local:
        is_name = isinstance(target, ast.Name)
        if not (is_name and under.function and chain[0] not in under.declared):  # a local of a function
            is_plain = is_plain and is_name and not under.function and not under.is_matched
            yield _Change(*chain, node, under, "plain" if is_plain else "bound")


def _walrus(nodes: Iterable[ast.AST], under: _Under) -> Iterator[_Change]:
    for node in nodes:
        for each in ast.walk(node):
            if isinstance(each, ast.NamedExpr) and not (under.function and each.target.id not in under.declared):
                yield _Change(each.target.id, (), each, under, "bound")


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef, under: _Under) -> _Under:
    """Return what the statements of a function stand under: its name, and which names are not the module's."""
    inside = [each for statement in node.body for each in ast.walk(statement)]
    declared = {name for each in inside if isinstance(each, ast.Global) for name in each.names}
    arguments = node.args
    several = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    local = {each.arg for each in several if each is not None}
    local |= {each.id for each in inside if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    name = under.function or node.name
    header = ["def", node.name]
    return _Under((*under.headers, header), under.nodes, name, (under.local | local) - declared, frozenset(declared))


def _called_in(body: Iterable[ast.stmt], under: _Under | None = None) -> dict[str, list[_Change]]:
    """Return which functions a module itself calls, by name, and where."""
    found: dict[str, list[_Change]] = {}
    for node in body:
        under = under or _Under()
        blocks = list(_blocks(node))
        looked_at: list[ast.AST] = [node]
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            looked_at = list(node.decorator_list)
        elif blocks:
            looked_at = []
        for each in (it for top in looked_at for it in ast.walk(top)):
            function = each.func if isinstance(each, ast.Call) else each if each in looked_at else None
            if isinstance(function, ast.Name):
                shown = node if looked_at == [node] else _decorated(node)
                found.setdefault(function.id, []).append(_Change(function.id, (), shown, under, "bound"))
        for word, header, below, _ in blocks:
            headers = (*under.headers, [word, *(shape_of(it) for it in header)])
            for name, calls in _called_in(below, _Under(headers, (*under.nodes, *header))).items():
                found.setdefault(name, []).extend(calls)
    return found


def _decorated(node: Any) -> ast.AST:
    """Return a function or class without what is in it: its decorators and its name."""
    return ast.Tuple([*node.decorator_list, ast.Name(node.name)])


# -- conditions, loops and the like ----------------------------------------------------------------------------------


def _blocks(node: ast.stmt) -> Iterator[tuple[str, list[ast.AST], list[ast.stmt], bool]]:
    """Give the blocks of a compound statement: a word for its kind, what stands at its head, its statements."""
    match node:
        case ast.If(test=test) | ast.While(test=test):
            yield type(node).__name__, [test], node.body, False
            yield "else", [test], node.orelse, False
        case ast.For() | ast.AsyncFor():
            yield "for", [node.target, node.iter], node.body, False
            yield "for else", [node.target, node.iter], node.orelse, False
        case ast.With() | ast.AsyncWith():
            yield "with", list(node.items), node.body, False
        case ast.Try() | ast.TryStar():
            yield "try", [], node.body, False
            for handler in node.handlers:
                yield "except", [handler.type] if handler.type else [], handler.body, False
            yield "try else", [], node.orelse, False
            yield "finally", [], node.finalbody, False
        case ast.Match():
            for case in node.cases:
                yield "case", [node.subject, case.pattern, *([case.guard] if case.guard else [])], case.body, True
        case _:
            pass


def _targets_of(node: ast.stmt) -> list[ast.expr]:
    match node:
        case ast.For(target=target) | ast.AsyncFor(target=target):
            return [target]
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return [each.optional_vars for each in items if each.optional_vars is not None]
        case _:
            return []


def _header(node: ast.stmt) -> ast.AST:
    """Return a compound statement without its statements."""
    match node:
        case ast.For() | ast.AsyncFor():
            made: Any = ast.Tuple([node.target, node.iter])
        case ast.With() | ast.AsyncWith():
            made = ast.With(node.items, [])
        case _:
            made = ast.Pass()
    made.lineno = node.lineno
    return cast("ast.AST", made)


# -- expressions ---------------------------------------------------------------------------------------------------


def _chain(node: ast.expr) -> tuple[str, tuple[str, ...]] | None:
    """Return the name that attributes, items and calls begin at, and the attributes after it."""
    path: list[str] = []
    while True:
        match node:
            case ast.Attribute(value=value, attr=attr):
                path.append(attr)
                node = value
            case ast.Subscript(value=value) | ast.Call(func=value):
                node = value
            case ast.Name(id=name):
                return name, tuple(reversed(path))
            case _:
                return None


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {each.id for node in nodes for each in ast.walk(node) if isinstance(each, ast.Name)} - _PURE


def _is_fixed(nodes: Iterable[ast.AST], bound: Iterable[str]) -> bool:
    """Whether nothing is called or looked up but of what is bound here, and builtins that always say the same."""
    for each in (it for node in nodes for it in ast.walk(node)):
        if isinstance(each, (ast.Await, ast.Yield, ast.YieldFrom, ast.Lambda)):
            return False
        if isinstance(each, ast.Attribute) or (isinstance(each, ast.Call) and not isinstance(each.func, ast.Attribute)):
            chain = _chain(each)
            is_pure = isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id in _PURE
            is_text = chain is None and isinstance(each, ast.Attribute)  # `" ".join(…)`
            if not is_pure and not is_text and (chain is None or chain[0] not in bound):
                return False
    return True
