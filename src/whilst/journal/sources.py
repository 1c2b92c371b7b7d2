"""What does the source of a function say, whatever its comments, docstrings and layout?

The same in every version of Python; where there is no source, what the compiled code says that does not depend on it.
"""

from __future__ import annotations

import ast
import functools
import inspect
import types
from collections.abc import Iterator
from typing import Any


def source_tree(fn: types.FunctionType, *, as_0_1: bool = False) -> Any:
    """Return the syntax tree of a function as plain lists, or what its compiled code says if there is no source.

    Before Python 3.13, whilst 0.1 did not find lambdas in their source; `as_0_1` says of them what it said there.
    """
    code = fn.__code__
    if as_0_1 and code.co_name == "<lambda>":
        return _compiled(code)
    try:
        lines, _ = inspect.findsource(code)
    except (OSError, TypeError, IndexError):
        return _compiled(code)
    return _tree_in("".join(lines), code)


@functools.lru_cache(maxsize=256)
def _tree_in(source: str, code: types.CodeType) -> Any:
    """Find a function in its source: two of the same compiled code may differ there, in their defaults."""
    try:
        tree = _parsed(source)
    except (SyntaxError, ValueError, RecursionError):
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
    positions = {(line, column) for line, _, column, to in code.co_positions() if line and column != to}  # None or 0
    places = {(line, column) for line, column in positions if column is not None}
    inside = {place for place in places if begin <= place < end}
    return bool(inside) and min(places) >= begin and max(inside) == max(places)


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
        if name == "decorator_list":
            value = [each for each in value if not _is_policy(each)]
        if value is None and not isinstance(node, ast.Constant):
            continue
        if value == [] or name in ("ctx", "kind", "type_comment", "type_ignores"):
            continue
        shape.append([name, _shape(value)])
    return shape


def _is_policy(decorator: ast.expr) -> bool:
    """Whether a decorator is `@whilst.Retry(…)`: how often a function is called is no part of what it does."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called) == "whilst.Retry"


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


def class_tree(kind: type) -> Any:
    """Return the syntax tree of a class as plain lists; OSError, TypeError or SyntaxError if it has no source."""
    return _shape(ast.parse(_whole(inspect.getsource(kind))))


def shape_of(node: ast.AST) -> Any:
    """Return a syntax tree as plain lists."""
    return _shape(node)


def _whole(source: str) -> str:
    """Return source that can be parsed, whatever it was indented by; multi-line strings stay as they are."""
    return f"if True:\n{source}" if source[:1].isspace() else source
