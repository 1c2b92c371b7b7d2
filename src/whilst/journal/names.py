"""What does a piece of code name, and what do these names stand for in the modules of the user's own?

Names are read from the compiled code, which knows what is global; what a name is assigned is read from the source of
its module, for the value that it has now may be of today only.
"""

from __future__ import annotations

import ast
import dis
import functools
import linecache
import os
import re
import sys
import types
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"})
_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_FIXED = (
    *(ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.JoinedStr, ast.FormattedValue),
    *(ast.Name, ast.expr_context, ast.operator, ast.unaryop),
)
MOST_CELLS = 500  # of a notebook that are looked through for an assignment

Space = dict[str, Any]  # the names of a module, as its functions have them


class Mentioned(NamedTuple):
    """What code names: chains such as `("config", "MODEL")` that begin with a global, and attributes of anything."""

    chains: list[tuple[str, ...]]
    attributes: list[str]
    imports: list[tuple[str, str]]
    """Module and name of what is imported inside."""


class Assigned(NamedTuple):
    """What the source of a module says that a name is."""

    values: list[ast.expr]
    """What it is assigned; more than one where that is up to a condition."""
    imported: tuple[str, str] | None
    """Module and name there (or nothing: the module itself)."""
    line: int
    place: str


@functools.lru_cache(maxsize=256)
def mentioned(code: types.CodeType) -> Mentioned:
    """Return what a piece of compiled code names, and what is defined in it, each once, in order."""
    chains: dict[tuple[str, ...], None] = {}
    attributes: dict[str, None] = {}
    imports: dict[tuple[str, str], None] = {}
    for each in _codes(code):
        chain: list[str] = []
        module = ""
        for instruction in dis.get_instructions(each):
            if instruction.opname == "EXTENDED_ARG":
                continue
            if instruction.opname == "IMPORT_NAME":
                module = instruction.argval
                imports[module, ""] = None
            elif instruction.opname == "IMPORT_FROM":
                imports.pop((module, ""), None)
                imports[module, instruction.argval] = None
            name: str = instruction.argval  # a name where it is looked at
            is_attribute = instruction.opname in _ATTRIBUTES
            if is_attribute:
                attributes[name] = None
            if is_attribute and chain:
                chain.append(name)
                continue
            if chain:
                chains[tuple(chain)] = None
            chain = [name] if instruction.opname in _GLOBALS else []
        if chain:
            chains[tuple(chain)] = None
    return Mentioned(list(chains), list(attributes), list(imports))


def is_own(filename: str) -> bool:
    """Whether code of this file is the user's: not Python's, not an installed package's, not this library's.

    >>> is_own("/home/me/jobs.py"), is_own(ast.__file__), is_own("<frozen importlib>")
    (True, False, False)
    """
    if filename.startswith("<frozen"):
        return False
    path = os.path.abspath(filename) if filename and not filename.startswith("<") else filename
    return not path.startswith((_PACKAGE, _LIBRARY)) and not any(part in path for part in _INSTALLED)


def is_own_space(space: Space) -> bool:
    """Whether a module is the user's; one without a file is, if it is the main one: a notebook, a prompt."""
    file = space.get("__file__")
    if isinstance(file, str):
        return is_own(file)
    return space.get("__spec__") is None and space.get("__name__") not in sys.builtin_module_names


def stem_of(space: Space) -> str:
    """Return what a module is called here, the same whether it is run or imported; "" in a notebook."""
    file = space.get("__file__")
    if not isinstance(file, str):
        return ""
    stem = os.path.splitext(os.path.basename(file))[0]
    return os.path.basename(os.path.dirname(file)) if stem == "__init__" else stem


def assigned(space: Space, name: str) -> Assigned | None:
    """Return what the source of a module assigns to one of its names; None if it does not say."""
    package = space.get("__package__") if isinstance(space.get("__file__"), str) else ""
    for source, file in reversed(sources_of(space)):
        if found := assignments(source, file, package if isinstance(package, str) else "").get(name):
            return found
    return None


def sources_of(space: Space) -> list[tuple[str, str]]:
    """Return the source of a module, and its file; of a notebook one for each cell that was run, in order."""
    file = space.get("__file__")
    if isinstance(file, str):
        return [("".join(linecache.getlines(file)), file)]
    history = space.get("_ih")  # what IPython ran, cell by cell
    cells = cast("list[object]", history) if isinstance(history, list) else []
    first = max(0, len(cells) - MOST_CELLS)
    return [
        (text, f"<ipython-input-{number}->")
        for number, text in enumerate(cells[first:], first)
        if isinstance(text, str)
    ]


def is_fixed(value: ast.expr) -> bool:
    """Whether an expression is a literal, or made of literals and names only.

    >>> [is_fixed(ast.parse(text, mode="eval").body) for text in ("'small'", "60 * 60", "BASE + '/v1'", "today()")]
    [True, True, True, False]
    """
    return all(isinstance(node, _FIXED) for node in ast.walk(value))


def names_in(value: ast.expr) -> list[str]:
    """Return the names in an expression."""
    return [node.id for node in ast.walk(value) if isinstance(node, ast.Name)]


def class_nodes(space: Space, qualname: str) -> list[ast.ClassDef]:
    """Return what the source of a module says of a class; several where that is up to a condition, or nothing."""
    file = space.get("__file__")
    if not isinstance(file, str):
        return []
    return _classes("".join(linecache.getlines(file))).get(qualname, [])


def class_values(space: Space, qualname: str) -> dict[str, list[ast.expr]]:
    """Return what the body of a class assigns, by name, from its source."""
    found: dict[str, list[ast.expr]] = {}
    for node in class_nodes(space, qualname):
        for name, value, _ in _targets(node.body):
            found.setdefault(name, []).append(value)
    return found


def place_in(filename: str, line: int) -> str:
    """Return `jobs.py line 12`, or in a notebook `cell 5 line 2`."""
    if cell := _cell(filename):
        return f"cell {cell} line {line}"
    return f"{os.path.basename(filename)} line {line}" if not filename.startswith("<") else ""


def _cell(filename: str) -> int | None:
    found = re.match(r"<ipython-input-(\d+)-", filename)
    if found:
        return int(found[1])
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    known = getattr(getattr(shell, "compile", None), "_filename_map", None)
    number = cast("dict[str, object]", known).get(filename) if isinstance(known, dict) else None
    return number if isinstance(number, int) else None


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


@functools.lru_cache(maxsize=64)
def assignments(source: str, file: str, package: str = "") -> dict[str, Assigned]:
    """Return what a source assigns, by name."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[str, Assigned] = {}
    for name, value, node in _targets(tree.body):
        before = found.get(name)
        found[name] = Assigned(
            [*(before.values if before else []), value], None, node.lineno, place_in(file, node.lineno)
        )
    for node in _statements(tree.body):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name, target in _imports(node, package):
                found[name] = Assigned([], target, node.lineno, place_in(file, node.lineno))
    return found


@functools.lru_cache(maxsize=16)
def _classes(source: str) -> dict[str, list[ast.ClassDef]]:
    found: dict[str, list[ast.ClassDef]] = {}

    def look(node: ast.AST, prefix: str) -> None:
        for below in ast.iter_child_nodes(node):
            if isinstance(below, ast.ClassDef):
                found.setdefault(f"{prefix}{below.name}", []).append(below)
                look(below, f"{prefix}{below.name}.")
            elif isinstance(below, (ast.FunctionDef, ast.AsyncFunctionDef)):
                look(below, f"{prefix}{below.name}.<locals>.")
            elif isinstance(below, ast.stmt):
                look(below, prefix)

    try:
        look(ast.parse(source), "")
    except (SyntaxError, ValueError, RecursionError):
        return {}
    return found


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the statements of a module, also those under a condition, but of no function or class."""
    for node in body:
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for part in ("body", "orelse", "finalbody", "handlers"):
            for below in getattr(node, part, ()):
                yield from _statements(below.body if isinstance(below, ast.ExceptHandler) else [below])


def _targets(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr, ast.stmt]]:
    """Give each name that is assigned, with the expression; how else a name is set, `setting` knows."""
    for node in _statements(body):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, (ast.Name, ast.Tuple, ast.List)):
                    yield from ((name, node.value, node) for name in _names_bound(target))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value, node


def _names_bound(target: ast.expr) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]


def _imports(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, tuple[str, str]]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0], (alias.name if alias.asname else "", "")
        return
    parts = package.split(".") if node.level else []
    base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
    for alias in node.names:
        yield alias.asname or alias.name, (base, alias.name)


def in_text(text: str) -> str:
    """Return what can be written of a text that may be the name of a file, and no text."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
