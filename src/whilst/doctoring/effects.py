"""What does a call leave behind for the next one, in the user's functions that it leads to?

Read from their text, along the lines that were seen to wait: an object that remembers, a connection that answers one
question at a time. What belongs to the turn alone, because it came from the loop's variable, may be used in any order.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from .loops import asks_somebody, changes, in_order, in_pool
from .records import Waited
from .source import FUNCTIONS, base, called, names, source, stored

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

# clients of databases, whose connections and sessions answer one question at a time, or belong to one thread
_ONE_AT_A_TIME = frozenset(
    {
        "sqlalchemy",
        "sqlmodel",
        "psycopg",
        "psycopg2",
        "asyncpg",
        "aiosqlite",
        "pymysql",
        "aiomysql",
        "MySQLdb",
        "peewee",
    }
)


def leaves_something(tree: Sequence[Waited], index: int, call: ast.Call, own: set[str], *, owner: bool = False) -> bool:
    """Whether a call leaves something for those of other turns.

    `own` are the names of what belongs to its turn; `owner` says that what the call is a method of does.
    """
    receiver = base(call.func)
    if tree[index].package in _ONE_AT_A_TIME and isinstance(call.func, ast.Attribute) and receiver not in own:
        return not in_pool(call.func)
    return _leads_to_something(tree, index, call, own, owner or receiver in own)


def _leads_to_something(tree: Sequence[Waited], index: int, call: ast.Call, own: set[str], owner: bool) -> bool:
    """Follow a call into the functions of the user's; `owner` says whether the object belongs to the turn."""
    for child, node in enumerate(tree):
        code = source(node.place.file) if node.parent == index else None
        found = code.node(node.place) if code is not None else None
        function = code.function(found) if code is not None and found is not None else None
        if code is None or found is None or not isinstance(function, FUNCTIONS):
            continue
        theirs = _own(function, call, own, owner)
        inner = called(code, found)
        if remembers(function, theirs) or (inner is not None and _in_turn(inner, theirs)):
            return True
        passed = owner and isinstance(inner, ast.Call) and any(isinstance(it, ast.Starred) for it in inner.args)
        if inner is not None and leaves_something(tree, child, inner, theirs, owner=passed):
            return True
    return False


def _in_turn(call: ast.Call, own: set[str]) -> bool:
    return asks_somebody(call) or in_order(call, base(call.func) not in own)


def _own(function: Function, call: ast.Call, own: set[str], owner: bool) -> set[str]:
    """Return the names of a function that belong to the turn whose call it is."""
    found = _parameters(function, call, own, owner)
    shared = {it.arg for it in ast.walk(function.args) if isinstance(it, ast.arg)} - found
    everyones = {name for it in ast.walk(function) if isinstance(it, (ast.Global, ast.Nonlocal)) for name in it.names}
    local = stored(function) - everyones
    for statement in ast.walk(function):
        if isinstance(statement, ast.Assign) and _is_handed_on(statement.value, local - shared | found):
            shared |= stored(statement)
    return found | (local - shared)


def _is_handed_on(value: ast.expr, own: set[str]) -> bool:
    """Whether a value is a part of an object that is not one's own, or a cursor of it."""
    value = value.value if isinstance(value, ast.Await) else value
    if isinstance(value, ast.Call):
        if not isinstance(value.func, ast.Attribute) or value.func.attr != "cursor":
            return False
        value = value.func
    return isinstance(value, (ast.Name, ast.Attribute, ast.Subscript)) and bool(base(value)) and base(value) not in own


def _parameters(function: Function, call: ast.Call, own: set[str], owner: bool) -> set[str]:
    """Return the parameters that are given what belongs to the turn; what cannot be followed is taken for it."""
    parameters = [it.arg for it in (*function.args.posonlyargs, *function.args.args)]
    found: set[str] = set()
    if parameters and parameters[0] in ("self", "cls"):
        found |= {parameters[0]} if owner or getattr(function, "name", "") == "__init__" else set()
        del parameters[0]
    others = {it.arg for it in ast.walk(function.args) if isinstance(it, ast.arg)} - {*parameters, "self", "cls"}
    if any(isinstance(it, ast.Starred) for it in call.args) or function.args.vararg is not None:
        return found | {*parameters} | others
    given = {**dict(zip(parameters, call.args, strict=False)), **{it.arg: it.value for it in call.keywords if it.arg}}
    return found | {name for name in (*parameters, *others) if name not in given or _is_own(given[name], own)}


def _is_own(value: ast.expr, own: set[str]) -> bool:
    """Whether an argument is made of what belongs to the turn, or is no object at all."""
    read = names(value)
    return not read or bool(read & own)


def remembers(function: ast.AST, own: set[str]) -> bool:
    """Whether a function reads what an earlier call of it may have written, other than a count that grows."""
    nodes = list(ast.walk(function))
    if any(isinstance(it, (ast.Global, ast.Nonlocal)) for it in nodes):
        return True
    counts = {ast.unparse(it.target) for it in nodes if isinstance(it, ast.AugAssign)}
    targets = [it for node in nodes if (it := _changed(node)) is not None and base(it) not in own]
    changed = {ast.unparse(it) for it in targets}
    inside = {id(it) for target in targets for it in ast.walk(target)}
    read = {
        ast.unparse(it)
        for it in nodes
        if isinstance(it, (ast.Name, ast.Attribute)) and isinstance(it.ctx, ast.Load) and id(it) not in inside
    }
    return bool((changed - counts) & read)


def _changed(node: ast.AST) -> ast.expr | None:
    """Return the object whose state a node changes; a count that grows is none."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
        return node
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        return node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and changes(node):
        return node.func.value
    return None
