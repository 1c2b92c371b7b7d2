"""Is a function async, blocking, or unknown until it is called? And what is it called in messages?"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeGuard


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling `fn` is known to give a coroutine; what cannot be known counts as blocking.

    >>> import functools
    >>> async def fetch(a, b): ...
    >>> is_async(functools.partial(fetch, 1)), is_async(len), is_async(lambda x: fetch(x, x))
    (True, False, False)
    """
    bare = _unwrapped(fn)
    if _is_plain(bare):
        return bool(bare.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(bare) or inspect.iscoroutinefunction(_call_method(bare))


def is_generator_function(fn: Callable[..., Any]) -> bool:
    """Whether one call of `fn` gives many outputs (a generator of either colour)."""
    bare = _unwrapped(fn)
    if _is_plain(bare):
        return bool(bare.__code__.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR))
    return any(inspect.isgeneratorfunction(it) or inspect.isasyncgenfunction(it) for it in (bare, _call_method(bare)))


def has_parameters(fn: Callable[..., Any]) -> bool:
    """Whether it can be seen at a glance that a function takes something by place; most do."""
    return type(fn) is types.FunctionType and fn.__code__.co_argcount > 0


def needs_several(fn: Callable[..., Any]) -> bool:
    """Whether it can be seen at a glance that a function needs more than one argument by place."""
    return type(fn) is types.FunctionType and fn.__code__.co_argcount - len(fn.__defaults__ or ()) > 1


def has_method(thing: object, name: str) -> bool:
    """Whether the class of `thing` has a special method, the way the interpreter looks for it."""
    return hasattr(type(thing), name)


def is_async_generator_function(fn: Callable[..., Any]) -> bool:
    """Whether calling `fn` gives an async generator."""
    bare = _unwrapped(fn)
    return any(inspect.isasyncgenfunction(it) for it in (bare, _call_method(bare)))


def name_of(fn: Callable[..., Any]) -> str:
    """Return what a reader would call `fn`: its qualified name without `<locals>`, else its class."""
    bare = _unwrapped(fn)
    name = getattr(bare, "__qualname__", None) or getattr(bare, "__name__", None)
    if not isinstance(name, str):
        return type(bare).__name__
    return name.rpartition("<locals>.")[2]


def place_of(fn: Callable[..., Any]) -> str:
    """Return `file.py line 12` where `fn` is defined, or an empty string for what has no source."""
    code = getattr(inspect.unwrap(_unwrapped(fn)), "__code__", None)
    if not isinstance(code, types.CodeType):
        return ""
    return f"{code.co_filename.rpartition('/')[2]} line {code.co_firstlineno}"


def _unwrapped(fn: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def _is_plain(fn: Callable[..., Any]) -> TypeGuard[types.FunctionType]:
    """Whether the flags of its code tell all: it is a function, and nobody has marked it as something else."""
    return type(fn) is types.FunctionType and not fn.__dict__


def _call_method(fn: Callable[..., Any]) -> Any:
    if inspect.isclass(fn) or inspect.isroutine(fn):
        return None
    return getattr(type(fn), "__call__", None)  # noqa: B004 - the method itself is wanted
