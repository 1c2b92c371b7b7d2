"""Describes what is public as text: the names of the API with their signatures, the command line with its flags.

`python tests/public/snapshots.py` writes both files anew; the difference is for a person to look at.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic

import click

import whilst

HERE = Path(__file__).parent
INSIDE = ("http.aio", "journal", "demo.pokeapi")  # public modules that are imported by their own names
MODULES = ("whilst", *(f"whilst.{name}" for name in sorted((*whilst._MODULES, *INSIDE))))
WIDE = 90  # characters of parameters on one line
FORWARD = re.compile(r"ForwardRef\(['\"](.*?)['\"](?:, .*?)?\)")
SHOWN = {"__iter__", "__aiter__", "__await__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__call__"}


def api() -> str:
    """Return the public names, a line each, the members of a class under it."""
    lines: list[str] = []
    for name in MODULES:
        module = importlib.import_module(name)
        lines += [f"# {name}", *_of_module(module), ""]
    return "\n".join(lines)


def command_line() -> str:
    """Return the commands, with what each takes and what its help says."""
    from whilst.cli.main import COMMANDS, group

    lines: list[str] = [f"# whilst: {_first_line(group.help)}", *_parameters(group), ""]
    for name in COMMANDS:
        command = group.get_command(click.Context(group, **group.context_settings), name)  # type: ignore[attr-defined]
        lines += [f"# whilst {name}: {_first_line(command.help)}", *_parameters(command), ""]
    return "\n".join(lines)


def _of_module(module: Any) -> Iterator[str]:
    names = getattr(module, "__all__", None) or [it for it in vars(module) if not it.startswith("_")]
    for name in sorted(names):
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            if f"{module.__name__}.{name}" in MODULES:
                yield f"module {name}"
        elif inspect.isclass(thing):
            yield from _of_class(name, thing)
        elif callable(thing) and _is_ours(thing):
            yield f"{_kind(thing)} {name}{_signature(thing)}"


def _is_ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).startswith("whilst")


def _of_class(name: str, kind: type) -> Iterator[str]:
    if not _is_ours(kind):
        return
    bases = ", ".join(base.__name__ for base in kind.__bases__ if _is_said(base))
    plain = issubclass(kind, enum.Enum) or (issubclass(kind, Exception) and "__init__" not in vars(kind))
    made = "" if plain else _signature(kind)
    yield f"class {name}{made}{f'  of {bases}' if bases else ''}"
    for member, line in sorted(_members(kind)):
        yield f"    {line.format(member)}"


def _is_said(base: type) -> bool:
    """Whether a base matters to users: an error that they may catch, a protocol; not a part of ours."""
    public = base.__name__ in {name for it in MODULES for name in getattr(importlib.import_module(it), "__all__", ())}
    return base not in (object, Generic) and not base.__name__.startswith("_") and (public or not _is_ours(base))


def _members(kind: type) -> Iterator[tuple[str, str]]:
    """Give public members of a class, and of those of its bases that are ours and not public themselves."""
    seen: set[str] = set()
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    for owner in kind.__mro__:
        if not _is_ours(owner):
            continue
        for name, thing in vars(owner).items():
            if name in seen or (name.startswith("_") and name not in SHOWN) or name in fields:
                continue
            seen.add(name)
            if isinstance(thing, property):
                yield name, "{}: " + _plain(inspect.signature(thing.fget).return_annotation)  # type: ignore[arg-type]
            elif isinstance(thing, (classmethod, staticmethod)):
                yield name, f"{type(thing).__name__} {{}}{_signature(getattr(kind, name))}"
            elif inspect.isfunction(getattr(kind, name)) and not _is_refusal(name, thing):
                yield name, f"{_kind(thing)} {{}}{_signature(getattr(kind, name))}"
        for name, annotation in inspect.get_annotations(owner).items():
            if not name.startswith("_") and name not in seen and name not in fields:
                seen.add(name)
                yield name, "{}: " + _plain(annotation)


def _is_refusal(name: str, thing: Any) -> bool:
    """Whether it only says what would work, to who takes the object for another library's (see core/habits)."""
    return name in SHOWN and inspect.signature(thing).return_annotation == "NoReturn"


def _kind(thing: Any) -> str:
    return "async def" if inspect.iscoroutinefunction(thing) or inspect.isasyncgenfunction(thing) else "def"


def _signature(thing: Any) -> str:
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(…)"
    parts: list[str] = []
    starred = False
    before: Any = None
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        if before is parameter.POSITIONAL_ONLY and parameter.kind is not before:
            parts.append("/")
        before = parameter.kind
        starred = starred or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.name != "self":
            parts.append(_parameter(parameter))
    back = "" if signature.return_annotation is signature.empty else f" -> {_plain(signature.return_annotation)}"
    inside = ", ".join(parts)
    if len(inside) > WIDE:
        inside = "".join(f"\n        {part}," for part in parts)
    return f"({inside}){'' if inspect.isclass(thing) else back}"


def _parameter(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    annotation = "" if parameter.annotation is parameter.empty else f": {_plain(parameter.annotation)}"
    return f"{star}{parameter.name}{annotation}{_default(parameter.default)}"


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return ""
    if callable(value):
        return f" = {getattr(value, '__name__', '…')}"
    text = repr(value)
    return f" = {'…' if ' at 0x' in text or text.startswith('<') else text}"


def _plain(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation.strip("'\"")
    text = getattr(annotation, "__name__", "") if isinstance(annotation, type) else str(annotation)
    return FORWARD.sub(r"\1", text or str(annotation))


def _parameters(command: click.Command) -> Iterator[str]:
    lines = [_option(it) for it in command.params]
    yield from (f"    {line}" for line in lines)


def _option(parameter: click.Parameter) -> str:
    kind = parameter.type
    taken = ""
    if isinstance(parameter, click.Option) and not parameter.is_flag:
        taken = " " + ("|".join(kind.choices) if isinstance(kind, click.Choice) else parameter.metavar or kind.name)
    if isinstance(parameter, click.Argument):
        return f"{parameter.metavar or parameter.human_readable_name}{' …' if parameter.nargs != 1 else ''}"
    names = "/".join(
        [", ".join(parameter.opts), *[", ".join(parameter.secondary_opts)] * bool(parameter.secondary_opts)]
    )
    more = " (again and again)" if parameter.multiple else ""
    return f"{names}{taken}{more}: {' '.join((getattr(parameter, 'help', '') or '').split())}"


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""


if __name__ == "__main__":
    (HERE / "api.txt").write_text(api(), encoding="utf-8")
    (HERE / "command-line.txt").write_text(command_line(), encoding="utf-8")
