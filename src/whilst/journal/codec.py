"""How is the value of a call stored, and given back as what it was?

Three ways, each value by the first that fits:

- An object with `encode` and `decode` makes something storable of each value and the value of it again.
- A type, given or told by the function's return annotation, that has classes of the user's own in it (dataclasses,
  msgspec Structs, named tuples, enums): msgspec writes and reads it. Each value is read back at once and must be
  equal, so that what would come back otherwise is found at the first value and not at the resume.
- Everything else: JSON, with tags for what JSON has no words for (see `tagged`), which needs no type.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

import msgspec

from ..core.grown import Grown
from ..core.jsontext import BYTES_HEAD, JsonText
from ..core.outcome import an, short
from ..errors import Unstorable
from .identity import canonical
from .returns import has_classes, is_class_of_data, returned_by
from .tagged import ADDED_HEAD, ADDED_PART, MARK, TYPED_HEAD, NoTagError, decode, encode, json_of, parsed

# What has such a method is a table or an array: the line that makes plain values of it.
_TABLES = {
    "iterrows": '.to_dict("records")',
    "iter_rows": ".to_dicts()",
    "tolist": ".tolist()",
    "to_list": ".to_list()",
}
MOST_BYTES = 256 * 1024 * 1024  # of one value; SQLite's own limit is near a gigabyte a row


class Codec(Protocol):
    """What `Journal(codec=…)` takes besides a type: makes something storable of a value, and the value of it again."""

    def encode(self, value: Any, /) -> Any:
        """Return something of JSON's types (bytes, tuples, datetimes and the like too)."""
        ...

    def decode(self, stored: Any, /) -> Any:
        """Return the value that `encode` was given."""
        ...


class Values:
    """Writes the values of one function as JSON and reads them."""

    def __init__(self, codec: Any, fn: Any, name: str) -> None:
        self._name = name
        self._annotated = "an annotation of its last step, f" if hasattr(fn, "node") else f"an annotation, {name}"
        self._own: Codec | None = None
        self._as_text: bool = getattr(codec, "as_text", False)  # whether JSON stays text for who asked for the values
        self._read: Callable[[Any], Any] | None = None
        self._text: Callable[[Any], bytes] = encode
        if codec is not None and _is_codec(codec):
            self._own = cast("Codec", codec)
            self._text = partial(_by_codec, self._own)
        else:
            self._type(codec, fn)

    @property
    def own(self) -> bool:
        """Whether even plain values are the user's codec's to write."""
        return self._own is not None

    @property
    def as_json(self) -> bool:
        """Whether what is plain JSON is written as that."""
        return self._own is None and self._read is None

    def encode(self, value: Any) -> bytes:
        """Write a value, and the inputs that its call added; Unstorable if either would not come back as it is."""
        kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is JsonText:
            if value.is_bytes or value.stored.find(MARK) < 0:
                return self.checked(value.stored)
            value = parsed(value.stored)  # what looks like a tag is the other side's
        elif kind is Grown:
            return ADDED_HEAD + self.encode(value.value) + ADDED_PART + self._added(value) + b"}"
        try:
            text = self._text(value)
        except (NoTagError, RecursionError) as error:
            raise self._refused(value, error) from None
        return self.checked(text)

    def checked(self, text: bytes) -> bytes:
        """Return what is written of a value; Unstorable if it is too large."""
        if len(text) > MOST_BYTES:
            raise Unstorable(
                f"{self._name}() returned a value of {len(text):,} bytes",
                f"the journal stores at most {MOST_BYTES:,}",
                remedy="write it to a file and return the file's name",
            )
        return text

    def decode(self, text: bytes) -> Any:
        """Read what `encode` wrote, now or in an earlier run; ValueError or TypeError if it does not fit any more."""
        if self._as_text:
            if text.startswith(BYTES_HEAD):
                return JsonText(text, is_bytes=True)
            if text.find(MARK) < 0:
                return JsonText(text)
        if self._own is None and text.find(MARK) < 0:
            return parsed(text)
        if text.startswith(ADDED_HEAD):
            parts = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
            return Grown(self.decode(bytes(parts["v"])), decode(bytes(parts["added"])))
        if text.startswith(TYPED_HEAD):
            made = text[len(TYPED_HEAD) : -1]
            if self._read is None:
                raise TypeError("it was stored with a type, and there is none now")
            return self._read(made)
        value = decode(text)
        return value if self._own is None else self._own.decode(value)

    def decode_all(self, texts: list[bytes]) -> list[Any]:
        """Read many at once: a tenth of what it takes one by one, if JSON is all there is."""
        if self._own is None:
            text = b"[%b]" % b",".join(texts)
            if text.find(MARK) < 0:
                values: list[Any] = parsed(text)
                return values
        return list(map(self.decode, texts))

    def _added(self, grown: Grown) -> bytes:
        try:
            return encode(grown.added)
        except (NoTagError, RecursionError) as error:
            part = error.part if isinstance(error, NoTagError) else grown.added
            raise Unstorable(
                f"a call of {self._name}() added an input that the journal cannot store: {short(part, 60)}",
                f"its type is {_class_of(part).__qualname__}",
                remedy="add something that JSON has a type for, such as its id or URL",
            ) from None

    def _type(self, given: Any, fn: Any) -> None:
        hint = given if given is not None else returned_by(fn)
        if hint is None or not (given is not None or has_classes(hint)):
            return
        try:
            decoder = msgspec.json.Decoder(hint)
        except TypeError as error:
            if given is not None:
                raise TypeError(
                    f"codec must be a type that msgspec can read, or have encode and decode: {error}\n"
                    "  try: codec=Place, the class of the values; what JSON has needs none"
                ) from None
            return  # an annotation that msgspec cannot read is no reason to fail before a value does
        if not has_classes(hint):  # JSON with tags gives those back exactly
            return
        self._read, self._text = decoder.decode, partial(_by_type, decoder.decode)

    def _refused(self, value: Any, error: Exception) -> Unstorable:
        part = error.part if isinstance(error, NoTagError) else value
        kind: str = _class_of(part).__qualname__
        what = f"{self._name}() returned what the journal cannot store: {short(value, 60)}"
        if isinstance(error, RecursionError):
            return Unstorable(what, "it is nested too deep, or contains itself", remedy="return a type that JSON has")
        where = f"its type is {kind}" if part is value else f"{an(kind)} is in it: {short(part, 60)}"
        if self._read is not None:
            return Unstorable(
                what,
                where,
                "it does not come back equal as the type that was given or annotated",
                remedy=f"Journal(…, codec=…) with the type that {self._name}() really returns",
            )
        if is_class_of_data(_class_of(part)):
            return Unstorable(what, where, remedy=f"{self._annotated}(…) -> {kind}, or Journal(…, codec={kind})")
        for method, line in _TABLES.items():
            if hasattr(_class_of(part), method):
                return Unstorable(what, where, remedy=f"return a type that JSON has: value{line}")
        return Unstorable(
            what, where, remedy="return a type that JSON has, or Journal(…, codec=…) with an encode and a decode"
        )


def _by_codec(codec: Codec, value: Any) -> bytes:
    return encode(codec.encode(value))


def _by_type(read: Callable[[Any], Any], value: Any) -> bytes:
    try:
        text = json_of(value)
        if _same(read(text), value):
            return TYPED_HEAD + text + b"}"
    except (TypeError, ValueError):  # the annotation does not tell the truth about this one
        pass
    return encode(value)


def _is_codec(thing: Any) -> bool:
    if isinstance(thing, type):
        return False
    return callable(getattr(thing, "encode", None)) and callable(getattr(thing, "decode", None))


def _class_of(thing: Any) -> Any:
    return type(thing)  # pyright: ignore[reportUnknownVariableType]


def _same(found: Any, value: Any) -> bool:
    """Whether a value came back; equal is enough, and what has no equality (or a NaN in it) is compared in writing."""
    if type(found) is not type(value):
        return False
    try:
        if found == value:
            return True
    except Exception:  # __eq__ is code of the user's
        pass
    try:
        return canonical(found) == canonical(value)
    except (NoTagError, RecursionError):
        return False
