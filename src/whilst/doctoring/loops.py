"""Do the turns of a loop depend on each other? Read from the text of the loop; in doubt they do.

A call in a loop may run beside those of the other turns if one of its arguments comes from the loop's variable and none
from the turn before, and if nothing says that order matters: a way out of the loop, a pause, a lock, a transaction, a
stream that is written to.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from .source import COMPREHENSIONS, FUNCTIONS, Loop, Source, base, names, stored

# Methods whose order their object knows; `in_order` is asked for receivers that all turns share.
_ORDERED = re.compile(
    r"^_?(send|write|put|push|drain|flush|execute|executemany|executescript|commit|rollback|append|extend|feed|"
    r"readline|readlines|readexactly|readuntil|recv|receive|next|anext|fetchone|fetchmany|fetchall|fetchrow|fetchval|"
    r"pop|popleft|get_nowait|step|advance|seek|acquire|release|publish|ack|wait|join|result)"
    r"(_?(all|text|bytes|json|str|line|lines|row|rows|many|one|into|nowait|chunk|part|block|message|packet|frame|"
    r"event|command))*$"
)
_READS = frozenset({"read", "fetch", "query"})  # of a stream or a connection, but of a client of a storage not
_STREAM = re.compile(r"(^|_)(reader|stream|file|fh|fp|f|sock|socket|conn|connection|pipe|stdin|stdout|cursor|cur|ws)$")
_POOL = re.compile(r"pool|engine", re.IGNORECASE)  # each call gets a connection of its own
_CHANGING = re.compile(
    r"^(append|appendleft|add|update|extend|insert|remove|discard|pop|popleft|popitem|clear|setdefault|sort|reverse|"
    r"write|put|put_nowait|push|send)$"
)
_GUARDED = re.compile(
    r"lock|mutex|transaction|atomic|begin\b|savepoint|semaphore|limiter|throttle|chdir", re.IGNORECASE
)
_ASKS = frozenset(["input", "getpass", "prompt", "confirm"])  # of which one person answers one at a time
_ENDS = frozenset(["wait", "join", "communicate", "result", "exception"])  # of what has begun before
_WAITED_FOR = frozenset(["wait_for", "shield", "wrap_future"])
_PROCESS_WIDE = re.compile(r"(^|\.)(chdir|fchdir|putenv|unsetenv|umask|setlocale|seed)$")
_TOGETHER = frozenset(
    ["gather", "wait", "as_completed", "map", "imap", "starmap", "together", "TaskGroup", "wait_for_all"]
)
_TAKE_ALL = frozenset(["list", "tuple", "set", "frozenset", "dict", "sorted", "sum", "min", "max", "join", "extend"])
_PAUSE = re.compile(r"(^|[._])(sleep|pause|wait_until)$")


def pauses(call: ast.Call) -> bool:
    """Whether a call does nothing but wait."""
    return bool(_PAUSE.search(ast.unparse(call.func)))


def runs_together(call: ast.Call) -> bool:
    """Whether a call is one that has others run beside each other already."""
    return isinstance(call.func, (ast.Name, ast.Attribute)) and _last(call.func) in _TOGETHER


def in_order(call: ast.Call, shared: bool = True) -> bool:
    """Whether the object whose method this is cares for the order of its calls."""
    if not shared or not isinstance(call.func, ast.Attribute):
        return False
    method, receiver = call.func.attr, _last(call.func.value)
    if method in _READS:
        return bool(_STREAM.search(receiver))
    return bool(_ORDERED.match(method)) and not _POOL.search(receiver)


def changes(call: ast.Call) -> bool:
    """Whether a call changes the object whose method it is."""
    return isinstance(call.func, ast.Attribute) and bool(_CHANGING.match(call.func.attr))


def in_pool(func: ast.expr) -> bool:
    """Whether each call of a method gets a connection of its own."""
    return isinstance(func, ast.Attribute) and bool(_POOL.search(_last(func.value)))


def asks_somebody(call: ast.Call) -> bool:
    """Whether a call waits for what a person types."""
    return _last(call.func) in _ASKS


def loops_around(source: Source, node: ast.AST) -> Iterator[Loop]:
    """Give the `for` loops and comprehensions in whose turns a node is, inside out, within its function."""
    inner: ast.AST = node
    for outer in source.around(node):
        if (isinstance(outer, ast.For) and inner not in (outer.iter, outer.target) and inner not in outer.orelse) or (
            isinstance(outer, COMPREHENSIONS) and not _is_first_source(outer, inner)
        ):
            yield outer
        inner = outer


def nest(source: Source, loop: Loop, call: ast.Call) -> list[ast.For]:
    """Return the `for` loops around a loop that do nothing but go through it, outermost first, and itself at the end.

    The turns of all of them may run beside each other. A comprehension has no such loops: it has generators.
    """
    if not isinstance(loop, ast.For):
        return []
    found = [loop]
    for outer in source.around(loop):
        if not isinstance(outer, ast.For) or outer.body != [found[0]] or outer.orelse or found[0].orelse:
            break
        if not is_independent(source, outer, call):
            break
        found.insert(0, outer)
    return found


def is_repeated(source: Source, loop: Loop) -> bool:
    """Whether a loop of the same function goes through this one again and again."""
    return any(isinstance(outer, (ast.For, ast.AsyncFor, ast.While, *COMPREHENSIONS)) for outer in source.around(loop))


def mapped(source: Source, node: ast.AST) -> ast.Call | None:
    """Return the call of the builtin `map` that makes its calls at a node, if all of them are made, in any order."""
    takes_all = isinstance(node, ast.Call) and _last(node.func) in _TAKE_ALL
    for call in [node, *(node.args if takes_all else [])]:  # type: ignore[attr-defined]
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "map":
            break
    else:
        return None
    if len(call.args) < 2 or call.keywords or any(isinstance(it, ast.Starred) for it in call.args):
        return None
    made = ast.Call(call.args[0], [], [])
    if pauses(made) or runs_together(made) or in_order(made) or _guarded(source, call):
        return None
    around = next(source.around(call), None)
    gone_through = isinstance(around, ast.comprehension) or (isinstance(around, ast.For) and not _leaves(around))
    return call if takes_all or gone_through else None


def targets(loop: Loop) -> set[str]:
    """Return the names that each turn binds anew."""
    if isinstance(loop, ast.For):
        return stored(loop.target)
    return {name for generator in loop.generators for name in stored(generator.target)}


def is_independent(source: Source, loop: Loop, call: ast.Call) -> bool:
    """Whether nothing in the text of a loop says that this call needs the turns before it."""
    turn = targets(loop)
    if pauses(call) or runs_together(call) or asks_somebody(call) or _runs_already(call, turn):
        return False
    if isinstance(loop, ast.For):
        return _for_allows(source, loop, call, turn)
    if any(generator.is_async for generator in loop.generators):
        return False
    inner = {id(it) for generator in loop.generators for it in ast.walk(generator)}
    if id(call) in inner:  # it decides which turns there are
        return False
    bound = {it.target.id for it in ast.walk(loop) if isinstance(it, ast.NamedExpr)}
    return bool(names(call) & turn) and not names(call) & bound and not _is_ordered(call, turn)


def own_names(source: Source, loop: Loop, call: ast.Call) -> set[str]:
    """Return the names of what belongs to one turn of a loop alone when it gets to a call."""
    return _derived(bindings(source, loop, call), targets(loop)) if isinstance(loop, ast.For) else targets(loop)


def _runs_already(call: ast.Call, turn: set[str]) -> bool:
    """Whether a call is for the end of what the loop goes through: of processes, threads or tasks that have begun."""
    if isinstance(call.func, ast.Attribute) and call.func.attr in _ENDS:
        return isinstance(call.func.value, ast.Name) and call.func.value.id in turn
    awaited = call.args[0] if call.args else None
    return _last(call.func) in _WAITED_FOR and isinstance(awaited, ast.Name) and awaited.id in turn


class Binding(NamedTuple):
    """What something that comes before a call in its turn binds, and reads for that."""

    bound: set[str]
    read: set[str]
    anew: bool  # whatever the names were before


def bindings(source: Source, loop: ast.For, call: ast.Call) -> list[Binding]:
    """Return what a turn has bound when it gets to a call, in this order: by statements, `with` and inner loops."""
    found: list[Binding] = []
    inside = [*source.around(call)]
    path = [loop, *reversed(inside[: inside.index(loop)])]
    for outer, inner in pairwise([*path, call]):
        if outer is not loop:
            found += _headers(outer)
        for name in ("body", "orelse", "finalbody", "handlers"):
            block: list[ast.AST] = getattr(outer, name, None) or []
            if isinstance(block, list) and inner in block:  # pyright: ignore[reportUnnecessaryIsInstance]
                found += [_binding(statement) for statement in block[: block.index(inner)]]
    return found


def needs(before: Sequence[Binding], call: ast.Call) -> set[str]:
    """Return the names that a call depends on, also by way of what was bound before it."""
    wanted = names(call)
    for each in reversed(before):
        if each.bound & wanted:
            wanted |= each.read
    return wanted


def _for_allows(source: Source, loop: ast.For, call: ast.Call, turn: set[str]) -> bool:
    before = bindings(source, loop, call)
    wanted = needs(before, call)
    if not wanted & turn or _is_ordered(call, _derived(before, turn)):
        return False
    changed = _changed(loop, call)
    if (wanted - turn) & (changed - _bound_anew(before)):
        return False
    if names(loop.iter) & changed or _leaves(loop) or _is_paced(loop, call, turn):
        return False
    if any(names(test) & changed for test in _tests(source, loop, call)):
        return False
    return not _guarded(source, call)


def _binding(statement: ast.AST) -> Binding:
    anew = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.With, ast.AsyncWith))
    return Binding(stored(statement), names(statement), anew)


def _headers(node: ast.AST) -> list[Binding]:
    """Return what the head of a block binds in it."""
    if isinstance(node, (ast.With, ast.AsyncWith)):
        bound = [(stored(it.optional_vars) if it.optional_vars else set[str](), it.context_expr) for it in node.items]
        return [Binding(found, names(context), True) for found, context in bound]
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return [Binding(stored(node.target), names(node.iter), True)]
    return []


def _derived(before: Sequence[Binding], turn: set[str]) -> set[str]:
    found = set(turn)
    for each in before:
        if each.read & found:
            found |= each.bound
    return found


def _is_ordered(call: ast.Call, own: set[str]) -> bool:
    """Whether it is the method of an object which all turns share, and which cares for the order."""
    return in_order(call, base(call.func) not in own)


def _changed(loop: ast.For, call: ast.Call) -> set[str]:
    """Return the names that a turn binds or whose objects it changes; the call itself may do so behind the scenes."""
    found: set[str] = set()
    for statement in loop.body:
        found |= stored(statement)
        for it in ast.walk(statement):
            if isinstance(it, (ast.Attribute, ast.Subscript)) and not isinstance(it.ctx, ast.Load):
                found.add(base(it))
            elif isinstance(it, ast.Call) and it is not call and changes(it):
                found.add(base(it.func))
    return found - {""}


def _bound_anew(before: Sequence[Binding]) -> set[str]:
    """Return the names that each turn binds before the call, without looking at what they were."""
    found: set[str] = set()
    read: set[str] = set()
    for each in before:
        read |= each.read
        if each.anew:
            found |= each.bound - read
    return found


def _leaves(loop: ast.For) -> bool:
    """Whether a turn may be the last one by what it found."""
    return any(_ways_out(statement, nested=False) for statement in loop.body)


def _ways_out(node: ast.AST, nested: bool) -> bool:
    if isinstance(node, FUNCTIONS):
        return False
    if isinstance(node, ast.Return) or (isinstance(node, ast.Break) and not nested):
        return True
    nested = nested or isinstance(node, (ast.For, ast.AsyncFor, ast.While))
    return any(_ways_out(child, nested) for child in ast.iter_child_nodes(node))


def _is_paced(loop: ast.For, call: ast.Call, turn: set[str]) -> bool:
    """Whether something in a loop is done for when it happens: a pause, a limiter, a commit."""
    of_turn = turn.union(*map(stored, loop.body))
    for it in (it for statement in loop.body for it in ast.walk(statement)):
        if isinstance(it, ast.Call) and (pauses(it) or _PROCESS_WIDE.search(ast.unparse(it.func))):
            return True
        if isinstance(it, ast.Subscript) and isinstance(it.ctx, ast.Store) and ast.unparse(it.value) == "os.environ":
            return True
        if isinstance(it, ast.Expr) and _is_about_all(it.value, loop, of_turn) and call not in ast.walk(it):
            return True
    return False


def _is_about_all(value: ast.expr, loop: ast.For, of_turn: set[str]) -> bool:
    """Whether a call whose value nobody takes is about what all turns share, and not about this one's."""
    is_awaited = isinstance(value, ast.Await)
    made = value.value if isinstance(value, ast.Await) else value
    if not isinstance(made, ast.Call):
        return False
    gone_through = isinstance(loop.iter, ast.Name) and base(made.func) == loop.iter.id
    shared = not names(made) & of_turn
    return gone_through or (shared and (is_awaited or in_order(made) or bool(_GUARDED.search(ast.unparse(made.func)))))


def _tests(source: Source, loop: ast.For, call: ast.Call) -> Iterator[ast.expr]:
    """Give the conditions under which a turn gets to the call."""
    for outer in source.around(call):
        if outer is loop:
            break
        if isinstance(outer, (ast.If, ast.While, ast.IfExp)):
            yield outer.test
    before = [it for it in loop.body if isinstance(it, ast.If) and it.lineno < call.lineno]
    yield from (it.test for it in before if any(isinstance(inner, ast.Continue) for inner in ast.walk(it)))


def _guarded(source: Source, node: ast.AST) -> bool:
    """Whether it stands under a lock or in a transaction."""
    return any(
        _GUARDED.search(source.text(item.context_expr))
        for outer in source.around(node)
        if isinstance(outer, (ast.With, ast.AsyncWith))
        for item in outer.items
    )


def _is_first_source(loop: ast.AST, inner: ast.AST) -> bool:
    return isinstance(inner, ast.comprehension) and inner is loop.generators[0]  # type: ignore[attr-defined]


def _last(func: ast.expr) -> str:
    func = func.func if isinstance(func, ast.Call) else func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
