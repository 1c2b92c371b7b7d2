"""How are values written as JSON that JSON has no words for, so that they come back as what they were?

What JSON knows is plain JSON. Anything else is an object with the key `$`: `{"$": "bytes", "v": "aGk="}`. Nothing in
a file can name code: tags are the few below, and types of the user's own come in only through the type that the
user gives (see `codec`). A time zone comes back as its offset, which is equal.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import math
import uuid
from collections.abc import Callable, Iterable
from typing import Any, cast

import msgspec

from ..core.scalars import as_python

TAG = "$"
TYPED_HEAD = b'{"$":"typed","v":'
ADDED_HEAD = b'{"$":"added","v":'  # a value, and the inputs that its call added to the run
ADDED_PART = b',"added":'
MARK = b'"$"'
_SCALARS = frozenset({int, str, bool, float, type(None)})
_SAME = _SCALARS - {float}  # always as JSON has them; a NaN is null there
_STR = frozenset({str})

_encoder, _sorting = msgspec.json.Encoder(), msgspec.json.Encoder(order="sorted")
json_of: Callable[[Any], bytes] = _encoder.encode
sorted_json_of: Callable[[Any], bytes] = _sorting.encode
parsed: Callable[[bytes | str], Any] = msgspec.json.Decoder().decode

Opaque = Callable[[Any, Callable[[Any], Any]], Any]


class NoTagError(TypeError):
    """A value, or a part of one, is of a type that has no tag."""

    def __init__(self, part: Any) -> None:
        super().__init__(f"{type(part).__module__}.{type(part).__qualname__}")
        self.part = part


def encode(value: Any, *, ordered: bool = False, opaque: Opaque | None = None) -> bytes:
    """Write a value as JSON, with tags where it needs them; `ordered` makes the order of keys irrelevant.

    Args:
        value: what to write.
        ordered: whether equal values must give equal text.
        opaque: makes something taggable of a type without a tag; it gets the value and the function to go on with.

    Raises:
        NoTagError: a part has no tag, and nothing was made of it.
        RecursionError: it is nested too deep, or in itself.

    >>> encode({"at": (1, b"hi")})
    b'{"at":{"$":"tuple","v":[1,{"$":"bytes","v":"aGk="}]}}'
    """
    write = sorted_json_of if ordered else json_of
    if is_plain(value):
        try:
            return write(value)
        except UnicodeEncodeError:  # a file name that is no text, for example
            pass
    return write(_tree(value, opaque, ordered))


def plain_json(value: Any) -> bytes | None:
    """Return the JSON of a value that needs no tags; None if it may, or cannot be written at all."""
    try:
        return json_of(value) if is_plain(value) else None
    except (UnicodeEncodeError, RecursionError):
        return None


def each_as_json(values: Iterable[Any], *, ordered: bool = False) -> list[bytes]:
    """Return the JSON of each of many plain values: a third of the time, and none has a line end."""
    return (_sorting if ordered else _encoder).encode_lines(values).split(b"\n")[:-1]


def is_plain(value: Any) -> bool:
    """Whether a value is what JSON says without tags: of its exact types, no NaN, and no key `$`."""
    kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
    # a look at each: 0.6 µs for a row with a list in it, where `issuperset` of their types and then a look took 1.7
    if kind is dict:
        if TAG in value:
            return False
        for key, part in value.items():
            if type(key) is not str:
                return False
            if type(part) not in _SAME:
                if type(part) is float:
                    if part * 0.0 != 0.0:  # NaN, or infinite
                        return False
                elif not is_plain(part):
                    return False
        return True
    if kind is list:
        for part in value:
            if type(part) is float:
                if part * 0.0 != 0.0:
                    return False
            elif type(part) not in _SAME and not is_plain(part):
                return False
        return True
    return kind in _SAME or (kind is float and value * 0.0 == 0.0)


def decode(text: bytes) -> Any:
    """Return the value that `encode` wrote.

    >>> decode(encode({"at": (1, b"hi"), "n": float("inf")}))
    {'at': (1, b'hi'), 'n': inf}
    """
    found = parsed(text)
    return _value(found) if text.find(MARK) >= 0 else found


def natural(text: bytes) -> bytes:
    """Return the JSON without tags, as other programs expect it: a tuple is a list, bytes are base64.

    >>> natural(encode({"at": (1, b"hi")}))
    b'{"at":[1,"aGk="]}'
    """
    return text if text.find(MARK) < 0 else json_of(_naked(parsed(text)))


def _tree(value: Any, opaque: Opaque | None, ordered: bool) -> Any:
    """Return what JSON can write."""

    def of(part: Any) -> Any:
        kind: Any = type(part)  # pyright: ignore[reportUnknownVariableType]
        if kind is str:
            return part if part.isascii() or _is_text(part) else _tagged("str", _surrogates(part))
        if kind is float:
            return part if math.isfinite(part) else _tagged("float", str(part))
        if kind in _SCALARS:
            return part
        if kind is list:
            return [of(each) for each in part]
        if kind is dict:
            if _STR.issuperset(map(type, part)) and TAG not in part and all(map(_is_text, part)):
                return {key: of(each) for key, each in part.items()}
            pairs = [[of(key), of(each)] for key, each in part.items()]
            return _tagged("dict", sorted(pairs, key=sorted_json_of) if ordered else pairs)
        if kind in (set, frozenset):
            return _tagged(kind.__name__, sorted((of(each) for each in part), key=sorted_json_of))
        if kind in _TAGS:
            name, write, _ = _TAGS[kind]
            made = write(part)
            return _tagged(name, [of(each) for each in made] if kind is tuple else made)
        scalar = as_python(part)
        if scalar is not None:
            return of(scalar[0])
        if opaque is None:
            raise NoTagError(part)
        return opaque(part, of)

    return of(value)


def _tagged(name: str, made: Any) -> dict[str, Any]:
    return {TAG: name, "v": made}


def _value(tree: Any) -> Any:
    """Return the value that a tree was made of."""
    if isinstance(tree, list):
        items: list[Any] = tree  # pyright: ignore[reportUnknownVariableType]
        return [_value(each) for each in items]
    if not isinstance(tree, dict):
        return tree
    fields = cast("dict[str, Any]", tree)
    if TAG not in fields:
        return {key: _value(each) for key, each in fields.items()}
    name: Any = fields[TAG]
    made: Any = fields.get("v")
    if name == "dict":
        return {_value(key): _value(each) for key, each in made}
    if name == "tuple":
        return tuple(_value(each) for each in made)
    if name in ("set", "frozenset"):
        return (set if name == "set" else frozenset)(_value(each) for each in made)
    if name not in _READERS:
        raise ValueError(f"no value can be made of a {name!r}")
    return _READERS[name](made)


def _naked(tree: Any) -> Any:
    if isinstance(tree, list):
        items: list[Any] = tree  # pyright: ignore[reportUnknownVariableType]
        return [_naked(each) for each in items]
    if not isinstance(tree, dict):
        return tree
    fields = cast("dict[str, Any]", tree)
    if TAG not in fields:
        return {key: _naked(each) for key, each in fields.items()}
    name: Any = fields[TAG]
    made: Any = fields.get("v")
    if name == "typed":
        return made
    if name == "float":  # NaN and the infinities are no value in any output
        return None
    if name in ("datetime", "time", "timedelta"):  # as an output of the run itself has them
        return msgspec.to_builtins(_READERS[name](made))
    if name == "dict":
        return {_key(_naked(key)): _naked(each) for key, each in made}
    return _naked(made)


def _key(naked: Any) -> str:
    return naked if isinstance(naked, str) else json_of(naked).decode()


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _b64(data: bytes | bytearray) -> str:
    return base64.b64encode(data).decode()


def _surrogates(text: str) -> str:
    return _b64(text.encode("utf-8", "surrogatepass"))


def _folded(moment: datetime.datetime | datetime.time) -> str:
    """Return an ISO time; a second pass through the hour that the clock is put back by is marked, as ISO cannot."""
    return f"{moment.isoformat()}f" if moment.fold else moment.isoformat()


def _unfolded(read: Callable[[str], Any], made: str) -> Any:
    return read(made[:-1]).replace(fold=1) if made.endswith("f") else read(made)


def _timedelta(span: datetime.timedelta) -> list[int]:
    return [span.days, span.seconds, span.microseconds]


_TAGS: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    tuple: ("tuple", list, tuple),
    bytes: ("bytes", _b64, base64.b64decode),
    bytearray: ("bytearray", _b64, lambda made: bytearray(base64.b64decode(made))),
    datetime.datetime: ("datetime", _folded, lambda made: _unfolded(datetime.datetime.fromisoformat, made)),
    datetime.date: ("date", datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: ("time", _folded, lambda made: _unfolded(datetime.time.fromisoformat, made)),
    datetime.timedelta: ("timedelta", _timedelta, lambda made: datetime.timedelta(*made)),
    decimal.Decimal: ("decimal", str, decimal.Decimal),
    uuid.UUID: ("uuid", str, uuid.UUID),
    complex: ("complex", str, complex),
}
_READERS: dict[str, Callable[[Any], Any]] = {
    **{name: read for name, _, read in _TAGS.values()},
    "float": float,
    "str": lambda made: base64.b64decode(made).decode("utf-8", "surrogatepass"),
}
