"""Which waits could overlap? From the tree of waits to findings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .effects import leaves_something
from .finding import Finding, seconds_text
from .loops import in_order, is_independent, is_repeated, loops_around, mapped, nest, own_names, pauses, runs_together
from .places import Whose
from .records import Waited
from .rewrite import Change, in_a_row, together, turns, with_map, written
from .source import Loop, Source, called, names, source, stored

AT_ONCE = 32  # calls: what whilst.map makes at once by itself
CROWDED = 0.3  # of the time, in which three or more waited there: they run together already
LEAST_CALLS = 3
LEAST_TURNS = 1.8  # calls a loop, on average; a loop of one turn is not worth a word
ALIKE = 0.1  # of the time of the longest of a row, that another must have to count
CONDITION = "if the calls do not depend on each other"

_DOING = re.compile(
    r"^_*(login|log_in|connect|open|create|start|begin|acquire|init|setup|delete|remove|update|insert|write|save|post|"
    r"put|patch|lock|set|send|commit|authenticate|register|close|stop|clear|reset|apply|run|execute|migrate|upload|"
    r"publish|wait|join|notify|enter|use|select_db|handshake|auth)(_|$)",
    re.IGNORECASE,
)


class _Candidate:
    """Calls in a loop that wait one after the other."""

    def __init__(self, source: Source, loop: Loop) -> None:
        self.source = source
        self.loop = loop
        self.calls: list[tuple[int, ast.Call]] = []


class _Figures(NamedTuple):
    seconds: float
    calls: int
    longest: float
    runs: int

    @property
    def ideal(self) -> float:
        """The seconds that it would take if the calls of each run were made together, so many at a time."""
        at_once = min(AT_ONCE, max(1.0, self.calls / self.runs))
        return max(self.longest, self.seconds / self.runs / at_once) * self.runs


def overlap_findings(tree: Sequence[Waited], least: float) -> list[Finding]:
    """Return what would save at least so many seconds if it ran together."""
    found: list[Finding] = []
    taken: set[int] = set()
    candidates: dict[tuple[str, int, int], _Candidate] = {}
    for index in _inside_out(tree):
        if index in taken:
            continue
        here = _candidate(tree, index)
        if here is None:
            continue
        loop, call, code = here
        key = tree[index].place.file, loop.lineno, loop.col_offset
        candidates.setdefault(key, _Candidate(code, loop)).calls.append((index, call))
        taken.update(_above(tree, index))
    for (file, _, _), candidate in candidates.items():
        found += _of_loop(tree, file, candidate, least)
    in_loops = {index for candidate in candidates.values() for index, _ in candidate.calls}
    found += _maps(tree, in_loops, least)
    found += _rows(tree, in_loops, least)
    return found


# Loops ---------------------------------------------------------------------------------------------------


def _candidate(tree: Sequence[Waited], index: int) -> tuple[Loop, ast.Call, Source] | None:
    """Return the loop whose turns this wait could share, if there is one."""
    node = tree[index]
    code = source(node.place.file)
    if code is None or node.place.whose != Whose.USER or node.crowded > CROWDED * node.seconds:
        return None
    call = waited_for(code, node)
    if call is None or node.calls < LEAST_CALLS or node.calls / node.runs < LEAST_TURNS:
        return None
    for loop in loops_around(code, call):
        if is_independent(code, loop, call):
            own = own_names(code, loop, call)
            return None if leaves_something(tree, index, call, own) else (loop, call, code)
    return None


def waited_for(code: Source, node: Waited) -> ast.Call | None:
    """Return the call that a node waited for; what is entered by `async with` counts as called."""
    found = code.node(node.place)
    call = called(code, found) if found is not None else None
    if call is None or isinstance(found, ast.Await) or not node.on_loop or not node.place.is_async:
        return call
    parent = next(code.around(call), None)
    return call if isinstance(parent, ast.withitem) else None


def _of_loop(tree: Sequence[Waited], file: str, candidate: _Candidate, least: float) -> Iterator[Finding]:
    """Say what a loop's calls took and would take; several calls of one turn become one function."""
    figures = _figures(tree, candidate.calls)
    code, loop = candidate.source, candidate.loop
    saved = figures.seconds - figures.ideal
    index, call = max(candidate.calls, key=lambda each: tree[each[0]].seconds)
    node = tree[index]
    if saved < least or code.ignored(loop.lineno, node.place.line):
        return
    change = together(file, code, loop, call) if len({id(it) for _, it in candidate.calls}) == 1 else None
    remedy = "" if change else _as_function(code, loop, call, node)
    name = code.text(call.func)
    outermost = [*nest(code, loop, call), loop][0]
    about = "at best" if is_repeated(code, outermost) else "about"  # how often it was gone through is not known
    yield _one_by_one(node, name, figures, about, remedy, change)


def _one_by_one(node: Waited, name: str, figures: _Figures, about: str, remedy: str, change: Change | None) -> Finding:
    ideal = figures.ideal
    verb = "awaited" if node.place.is_async else "called"
    return Finding(
        kind="could overlap",
        text=f"{name} was {verb} {_count(figures)} times, one by one: {seconds_text(figures.seconds)}",
        evidence=f"together {about} {seconds_text(ideal)}, {_factor(figures.seconds / ideal)} as fast",
        condition="; ".join(filter(None, [CONDITION, remedy])),
        gain=round(figures.seconds / ideal, 2),
        change=change,
        file=node.place.file,
        line=node.place.line,
        function=node.place.function,
        call=name,
        calls=figures.calls,
        seconds=round(figures.seconds, 4),
        longest=round(figures.longest, 4),
    )


def _figures(tree: Sequence[Waited], calls: Sequence[tuple[int, ast.Call]]) -> _Figures:
    """Add up what the calls of one loop took: the same call seen on several ways there, and several calls of a turn."""
    by_call: dict[int, list[Waited]] = {}
    for index, call in calls:
        by_call.setdefault(id(call), []).append(tree[index])
    seconds = sum(node.seconds for nodes in by_call.values() for node in nodes)
    longest = sum(max(node.longest for node in nodes) for nodes in by_call.values())
    count = max(sum(node.calls for node in nodes) for nodes in by_call.values())
    runs = max(sum(tree[index].runs for index, call in calls if id(call) == key) for key in by_call)
    return _Figures(seconds, count, longest, max(runs, 1))


def _count(figures: _Figures) -> str:
    many = figures.seconds / max(1, figures.calls) < 0.015  # too short to have been seen one by one
    return f"at least {figures.calls}" if many else str(figures.calls)


def _as_function(code: Source, loop: Loop, call: ast.Call, node: Waited) -> str:
    """Say what to do with a body that is more than a call."""
    word = "async for" if node.place.is_async else "for"
    define = "async def" if node.place.is_async else "def"
    target, inputs = turns(code, nest(code, loop, call) if isinstance(loop, ast.For) else loop.generators)
    several = isinstance(target, ast.Tuple) and all(isinstance(it, ast.Name) for it in target.elts)
    one = "whilst.spread(one)" if several else "one"
    given = written(target) if several or isinstance(target, ast.Name) else "row"
    return (
        f"put what one turn does into a function, {define} one({given}), then: "
        f"{word} result in whilst.map({one}, {inputs}):"
    )


def _maps(tree: Sequence[Waited], in_loops: set[int], least: float) -> Iterator[Finding]:
    """Find calls of the builtin `map` whose function waits."""
    for index, node in enumerate(tree):
        code = source(node.place.file)
        here = code.node(node.place) if code is not None and node.place.whose == Whose.USER else None
        call = mapped(code, here) if code is not None and here is not None else None
        if code is None or call is None or index in in_loops or node.on_loop or node.crowded > CROWDED * node.seconds:
            continue
        figures = _Figures(node.seconds, node.calls, node.longest, max(node.runs, 1))
        made = ast.Call(call.args[0], [ast.Name("item", ast.Load())], [])
        if figures.calls < LEAST_CALLS or figures.calls / figures.runs < LEAST_TURNS:
            continue
        if leaves_something(tree, index, made, {"item"}):
            continue
        if figures.seconds - figures.ideal < least or code.ignored(node.place.line):
            continue
        yield _one_by_one(node, code.text(call.args[0]), figures, "about", "", with_map(node.place.file, code, call))


# Awaits in a row -----------------------------------------------------------------------------------------


class _Stated(NamedTuple):
    node: int
    call: ast.Call
    statement: ast.stmt


def _rows(tree: Sequence[Waited], in_loops: set[int], least: float) -> Iterator[Finding]:
    """Find statements of one function, each binding what a call gave, of which none needs another."""
    siblings: dict[tuple[int, str, str], list[int]] = {}
    for index, node in enumerate(tree):
        if node.place.whose == Whose.USER and node.crowded <= CROWDED * node.seconds:
            siblings.setdefault((node.parent, node.place.file, node.place.function), []).append(index)
    for indices in siblings.values():
        for code, row in _independent_rows(tree, [it for it in indices if it not in in_loops]):
            yield from _of_row(tree, code, row, least)


def _independent_rows(tree: Sequence[Waited], indices: Sequence[int]) -> Iterator[tuple[Source, list[_Stated]]]:
    code = source(tree[indices[0]].place.file) if len(indices) > 1 else None
    if code is None:
        return
    stated = [it for index in indices if (it := _stated(code, tree, index)) is not None]
    by_statement = {id(it.statement): it for it in stated}
    for body in _bodies(code.tree):
        row: list[_Stated] = []
        for statement in body:
            here = by_statement.get(id(statement))
            if here is not None and _is_free(row, here):
                row.append(here)
                continue
            if len(row) > 1:
                yield code, row
            row = [here] if here is not None else []
        if len(row) > 1:
            yield code, row


def _stated(code: Source, tree: Sequence[Waited], index: int) -> _Stated | None:
    """Return a node's call and statement, if all that the statement does is to bind what the call gave."""
    call = waited_for(code, tree[index])
    statement = code.statement(call) if call is not None else None
    if call is None or not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return None
    if (
        pauses(call)
        or runs_together(call)
        or in_order(call)
        or _does(call)
        or leaves_something(tree, index, call, set())
    ):
        return None
    calls = [it for it in ast.walk(statement) if isinstance(it, ast.Await)]
    return _Stated(index, call, statement) if len(calls) <= 1 else None


def _does(call: ast.Call) -> bool:
    """Whether a call is named for what it does, rather than for what it gives: its order may matter."""
    func = call.func
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    return bool(_DOING.match(name))


def _is_free(row: Sequence[_Stated], here: _Stated) -> bool:
    """Whether a statement needs nothing of those before it."""
    earlier = {name for each in row for name in stored(each.statement)}
    needed = names(here.statement)
    return not earlier & needed and not earlier & stored(here.statement)


def _bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list):
                yield body


def _of_row(tree: Sequence[Waited], code: Source, row: list[_Stated], least: float) -> Iterator[Finding]:
    longest = max(tree[each.node].seconds for each in row)
    row = [each for each in row if tree[each.node].seconds >= ALIKE * longest]
    nodes = [tree[each.node] for each in row]
    seconds = sum(node.seconds for node in nodes)
    saved = seconds - longest
    first = nodes[0].place
    if len(row) < 2 or saved < least or code.ignored(*(node.place.line for node in nodes)):
        return
    change = in_a_row(first.file, code, [it.statement for it in row], [it.call for it in row])
    called = ", ".join(code.text(each.call.func) for each in row)
    verb = "awaited" if first.is_async else "called"
    yield Finding(
        kind="could overlap",
        text=f"{called} were {verb} one after the other: {seconds_text(seconds)}",
        evidence=f"together about {seconds_text(longest)}, {_factor(seconds / longest)} as fast",
        condition=CONDITION + ("" if change else "; make them together: whilst.together(…)"),
        gain=round(seconds / longest, 2),
        change=change,
        file=first.file,
        line=first.line,
        function=first.function,
        call=called,
        calls=sum(node.calls for node in nodes),
        seconds=round(seconds, 4),
        longest=round(max(node.longest for node in nodes), 4),
    )


# The tree ------------------------------------------------------------------------------------------------


def _inside_out(tree: Sequence[Waited]) -> Iterator[int]:
    """Give the indices so that what is called comes before who calls it; parents stand before their children."""
    yield from reversed(range(len(tree)))


def _above(tree: Sequence[Waited], index: int) -> Iterator[int]:
    while (index := tree[index].parent) >= 0:
        yield index


def _factor(times: float) -> str:
    return f"{times:.0f} times" if times >= 9.5 else f"{times:.1f} times"
