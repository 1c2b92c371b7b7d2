"""No file of the rooms that run calls needs, even for its types, a file that needs it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import whilst

ROOT = Path(whilst.__file__).parent
ROOMS = ("limit", "engine", "lanes", "core")


def imports(path: Path) -> set[str]:
    """Return the modules of the package that a file imports at its top, those for type checkers included."""
    package = ("whilst", *path.relative_to(ROOT).parent.parts)
    found: set[str] = set()
    for node in top(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *(node.module.split(".") if node.module else ())))
            found |= {module, *(f"{module}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
    return {name for name in found if name.startswith("whilst.")}


def top(tree: ast.AST) -> list[ast.AST]:
    """Return the statements of a module, but for those in functions."""
    nodes: list[ast.AST] = []
    for node in ast.iter_child_nodes(tree):
        nodes.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            nodes += top(node)
    return nodes


def graph() -> dict[str, set[str]]:
    """Return which module needs which."""
    files = {
        f"whilst.{path.parent.relative_to(ROOT).as_posix().replace('/', '.')}.{path.stem}": path
        for room in ROOMS
        for path in (ROOT / room).glob("*.py")
        if path.stem != "__init__"
    }
    return {name: imports(path) & files.keys() for name, path in files.items()}


def circles(needs: dict[str, set[str]]) -> list[list[str]]:
    """Return the ways that lead from a module to itself."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in done:
            for other in sorted(needs[name]):
                walk(other, [*way, name])
            done.add(name)

    for name in sorted(needs):
        walk(name, [])
    return found


def test_the_search_finds_a_circle() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c", "b"]]
    assert "whilst.limit.state" in graph()["whilst.limit.limit"]


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_needs_itself(room: str) -> None:
    found = [way for way in circles(graph()) if any(name.startswith(f"whilst.{room}.") for name in way)]
    assert found == []
