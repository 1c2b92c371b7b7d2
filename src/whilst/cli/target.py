"""Which function does TARGET mean? `module:name` or `file.py:name`; the name may be dotted."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import ModuleType
from typing import Any

import msgspec

from ..core.colour import is_generator_function, name_of, place_of
from ..core.described import described
from ..core.outcome import an
from ..flow import Flow
from ..io.refusal import closest
from . import collector
from .messages import Problem, short, users_frames

MOST_FILES = 50  # files of the directory that are looked into


class Target(msgspec.Struct, frozen=True):
    """A function, and what messages call it."""

    fn: Callable[..., Any]
    given: str

    @property
    def name(self) -> str:
        """Return the function's own name; a flow's is the one it was given."""
        return self.given.rpartition(":")[2] if isinstance(self.fn, Flow) else name_of(self.fn)

    @property
    def place(self) -> str:
        """Return `jobs.py line 12`, or what was given when the function has no source."""
        return ("" if isinstance(self.fn, Flow) else place_of(self.fn)) or self.given


def load_target(given: str) -> Target:
    """Import what TARGET names; Problem says what is wrong with it."""
    where, colon, name = given.rpartition(":")
    if not colon or not where or not name:
        raise _without_name(given)
    with suppress(FileNotFoundError):  # the directory was removed; what else can be imported still can
        _make_importable(os.getcwd())
    collector.take_up()  # what is loaded next is the user's
    is_file = where.endswith(".py")
    module = _load_file(where, name) if is_file else _load_module(where, name)
    fn = _attribute(module, where, name)
    if not callable(fn):
        raise Problem(
            f"{given} is not a function",
            f"it is {an(type(fn).__name__)}: {short(repr(fn), 60)}",
            remedy=_suggest(where, name, _functions(module)),
        )
    if is_generator_function(fn):
        raise Problem(
            f"{name}() is a generator function: one input gives many outputs",
            f"{place_of(fn)}; map gives one value for one input",
            remedy=f"a function that returns list({name}(x))",
        )
    return Target(fn, given)


def _load_file(path: str, name: str) -> ModuleType:
    if not os.path.isfile(path):
        folder = os.path.dirname(path) or "."
        here = sorted(it for it in _listing(folder) if it.endswith(".py"))
        close = closest(os.path.basename(path), here)
        likely = os.path.join(os.path.dirname(path), close) if close else ""
        raise Problem(
            f"there is no file {path}",
            f"looked in {os.path.abspath(folder)}" + (f", which has {_some(here)}" if here else ""),
            remedy=f"whilst map {likely}:{name}" if likely else "",
        )
    _make_importable(os.path.dirname(os.path.abspath(path)))
    stem = os.path.splitext(os.path.basename(path))[0]
    known = stem in sys.modules or stem in sys.stdlib_module_names
    spec = importlib.util.spec_from_file_location(f"_{stem}_" if known else stem, path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _import_failed(path, error, f"python {path}") from None
    return module


def _load_module(where: str, name: str) -> ModuleType:
    if where.startswith(".") or where.endswith(os.sep):  # which Python takes for a relative import, or for a folder
        raise _no_module(where, name)
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is not None and (where == error.name or where.startswith(error.name + ".")):
            raise _no_module(where, name) from None
        raise _import_failed(where, error, f'python -c "import {where}"') from None
    except (Exception, SystemExit) as error:
        raise _import_failed(where, error, f'python -c "import {where}"') from None


def _attribute(module: ModuleType, where: str, name: str) -> Any:
    found: Any = module
    seen = where
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            close = closest(part, dir(found))
            fixed = name.replace(part, close, 1) if close else ""
            functions = _functions(found)
            raise Problem(
                f"{seen} has no {part}",
                f"its functions are {_some(functions)}" if functions else "it defines no functions",
                remedy=f"whilst map {where}:{fixed}" if fixed else _suggest(where, name, functions),
            ) from None
        seen = f"{where}:{part}" if seen == where else f"{seen}.{part}"
    return found


def _without_name(given: str) -> Problem:
    if given.startswith(":") and (name := given.strip(":")):
        homes = [it for it in sorted(_listing("."))[:MOST_FILES] if it.endswith(".py") and name in _defined_in(it)]
        remedy = f"whilst map {homes[0] if homes else 'FILE.py'}:{name}"
        return Problem(
            f"{given!r} does not say where {name} is", "TARGET is module:name or file.py:name", remedy=remedy
        )
    where = given.strip(":")
    path = where if where.endswith(".py") else f"{where.replace('.', os.sep)}.py"
    functions = _defined_in(path)
    if not functions and "." in where and not where.endswith(".py"):
        module, _, name = where.rpartition(".")
        remedy = f"whilst map {module}:{name}"
    else:
        remedy = f"whilst map {where or 'jobs.py'}:{functions[0] if functions else 'NAME'}"
    return Problem(
        f"{given!r} does not name a function",
        f"{path} defines {_some(functions)}" if functions else "TARGET is module:name or file.py:name",
        remedy=remedy,
    )


def _no_module(where: str, name: str) -> Problem:
    here = sorted(it.removesuffix(".py") for it in _listing(".") if it.endswith(".py") or os.path.isdir(it))
    close = "" if where.endswith(os.sep) else closest(where, here)
    is_path = os.path.isfile(f"{where}.py") or (os.sep in where and bool(os.path.basename(where)))
    remedy = f"whilst map {close}:{name}" if close else f"whilst map {where}.py:{name}" if is_path else ""
    return Problem(
        f"there is no module {where}",
        f"looked in {_here()} and in the path of {sys.executable}",
        remedy=remedy,
    )


def _import_failed(what: str, error: BaseException, command: str) -> Problem:
    """Show the user's own error, and their frames only."""
    evidence = [
        f"{os.path.relpath(frame.filename)} line {frame.lineno}: {frame.line}"
        for frame in users_frames(error.__traceback__)[-5:]
    ]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        evidence.append(f"{os.path.relpath(error.filename)} line {error.lineno}: {(error.text or '').strip()}")
        text = f"SyntaxError: {error.msg}"
    elif isinstance(error, SystemExit):
        text = f"it calls sys.exit({error.code!r}) when imported; put that under `if __name__ == '__main__':`"
    else:
        text = short(described(error), 300)
    return Problem(f"{what} cannot be imported", *evidence, text, remedy=command)


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "a directory that was removed"


def _make_importable(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _functions(holder: object) -> list[str]:
    """Name the public functions that were defined there, not imported."""
    home = getattr(holder, "__module__", None) or getattr(holder, "__name__", None)
    return (
        [
            name
            for name, it in vars(holder).items()
            if not name.startswith("_") and callable(it) and getattr(it, "__module__", home) == home
        ]
        if hasattr(holder, "__dict__")
        else []
    )


def _defined_in(path: str) -> list[str]:
    """Name the functions a file defines, without running it."""
    try:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, ValueError, SyntaxError):
        return []
    functions = [it for it in tree.body if isinstance(it, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return [it.name for it in functions if not it.name.startswith("_")]


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _suggest(where: str, name: str, functions: list[str]) -> str:
    close = closest(name, functions) or next(iter(functions), "")
    return f"whilst map {where}:{close}" if close else ""


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
