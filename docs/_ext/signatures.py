"""How is a callable written, with its parameters, and which parts of it has a class?"""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

WIDTH = 78


def signature_of(name: str, thing: Any) -> str:
    """Return `name(parameters) -> what`, on lines of their own where one would be too long.

    >>> def add(a: int, b: "int" = 2) -> int: ...
    >>> signature_of("add", add)
    'add(a: int, b: int = 2) -> int'
    """
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return f"{name}(…)"
    parts = list(_parameters(signature))
    returned = signature.return_annotation
    end = "" if returned is inspect.Signature.empty or inspect.isclass(thing) else f" -> {_annotation(returned)}"
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){end}"])


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    named, kind = False, inspect.Parameter
    given = [it for it in signature.parameters.values() if it.name not in ("self", "cls")]
    for at, parameter in enumerate(given):
        if parameter.kind is kind.KEYWORD_ONLY and not named:
            named = True
            yield "*"
        if parameter.kind is kind.VAR_KEYWORD and (options := _options(parameter.annotation)):
            if not named:
                yield "*"
            yield from options
            continue
        named = named or parameter.kind is kind.VAR_POSITIONAL
        yield _parameter(parameter)
        following = given[at + 1].kind if at + 1 < len(given) else None
        if parameter.kind is kind.POSITIONAL_ONLY and following is not kind.POSITIONAL_ONLY:
            yield "/"


def _options(annotation: Any) -> list[str]:
    """Return the keys of the TypedDict that `**options: Unpack[…]` names, or nothing."""
    name = _annotation(annotation)
    if not name.startswith(("Unpack[", "typing.Unpack[", "typing_extensions.Unpack[")):
        return []
    from whilst import arguments, mapping

    short = name.partition("[")[2].rstrip("]").rpartition(".")[2].split("[")[0]
    found = getattr(mapping, short, None) or getattr(arguments, short, None)
    keys = {} if found is None else inspect.get_annotations(found)
    return [f"{key}: {_annotation(it)}" for key, it in keys.items()]


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = stars + parameter.name
    typed = parameter.annotation is not parameter.empty
    if typed:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        equals = " = " if typed else "="
        text += f"{equals}{_default(parameter.default)}"
    return text


def _default(value: Any) -> str:
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else repr(value)


def _annotation(annotation: Any) -> str:
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        return annotation.strip("'\"")
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def members_of(cls: type) -> dict[str, Any]:
    """Return the public methods and properties of a class, also those inherited from private classes of ours."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("whilst"):
            continue
        own = {name: _plain(cls, name, it) for name, it in vars(base).items() if not name.startswith("_")}
        found.update({name: it for name, it in own.items() if _is_member(it)})
    return found


def _plain(cls: type, name: str, found: Any) -> Any:
    """Return the function behind a descriptor of ours that gives one; anything else as it is."""
    got = getattr(cls, name, found) if type(found).__module__.startswith("whilst") else found
    return got if inspect.isfunction(got) else found


def _is_member(thing: Any) -> bool:
    return isinstance(thing, (property, staticmethod, classmethod)) or inspect.isfunction(thing)


def fields_of(cls: type) -> dict[str, tuple[str, str]]:
    """Return the annotated public attributes of a class, each with its type and what stands beside it."""
    found: dict[str, tuple[str, str]] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("whilst"):
            found.update(_fields(base))
    return found


def _fields(cls: type) -> Iterator[tuple[str, tuple[str, str]]]:
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):
        return
    lines = source.splitlines()
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    for at, node in enumerate(body.body):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name = node.target.id
        if name.startswith("_"):
            continue
        following = body.body[at + 1] if at + 1 < len(body.body) else None
        yield name, (ast.unparse(node.annotation), _beside(lines, node, following))


def _beside(lines: list[str], node: ast.stmt, following: ast.stmt | None) -> str:
    """Return the text under a field, or the comment after it."""
    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
        return inspect.cleandoc(str(following.value.value))
    rest = lines[(node.end_lineno or node.lineno) - 1][node.end_col_offset or 0 :]
    return rest.partition("#")[2].lstrip(": ").strip()
