"""Runs a script or a module as Python itself would: as `__main__`, with its own arguments, path and tracebacks."""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import pkgutil
import sys
import zipfile
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any


class NoProgram(Exception):
    """There is nothing to run."""


class Program:
    """What is to be run; making it finds out whether it is there."""

    def __init__(self, name: str, arguments: Sequence[str], *, module: bool) -> None:
        self.name = name
        self._arguments = list(arguments)
        self._module = module
        self._is_container = not module and (os.path.isdir(name) or zipfile.is_zipfile(name))
        if not module and not os.path.exists(name):
            raise NoProgram(f"there is no file {name}")
        if self._is_container and os.path.isdir(name) and not os.path.exists(os.path.join(name, "__main__.py")):
            raise NoProgram(f"{name} is a directory without a __main__.py")

    def run(self) -> None:
        """Run it to its end, whatever that raises; a traceback begins in the program."""
        sys.argv[:] = [self.name, *self._arguments]
        main = ModuleType("__main__")
        main.__dict__.update(__builtins__=builtins, __annotations__={}, __spec__=None, __package__=None)
        _set_first_path("" if self._module else os.path.dirname(os.path.realpath(self.name)))
        if self._module or self._is_container:
            code = self._find(main)
        else:
            code = _read(os.path.abspath(self.name))
            main.__dict__.update(
                __file__=os.path.abspath(self.name), __loader__=SourceFileLoader("__main__", self.name), __cached__=None
            )
        sys.modules["__main__"] = main
        exec(code, main.__dict__)

    def _find(self, main: ModuleType) -> CodeType:
        if self._is_container:
            _set_first_path(os.path.abspath(self.name))
            spec = PathFinder.find_spec("__main__", [self.name])
        else:
            sys.path[0] = os.getcwd()
            spec = _spec_of(self.name)
            if self.name == "pytest":  # it warns of a plugin that is loaded before it, unless its docstring says so
                whilst = sys.modules[__name__.partition(".")[0]]
                whilst.__doc__ = f"{whilst.__doc__}\nPYTEST_DONT_REWRITE"
        if spec is None:
            raise NoProgram(f"{self.name} has no __main__.py")
        loader: Any = spec.loader
        code = loader.get_code(spec.name)
        if code is None:
            raise NoProgram(f"{spec.name} has no code to run")
        main.__dict__.update(
            __file__=spec.origin, __loader__=loader, __cached__=spec.cached, __package__=spec.parent,
            __spec__=None if self._is_container else spec,
        )  # fmt: skip
        if not self._is_container:
            sys.argv[0] = spec.origin or self.name
        return code  # type: ignore[no-any-return]


def _spec_of(name: str) -> ModuleSpec:
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(name + ".__main__")
            if spec is None:
                raise NoProgram(f"{name} is a package that cannot be run: it has no {name}.__main__")
    except ModuleNotFoundError as error:
        raise NoProgram(f"there is no module {error.name}") from None
    except (ImportError, AttributeError, ValueError) as error:
        raise NoProgram(f"module {name} cannot be found: {error}") from None
    if spec is None or not hasattr(spec.loader, "get_code"):
        raise NoProgram(f"there is no module {name}")
    return spec


def _read(name: str) -> CodeType:
    with io.open_code(name) as file:
        text = file.read()
    if text[:2] != b"#!" and name.endswith(".pyc"):
        return pkgutil.read_code(io.BytesIO(text))  # type: ignore[no-any-return]
    return compile(text, name, "exec", dont_inherit=True)


def _set_first_path(folder: str) -> None:
    """Replace what the command line's own start has put in front of the path."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def show(error: BaseException) -> None:
    """Have what ended the program printed as ever, by the program's own hook, without the frames above it."""
    trace = error.__traceback__
    ours = os.path.dirname(os.path.abspath(__file__)) + os.sep
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(ours):
        trace = trace.tb_next
    _call_hook(type(error), error.with_traceback(trace), trace)


def _call_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    try:
        sys.excepthook(kind, error, trace)
    except Exception:
        sys.__excepthook__(kind, error, trace)
