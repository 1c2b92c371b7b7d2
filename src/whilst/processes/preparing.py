"""What makes a worker like its parent: where modules are found, which program it is of, the variables of the caller.

A script's `__main__` is imported again, under the name `__mp_main__` as with multiprocessing, but only when something
that is defined there is asked for.
"""

from __future__ import annotations

import contextvars
import os
import pickle
import sys
import warnings
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final, NamedTuple

from ..remote.codec import dumps, is_main_lost

KNOWN: Final = 256  # context variables whose modules are remembered
USUAL: Final = {"": 30}  # levels of loggers that nobody has set


Variables = list[tuple[str, str, bytes]]


class Preparation(NamedTuple):
    """What a worker is told first."""

    path: list[str]
    argv: list[str]
    main: tuple[str, str]
    """How `__main__` is imported again: ("module", name), ("path", file), or two empty strings: not at all."""
    name: str
    """Of the run, for messages."""
    levels: dict[str, int]
    """Of the loggers that have one of their own."""
    run: bytes
    """What tells the run from others."""
    variables: Variables
    """The context variables of the caller that can be sent: module, name, value."""
    filters: list[bytes]
    """What is done with warnings, each rule encoded by itself."""


def preparation(name: str, context: contextvars.Context, run: bytes = b"") -> bytes:
    """Describe this process to its workers."""
    here = Preparation(list(sys.path), list(sys.argv), _main(), name, _levels(), run, variables_of(context), _filters())
    return pickle.dumps(tuple(here), 5)


def become(told: bytes | memoryview) -> tuple[Preparation, contextvars.Context]:
    """Make this process, a worker, like its parent; return what it was told and the context for its calls.

    The values of variables are unpickled here, which may import anything.
    """
    given = Preparation(*pickle.loads(told))
    sys.path[:] = given.path
    sys.argv[:] = given.argv
    if given.main[0]:
        sys.modules["__main__"] = sys.modules["__mp_main__"] = _Main(*given.main)
    if given.levels != USUAL:
        import logging

        for name, level in given.levels.items():
            logging.getLogger(name or None).setLevel(level)
    context = contextvars.copy_context()
    context.run(set_variables, given.variables)
    return given, context


def variables_of(context: contextvars.Context) -> Variables:
    """Return the context variables that can be sent: those of modules, with values that can be pickled."""
    found: Variables = []
    for variable, value in context.items():
        home = None if variable.name.startswith("whilst_") else _home(variable)
        if home is not None and home[0]:
            try:
                found.append((*home, dumps(value)))
            except Exception:  # as with any value that cannot be sent; nobody has asked for it
                continue
    return found


def set_variables(variables: Variables) -> None:
    """Set context variables, here and now, as they were where the call was asked for."""
    for module, name, data in variables:
        try:
            __import__(module)
            variable: ContextVar[Any] = getattr(sys.modules[module], name)
            variable.set(pickle.loads(data))
        except Exception:  # it does not travel, as others do not
            continue


def set_filters(filters: list[bytes]) -> None:
    """Have done with warnings what the parent does; after the imports, as the parent's were over when it said so."""
    found: list[Any] = []
    for data in filters:
        try:
            found.append(pickle.loads(data))
        except Exception:  # of a category that is not there: no such warning comes either
            continue
    rules: list[Any] = list(warnings.filters)
    if found != rules:
        warnings.filters[:] = found  # type: ignore[index] # pyright: ignore[reportIndexIssue]
        with warnings.catch_warnings():
            pass  # behind which each warning is looked up anew


def is_importing_main() -> bool:
    """Whether this is a worker that imports the program's `__main__` in this moment."""
    return _Main.importing


class _Main(ModuleType):
    """Stands in for the parent's `__main__` until something in there is asked for."""

    importing = False

    def __init__(self, how: str, where: str) -> None:
        super().__init__("__mp_main__")
        self.__dict__["_origin"] = how, where
        self.__dict__["_found"] = False

    def __getattr__(self, name: str) -> Any:
        if self.__dict__["_found"] or _Main.importing or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"module '__main__' has no attribute {name!r}")
        how, where = self.__dict__["_origin"]
        _Main.importing = True
        try:
            import runpy

            if how == "module":
                found = runpy.run_module(where, run_name="__mp_main__", alter_sys=True)
            else:
                found = runpy.run_path(where, run_name="__mp_main__")
        finally:
            _Main.importing = False
            sys.modules["__main__"] = sys.modules["__mp_main__"] = self
        self.__dict__.update(found)
        self.__dict__["_found"] = True
        return getattr(self, name)


def _main() -> tuple[str, str]:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if isinstance(main, _Main):
        origin: tuple[str, str] = main.__dict__["_origin"]
        return origin
    file = getattr(main, "__file__", None)
    if spec is not None and spec.name == "__main__" and isinstance(file, str):  # a folder or an archive that is run
        return "path", os.path.dirname(os.path.abspath(file))
    if spec is not None and spec.name:
        return "module", spec.name
    if is_main_lost() or not isinstance(file, str):
        return "", ""
    return "path", os.path.abspath(file)


def _levels() -> dict[str, int]:
    import logging

    known = logging.root.manager.loggerDict
    levels = {name: each.level for name, each in known.items() if isinstance(each, logging.Logger) and each.level}
    return {"": logging.root.level, **levels}


def _filters() -> list[bytes]:
    found: list[bytes] = []
    for rule in tuple(warnings.filters):
        try:
            found.append(dumps(rule))
        except Exception:  # of a category that cannot be sent, and its warnings cannot either
            continue
    return found


def _home(variable: ContextVar[Any]) -> tuple[str, str]:
    """Return the module and the name there of a variable; empty strings if it is no module's own."""
    found = _homes.get(variable)
    if found is None:
        found = "", ""
        for name, module in list(sys.modules.items()):
            names: dict[str, Any] = vars(module) if isinstance(module, ModuleType) else {}
            key = next((key for key, value in list(names.items()) if value is variable), None)
            if key is not None and name != "__mp_main__":
                found = name, key
                break
        if len(_homes) >= KNOWN:
            _homes.clear()
        _homes[variable] = found
    return found


_homes: dict[ContextVar[Any], tuple[str, str]] = {}
