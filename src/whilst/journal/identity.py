"""Which input is this? The one with the same content, or the same key, as the one in the journal.

Content is compared in a canonical form: JSON with the keys in order, tagged where JSON would take two types for one
(`1`, `"1"`, `1.0` and `True` differ, so do a list and a tuple). Equal inputs are told apart by their occurrence: the
first, the second and so on, in the order of the source.

What an input is known by are 124 bits, `key` and `rest`: of the digest of its canonical form, or, for an int that
fits, the number itself: that saves a digest, and a dict whose keys come in a row is three times as fast.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
import time
import warnings
from _blake2 import blake2b  # hashlib brings OpenSSL: a loop stood 4 ms longer at the first use of a journal
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from ..core.colour import name_of
from ..core.outcome import an, short
from ..core.secrets import encodable
from ..errors import Unstorable
from .tagged import NoTagError, each_as_json, encode, is_plain, json_of

MOMENT = 0.004  # seconds after which no further input is identified in this round of the loop
SLOW_KEY, ENOUGH = 0.001, 16  # seconds; how many such calls, of at most twice as many, are worth a warning
DIGEST = 16  # bytes; of these 124 bits are kept
KEY_MASK = (1 << 60) - 1  # a Python int of 60 bits takes 32 bytes, one of 64 takes 48
INT_REST = int.from_bytes(b"whilst:i", "little")  # the rest of an int that is its own key
_MOST, _LEAST = (1 << 59) - 1, -(1 << 59)
_INT, _STR, _CONTAINERS = {int}, {str}, {dict, list}
_BASES = (str, int, float, bytes, list, dict)


class Known(NamedTuple):
    """What inputs are known by and what they are as JSON, column by column, and the errors of those that are not.

    The columns leave out what failed; `failed` is by place among those that were looked at: the first so many.
    """

    keys: list[int]
    rests: list[int]
    texts: list[bytes]
    failed: dict[int, Exception]


def canonical(value: Any) -> bytes:
    """Return the canonical form of a value; NoTagError if it has none.

    >>> canonical({"b": 1, "a": 1.0}), canonical((1, "1")) == canonical([1, "1"])
    (b'{"a":1.0,"b":1}', False)
    """
    return encode(value, ordered=True, opaque=_object)


def digest_of(form: bytes) -> bytes:
    """Return the digest of a canonical form."""
    return blake2b(form, digest_size=DIGEST).digest()


def nth(key: int, rest: int, occurrence: int) -> tuple[int, int]:
    """Return what a later occurrence (from 1) of a content is known by, from what the first one is."""
    first = key.to_bytes(8, "little") + rest.to_bytes(8, "little")
    return _known_as(digest_of(first + occurrence.to_bytes(8, "little")))


class Identity:
    """Finds what inputs are known by, and their JSON text, once, before the function may change them."""

    def __init__(self, key: Callable[[Any], Any] | None = None, view: Callable[[Any], Any] | None = None) -> None:
        self._key = key
        self._view = view
        self._calls = self._slow = 0  # of `key`

    def of_some(self, items: list[Any]) -> Known:
        """Identify inputs, before their occurrence is counted in; of those that are slow, the first few.

        Some may fail: for want of a canonical form (Unstorable), or because `key` did.
        """
        known = _at_once(items) if self._key is None and self._view is None and items else None
        return known if known is not None else self._one_by_one(items)

    def _one_by_one(self, items: Sequence[Any]) -> Known:
        found, until = Known([], [], [], {}), time.perf_counter() + MOMENT
        for place, item in enumerate(items):
            if time.perf_counter() > until:
                break
            try:
                (key, rest), text = self._of(item)
            except Exception as error:  # `key` and the input's own methods are code of the user's
                found.failed[place] = error
            else:
                found.keys.append(key)
                found.rests.append(rest)
                found.texts.append(text)
        return found

    def _of(self, item: Any) -> tuple[tuple[int, int], bytes]:
        """Return what an input is known by, and the input as JSON, with its keys in the order in which they came."""
        if self._view is not None:
            item = self._view(item)
        if self._key is not None:
            began = time.perf_counter()
            key = self._key(item)
            self._watch(time.perf_counter() - began)
            return _known_by(key, _canonical_or_refused(key, "key", item)), _as_text(item)
        form = _canonical_or_refused(item, "input", item)
        return _known_by(item, form), encode(item, opaque=_object) if type(item) in (dict, list) else form

    def _watch(self, seconds: float) -> None:
        """Warn once of a key that takes long every time: the loop stands still for it."""
        self._calls += 1
        self._slow += seconds > SLOW_KEY
        if self._slow == ENOUGH and self._calls <= 2 * ENOUGH and self._key is not None:
            said = (
                f"Journal(key={name_of(self._key)}) takes {seconds * 1000:.0f} ms an input, and runs on the event "
                "loop, which stands still meanwhile\n"
                "  try: a key that only looks at the input; move slow work into the function"
            )
            with suppress(RuntimeWarning):  # where warnings are errors this is no place for one
                warnings.warn(said, RuntimeWarning, stacklevel=2)


def _at_once(items: list[Any]) -> Known | None:
    """Identify inputs that are ints, or else plain JSON, in a third of the time; None if they are neither."""
    kinds = set(map(type, items))
    if kinds == _INT and (least := min(items)) >= _LEAST and max(items) <= _MOST:
        keys = list(items) if least >= 0 else [item & KEY_MASK for item in items]
        return Known(keys, [INT_REST] * len(items), each_as_json(items), {})
    if int in kinds:
        return None
    try:
        if kinds != _STR and not is_plain(items):
            return None
        texts = each_as_json(items)
        forms = texts if _CONTAINERS.isdisjoint(kinds) else each_as_json(items, ordered=True)
    except (UnicodeEncodeError, RecursionError):  # text that is none, a list in itself: one of them fails alone
        return None
    digests = [blake2b(form, digest_size=DIGEST).digest() for form in forms]  # a call of `digest_of` is a tenth more
    return Known(*_halves(digests), texts, {})


def _known_by(value: Any, form: bytes) -> tuple[int, int]:
    if type(value) is int and _LEAST <= value <= _MOST:
        return value & KEY_MASK, INT_REST
    return _known_as(digest_of(form))


def _known_as(digest: bytes) -> tuple[int, int]:
    return int.from_bytes(digest[:8], "little") & KEY_MASK, int.from_bytes(digest[8:], "little")


def _halves(digests: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """Do for many what `_known_as` does for one."""
    numbers = array("Q", b"".join(digests))
    if sys.byteorder != "little":
        numbers.byteswap()
    return [key & KEY_MASK for key in numbers[::2]], numbers[1::2].tolist()


def _canonical_or_refused(value: Any, role: str, item: Any) -> bytes:
    try:
        return encode(value, ordered=True, opaque=_object)
    except (NoTagError, RecursionError) as error:
        part = getattr(error, "part", value)
        what = f"an input cannot be told from others: {short(item, 60)}"
        evidence = "it is nested too deep, or contains itself"
        if isinstance(error, NoTagError):
            evidence = f"the journal knows no canonical form of {an(type(part).__qualname__)}: {short(part, 60)}"
        if role == "key":
            evidence = f"key=… gave {short(value, 60)}; {evidence}"
        raise Unstorable(
            what, evidence, remedy="Journal(…, key=lambda item: …) that gives a string or a number for each input"
        ) from None


def _as_text(item: Any) -> bytes:
    """Return an input as JSON, or its repr: what identifies it is its key."""
    try:
        return encode(item, opaque=_object)
    except (NoTagError, RecursionError):
        return json_of({"$": "object", "v": encodable(short(item, 2000))})


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
