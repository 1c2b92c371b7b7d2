"""Which expression was running? From a position in a file to the node of its syntax tree, and to what is around it."""

from __future__ import annotations

import ast
import functools
import linecache
import re
import warnings
from collections.abc import Iterator

from .places import Place

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
IGNORE = re.compile(r"#\s*whilst:\s*ignore\b")

_RUNS = re.compile(r"(^|\.)(run_until_complete|(asyncio|uvloop|runner)\.run)$")
_TASKS = re.compile(r"(^|\.)(create_task|ensure_future)$")

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Loop = ast.For | Comprehension


class Source:
    """A file as text and as a tree whose nodes know their parents."""

    def __init__(self, text: str) -> None:
        self.lines: list[str] = text.splitlines()
        self._text = text
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the program's own compiler has said it
            self.tree: ast.Module = ast.parse(text)
        self._parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def node(self, place: Place) -> ast.expr | None:
        """Return the expression at a position: exactly that, or the smallest around it."""
        if place.span is None:
            return None
        first, last, left, right = place.span
        wanted = (first, left), (last, right)
        best: ast.expr | None = None
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.expr):
                continue
            began, ended = _extent(node)
            if began <= wanted[0] and ended >= wanted[1] and (best is None or _extent(best)[0] <= began):
                if best is not None and (began, ended) == _extent(best):
                    continue
                best = node
        return best

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Give the nodes around one, inside out, up to the function or class that it is in."""
        while (parent := self._parents.get(node)) is not None:
            yield parent
            if isinstance(parent, (*FUNCTIONS, ast.ClassDef)):
                return
            node = parent

    def function(self, node: ast.AST) -> ast.AST:
        """Return the function that a node is in, or the module."""
        return next((it for it in self.around(node) if isinstance(it, FUNCTIONS)), self.tree)

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """Return the statement that a node is in."""
        if isinstance(node, ast.stmt):
            return node
        return next((it for it in self.around(node) if isinstance(it, ast.stmt)), None)

    def text(self, node: ast.AST) -> str:
        """Return a node as it is written."""
        return ast.get_source_segment(self._text, node) or ast.unparse(node)

    def line(self, number: int) -> str:
        """Return a line without its indentation."""
        return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""

    def ignored(self, *numbers: int) -> bool:
        """Whether one of these lines asks not to be spoken of."""
        return any(IGNORE.search(self.line(number)) for number in numbers)

    def before(self, node: ast.expr, word: str) -> tuple[int, int]:
        """Return the line, and the column in bytes, of the last time that a word stands before a node on its line."""
        return node.lineno, self.lines[node.lineno - 1].encode()[: node.col_offset].rindex(word.encode())

    def is_gone_through(self, call: ast.Call) -> bool:
        """Whether a call gives what a `for` goes through, of a loop or a comprehension."""
        parent = next(self.around(call), None)
        return isinstance(parent, (ast.For, ast.comprehension)) and parent.iter is call

    def call(self, place: Place) -> ast.Call | None:
        """Return the call that was running at a position: the one that is awaited, or the innermost that is not."""
        node = self.node(place)
        if isinstance(node, ast.Await):
            node = node.value
        return node if isinstance(node, ast.Call) else None


def called(source: Source, found: ast.expr) -> ast.Call | None:
    """Return the call that the program waits for at an expression: what is awaited, run to its end, or made a task."""
    if isinstance(found, ast.Await):
        found = found.value
    if isinstance(found, ast.Name):
        found = _made_before(source, found) or found
    return (driven(found) or found) if isinstance(found, ast.Call) else None


def driven(call: ast.Call) -> ast.Call | None:
    """Return the call of an async function that another one runs: `asyncio.run(f(x))`, `create_task(f(x))`.

    >>> ast.unparse(driven(ast.parse("loop.run_until_complete(f(x))").body[0].value))
    'f(x)'
    """
    inner = call.args[0] if call.args else None
    runs = is_task(call) or _RUNS.search(ast.unparse(call.func))
    return inner if runs and isinstance(inner, ast.Call) else None


def is_task(node: ast.expr) -> bool:
    """Whether an expression makes a task."""
    return isinstance(node, ast.Call) and bool(_TASKS.search(ast.unparse(node.func)))


def _made_before(source: Source, name: ast.Name) -> ast.Call | None:
    """Return the call whose task a name stands for, if the statement right before has made it."""
    statement = source.statement(name)
    above = (
        next((it for it in source.around(statement) if statement in getattr(it, "body", ())), None)
        if statement
        else None
    )
    body: list[ast.stmt] = getattr(above, "body", [])
    before = body[body.index(statement) - 1] if statement in body[1:] else None
    if not isinstance(before, ast.Assign) or not isinstance(before.value, ast.Call) or driven(before.value) is None:
        return None
    return before.value if [ast.unparse(it) for it in before.targets] == [name.id] else None


def _extent(node: ast.expr) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or 0)


@functools.lru_cache(maxsize=64)
def source(file: str) -> Source | None:
    """Return a file as it is now, or None if it cannot be had."""
    text = "".join(linecache.getlines(file))
    if not text:
        return None
    try:
        return Source(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def names(node: ast.AST) -> set[str]:
    """Return the names that are read in a node."""
    return {it.id for it in ast.walk(node) if isinstance(it, ast.Name) and isinstance(it.ctx, ast.Load)}


def stored(node: ast.AST) -> set[str]:
    """Return the names that are bound in a node."""
    found = {it.id for it in ast.walk(node) if isinstance(it, ast.Name) and not isinstance(it.ctx, ast.Load)}
    for it in ast.walk(node):
        if isinstance(it, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(it.name)
        elif isinstance(it, ast.alias):
            found.add((it.asname or it.name).partition(".")[0])
        elif isinstance(it, ast.ExceptHandler) and it.name:
            found.add(it.name)
    return found


def base(node: ast.AST) -> str:
    """Return the name that `a.b[c].d` begins with, or nothing.

    >>> base(ast.parse("a.b[c].d").body[0].value)
    'a'
    """
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
