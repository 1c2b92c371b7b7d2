"""What does a value, or a class, hold that can be looked into: fields, functions, a content?

Nothing of the user's is run for it: some objects answer to any name.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
from collections.abc import Collection, Iterator
from typing import Any, cast

import msgspec

from .identity import canonical, digest_of
from .names import Space, is_own_space, place_in
from .tagged import NoTagError

MOST_VALUES = 100_000  # in one value; what holds more, or longer text than this many bytes, is not looked into
MOST_BYTES = 16 * 1024 * 1024


def fields_of(thing: object) -> dict[str, bool] | None:
    """Return the declared fields of an object, and whether each counts; None if it declares none."""
    kind: Any = type(thing)
    if hasattr(kind, "__dataclass_fields__"):
        return {field.name: bool(field.compare) for field in dataclasses.fields(cast("Any", thing))}
    if isinstance(thing, msgspec.Struct):
        return dict.fromkeys(thing.__struct_fields__, True)
    attrs = getattr(kind, "__attrs_attrs__", None)
    if attrs is not None:
        return {each.name: bool(each.eq) for each in attrs}
    model = getattr(kind, "model_fields", None) if hasattr(kind, "__pydantic_validator__") else None
    return dict.fromkeys(cast("dict[str, Any]", model), True) if isinstance(model, dict) else None


def attributes_of(thing: Any) -> dict[str, bool]:
    """Return the attributes of an object, and whether each is public."""
    names = list(getattr(thing, "__dict__", ()))
    for each in type(thing).__mro__:
        slots = vars(each).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    names = [name for name in dict.fromkeys(names) if name not in ("__dict__", "__weakref__")]
    return {name: not name.startswith("_") for name in names}


def content_digest(value: Any) -> str:
    """Return the digest of a value that has a content and is no larger than what is looked into."""
    left = [MOST_VALUES]
    if not _is_bounded(value, left, 0):
        return ""
    try:
        return _short(digest_of(canonical(value)))
    except (NoTagError, RecursionError, ValueError):
        return ""


def digest_in_short(content: Any) -> str:
    """Return the digest of what is written of something: names and lists."""
    return _short(digest_of(ascii(content).encode()))


def is_own_class(kind: type) -> bool:
    """Whether a class is of a module of the user's."""
    if kind.__module__ == "builtins":
        return False
    space = space_of(kind)
    return bool(space) and is_own_space(space)


def has_own_class(thing: object) -> bool:
    """Whether the class of a thing is of a module of the user's."""
    return is_own_class(type(thing))


def static_attribute(thing: Any, name: str) -> Any:
    """Return an attribute without running code of the thing: some answer to any name."""
    return inspect.getattr_static(thing, name, None)


def functions_of(kind: type) -> Iterator[types.FunctionType]:
    """Give the functions that a class is made of."""
    for value in list(vars(kind).values()):
        yield from functions_in(value)


def functions_in(value: Any) -> Iterator[types.FunctionType]:
    """Give the functions that an entry of a class is, or is made of."""
    if isinstance(value, (staticmethod, classmethod)):
        value = cast("Any", value).__func__
    several = (value.fget, value.fset) if isinstance(value, property) else (getattr(value, "func", None), value)
    for each in several:
        function = inspect.unwrap(each) if callable(each) else None
        if isinstance(function, types.FunctionType):
            yield function


def space_of(kind: type) -> Space:
    """Return the module of a class, as its functions have it: its own ones, not those that it was given (enum)."""
    found = next((it for it in functions_of(kind) if it.__globals__.get("__name__") == kind.__module__), None)
    if found is not None:
        return found.__globals__
    module = sys.modules.get(kind.__module__)
    return vars(module) if module is not None else {}


def place_of(functions: list[types.FunctionType]) -> str:
    """Return where the first of several functions is written."""
    code = functions[0].__code__ if functions else None
    return place_in(code.co_filename, code.co_firstlineno) if code is not None else ""


def _is_bounded(value: Any, left: list[int], depth: int) -> bool:
    left[0] -= 1
    if left[0] < 0 or depth > 100:
        return False
    if isinstance(value, (str, bytes, bytearray)):
        return len(value) <= MOST_BYTES
    if isinstance(value, dict):
        fields = cast("dict[object, object]", value)
        return len(fields) <= left[0] and all(
            _is_bounded(part, left, depth + 1) for pair in fields.items() for part in pair
        )
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = cast("Collection[object]", value)
        return len(parts) <= left[0] and all(_is_bounded(part, left, depth + 1) for part in parts)
    return True


def _short(digest: bytes) -> str:
    return digest[:10].hex()
