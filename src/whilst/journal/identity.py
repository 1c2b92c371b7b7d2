"""Which input is this? The one with the same content, or the same key, as the one in the journal.

Content is compared in a canonical form: JSON with the keys in order, tagged where JSON would take two types for one
(`1`, `"1"`, `1.0` and `True` differ, so do a list and a tuple). Equal inputs are told apart by their occurrence: the
first, the second and so on, in the order of the source.
"""

from __future__ import annotations

import dataclasses
import enum
from _blake2 import blake2b  # hashlib is that and OpenSSL, which takes 5 ms to load
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..core.outcome import short
from ..errors import Unstorable
from .tagged import NoTagError, encode, json_of

DIGEST = 16  # bytes; of these 124 bits are kept
_INT, _STR = {int}, {str}
_BASES = (str, int, float, bytes, list, dict)
KEY_MASK = (1 << 60) - 1  # a Python int of 60 bits takes 32 bytes, one of 64 takes 48


def canonical(value: Any) -> bytes:
    """Return the canonical form of a value; NoTagError if it has none.

    >>> canonical({"b": 1, "a": 1.0}), canonical((1, "1")) == canonical([1, "1"])
    (b'{"a":1.0,"b":1}', False)
    """
    return encode(value, ordered=True, opaque=_object)


def digest_of(form: bytes) -> bytes:
    """Return the digest of a canonical form."""
    return blake2b(form, digest_size=DIGEST).digest()


def nth_digest(first: bytes, occurrence: int) -> bytes:
    """Return the digest of a later occurrence (from 1) of a content that was there before."""
    return blake2b(first + occurrence.to_bytes(8, "little"), digest_size=DIGEST).digest()


class Identity:
    """Finds digest and JSON text of an input, once, before the function may change it."""

    def __init__(self, key: Callable[[Any], Any] | None = None, view: Callable[[Any], Any] | None = None) -> None:
        self._key = key
        self._view = view

    def of_all(self, items: Sequence[Any]) -> tuple[list[bytes], list[bytes], dict[int, Exception]]:
        """Return digests of inputs, before their occurrence is counted in, and their JSON; what failed, by place.

        Both lists leave out the inputs that failed: for want of a canonical form (Unstorable), or because `key` did.
        """
        if self._key is None and self._view is None:
            kinds = set(map(type, items))
            if kinds == _INT or (kinds == _STR and all(map(str.isascii, items))):  # much the most frequent
                plain = list(map(json_of, items))
                return [blake2b(text, digest_size=DIGEST).digest() for text in plain], plain, {}
        digests: list[bytes] = []
        texts: list[bytes] = []
        failed: dict[int, Exception] = {}
        for place, item in enumerate(items):
            try:
                form, text = self._of(item)
            except Exception as error:  # `key` and the input's own methods are code of the user's
                failed[place] = error
            else:
                digests.append(digest_of(form))
                texts.append(text)
        return digests, texts, failed

    def _of(self, item: Any) -> tuple[bytes, bytes]:
        """Return what an input is known by, and the input as JSON, with its keys in the order in which they came."""
        if self._view is not None:
            item = self._view(item)
        if self._key is not None:
            return _canonical_or_refused(self._key(item), "key", item), _as_text(item)
        form = _canonical_or_refused(item, "input", item)
        return form, encode(item, opaque=_object) if type(item) in (dict, list) else form


def _canonical_or_refused(value: Any, role: str, item: Any) -> bytes:
    try:
        return encode(value, ordered=True, opaque=_object)
    except (NoTagError, RecursionError) as error:
        part = getattr(error, "part", value)
        what = f"an input cannot be told from others: {short(item, 60)}"
        evidence = "it is nested too deep, or contains itself"
        if isinstance(error, NoTagError):
            evidence = f"the journal knows no canonical form of a {type(part).__qualname__}: {short(part, 60)}"
        if role == "key":
            evidence = f"key= gave {short(value, 60)}; {evidence}"
        raise Unstorable(
            what, evidence, remedy="Journal(…, key=lambda item: …) that gives a string or a number for each input"
        ) from None


def _as_text(item: Any) -> bytes:
    """Return an input as JSON, or its repr: what identifies it is its key."""
    try:
        return encode(item, opaque=_object)
    except (NoTagError, RecursionError):
        return json_of({"$": "object", "v": short(item, 2000).encode("utf-8", "backslashreplace").decode()})


def _object(part: Any, of: Callable[[Any], Any]) -> Any:
    """Return a tree for objects that are told by their class and fields."""
    kind: Any = type(part)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(part, enum.Enum):
        fields: Any = {"name": part.name}
    elif isinstance(part, msgspec.Struct):
        fields = {name: of(getattr(part, name)) for name in part.__struct_fields__}
    elif hasattr(kind, "__dataclass_fields__"):
        fields = {field.name: of(getattr(part, field.name)) for field in dataclasses.fields(part)}
    elif isinstance(part, tuple):
        fields = _fields_of(part, of)  # pyright: ignore[reportUnknownArgumentType]
    elif issubclass(kind, _BASES):
        base: Any = next(each for each in _BASES if issubclass(kind, each))
        fields = of(base(part))
    elif hasattr(kind, "__fspath__"):
        fields = of(part.__fspath__())
    else:
        raise NoTagError(part)
    return {"$": "object", "class": f"{kind.__module__}.{kind.__qualname__}", "v": fields}


def _fields_of(part: tuple[Any, ...], of: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the fields of a named tuple, or the places of what is derived from a plain one."""
    names = getattr(part, "_fields", None) or map(str, range(len(part)))
    return {name: of(each) for name, each in zip(names, part, strict=True)}
