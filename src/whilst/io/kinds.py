"""Which type has a column, given the values in it? Decided once, from the first values; later ones fit or do not.

A kind is a word (`int`, `text`, …), `("list", kind)`, or `("struct", {name: kind})`. Where values have nothing in
common the kind is `json`: any value, as its JSON text. So `unified` never fails, and whatever was unified and
settled fits.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, cast

import msgspec

from .jsonl import json_text, plain
from .sink import Unfit

Word = Literal["null", "bool", "int", "float", "text", "bytes", "datetime", "moment", "date", "time", "json"]
Kind: TypeAlias = "Word | tuple[Literal['list'], Kind] | tuple[Literal['struct'], dict[str, Kind]]"

_WORDS: dict[type, Word] = {
    type(None): "null",
    bool: "bool",
    float: "float",
    str: "text",
    bytes: "bytes",
    datetime.date: "date",
    datetime.time: "time",
}
_KEPT = (bytes, datetime.datetime, datetime.date, datetime.time)


def simplified(value: object) -> Any:
    """Return a value as dicts, lists, numbers, texts, bytes and times; TypeError or ValueError as from `json_text`.

    >>> simplified({"seen": {1}, "raw": b"ab"})
    {'seen': [1], 'raw': b'ab'}
    """
    try:
        return msgspec.to_builtins(value, builtin_types=_KEPT, str_keys=True, enc_hook=plain)
    except RecursionError:
        raise ValueError("the value is nested too deep, or holds itself") from None


def kind_of(value: object) -> Kind:
    """Return the kind of one simplified value.

    >>> kind_of([1, None, 2.5])
    ('list', 'float')
    """
    if word := _WORDS.get(type(value)):
        return word
    match value:
        case int():
            return "int" if -(2**63) <= value < 2**63 else "json"
        case datetime.datetime():
            return "datetime" if value.tzinfo is None else "moment"
        case dict():
            fields: dict[str, Kind] = {name: kind_of(it) for name, it in cast("dict[str, object]", value).items()}
            return ("struct", fields)
        case list() | tuple():
            return ("list", unified(kind_of(it) for it in cast("Iterable[object]", value)))
        case _:
            return "json"


def unified(kinds: Iterable[Kind]) -> Kind:
    """Return the kind that holds values of all of `kinds`; `null` of none.

    >>> unified(["int", "null", "float"]), unified(["int", "text"])
    ('float', 'json')
    """
    result: Kind = "null"
    for kind in kinds:
        result = _both(result, kind)
    return result


def settled(kind: Kind) -> Kind:
    """Return the kind that a column gets: what is still unknown takes anything, as JSON.

    >>> settled(("struct", {"a": "null"})), settled(("struct", {}))
    (('struct', {'a': 'json'}), 'json')
    """
    if not isinstance(kind, tuple):
        return "json" if kind == "null" else kind
    if kind[0] == "list":
        return ("list", settled(kind[1]))
    fields: dict[str, Kind] = {name: settled(it) for name, it in kind[1].items()}
    return ("struct", fields) if fields else "json"


def fitted(kind: Kind, value: Any) -> Any:
    """Return a simplified value as its column takes it; Unfit if it has no place there.

    >>> fitted("float", 1), fitted("json", [1, "x"])
    (1.0, '[1,"x"]')
    """
    if value is None:
        return None
    if kind == "json":
        return json_text(value).decode()
    if isinstance(kind, tuple):
        return _fitted_inside(kind, value)
    word = kind_of(value) if type(value) not in (dict, list, tuple) else "json"
    if word == kind:
        return value
    if kind == "float" and word == "int":
        return float(value)
    raise Unfit(f"{_shown(kind)} was expected, not {_text(value)}")


def _fitted_inside(kind: Any, value: Any) -> Any:
    if kind[0] == "list" and isinstance(value, list | tuple):
        return [fitted(kind[1], it) for it in cast("list[Any]", value)]
    if kind[0] == "struct" and isinstance(value, dict):
        fields: dict[str, Kind] = kind[1]
        named = cast("dict[str, Any]", value)
        if extra := next((name for name in named if name not in fields), None):
            raise Unfit(f"{extra!r} is no field of this column, which has {', '.join(fields)}")
        return {name: fitted(field, named.get(name)) for name, field in fields.items()}
    raise Unfit(f"{_shown(kind)} was expected, not {_text(value)}")


def _both(one: Kind, other: Kind) -> Kind:
    if one == other or other == "null":
        return one
    if one == "null":
        return other
    if isinstance(one, tuple) and isinstance(other, tuple):
        if one[0] == "list" and other[0] == "list":
            return ("list", _both(one[1], other[1]))
        if one[0] == "struct" and other[0] == "struct":
            names = dict.fromkeys([*one[1], *other[1]])
            fields: dict[str, Kind] = {it: _both(one[1].get(it, "null"), other[1].get(it, "null")) for it in names}
            return ("struct", fields)
    return "float" if {str(one), str(other)} == {"int", "float"} else "json"


def _shown(kind: Kind) -> str:
    return kind if isinstance(kind, str) else f"a {kind[0]}"


def _text(value: Any) -> str:
    text = json_text(value).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"
