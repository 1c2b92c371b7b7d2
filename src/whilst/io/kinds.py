"""Which type has a column, given the values in it? Decided once, from the first values; later ones fit or do not.

A kind is a word (`int`, `text`, …), `("list", kind)`, or `("struct", {name: kind})`. Where values have nothing in
common the kind is `json`: any value, as its JSON text. So `unified` never fails, and whatever was unified and
settled fits.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from itertools import chain
from math import isfinite
from typing import Any, Literal, TypeAlias, cast

import msgspec

from .jsonl import json_text, plain
from .sink import Unfit

Word = Literal["null", "bool", "int", "float", "text", "bytes", "datetime", "moment", "date", "time", "json"]
Kind: TypeAlias = "Word | tuple[Literal['list'], Kind] | tuple[Literal['struct'], dict[str, Kind]]"

_WORDS: dict[type, Word] = {
    type(None): "null",
    bool: "bool",
    int: "int",  # as far as 64 bits hold it
    float: "float",  # where it is finite
    str: "text",
    bytes: "bytes",
    datetime.date: "date",
    datetime.time: "time",
}
_NOTHING = type(None)
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
    if (word := _WORDS.get(type(value))) and word != "int":
        return word if word != "float" or isfinite(cast("float", value)) else "null"
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


def weight_of(value: object) -> int:
    """Guess how many bytes a simplified value holds: those of its texts, and a few for all else.

    >>> weight_of({"page": "x" * 1000, "links": [1, 2]})
    1048
    """
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return 16 + sum(map(weight_of, cast("dict[str, object]", value).values()))
    if isinstance(value, list | tuple):
        return 16 + sum(map(weight_of, cast("Sequence[object]", value)))
    return 8


def unified(kinds: Iterable[Kind]) -> Kind:
    """Return the kind that holds values of all of `kinds`; `null` of none.

    >>> unified(["int", "null", "float"]), unified(["int", "text"])
    ('float', 'json')
    """
    result: Kind = "null"
    for kind in kinds:
        result = _both(result, kind)
    return result


def kind_of_all(values: Sequence[object]) -> Kind:
    """Return the kind that holds all of these simplified values; at once where they are alike.

    >>> kind_of_all([1, None, 2]), kind_of_all([1, 2.5]), kind_of_all([])
    ('int', 'float', 'null')
    """
    return alike(values) or unified(map(kind_of, values))


def alike(values: Sequence[object]) -> Word | None:
    """Return the word for values that are all of one type or None, and need no look at each; None if they do.

    >>> alike([1, None]), alike(["a"]), alike([1, 2.5]), alike([float("nan")])
    ('int', 'text', None, None)
    """
    types = {*map(type, values)}
    types.discard(_NOTHING)
    if not types:
        return "null"
    word = _WORDS.get(types.pop()) if len(types) == 1 else None
    if word != "int" and word != "float":
        return word
    numbers: Any = values if None not in values else [it for it in values if it is not None]
    if word == "int":
        return "int" if min(numbers) >= -(2**63) and max(numbers) < 2**63 else None
    return "float" if all(map(isfinite, numbers)) else None


def has_gaps(kind: Kind) -> bool:
    """Whether a kind is not known everywhere yet: nothing but null has come for it, or for a field of it.

    >>> has_gaps(("struct", {"a": "null"})), has_gaps(("list", "int"))
    (True, False)
    """
    if not isinstance(kind, tuple):
        return kind == "null"
    return has_gaps(kind[1]) if kind[0] == "list" else any(map(has_gaps, kind[1].values()))


def filled(kind: Kind, later: Kind) -> Kind:
    """Return a kind with its gaps filled from a later one; what is known stays as it is.

    >>> filled(("struct", {"a": "null", "b": "int"}), ("struct", {"a": "text", "b": "float"}))
    ('struct', {'a': 'text', 'b': 'int'})
    """
    if kind == "null":
        return later
    if not isinstance(kind, tuple) or not isinstance(later, tuple):
        return kind
    if kind[0] == "list" and later[0] == "list":
        return ("list", filled(kind[1], later[1]))
    if kind[0] == "struct" and later[0] == "struct":
        news = later[1]
        fields: dict[str, Kind] = {name: filled(it, news.get(name, "null")) for name, it in kind[1].items()}
        return ("struct", fields)
    return kind


def filled_with(word: Word, kind: Kind) -> Kind:
    """Return a kind with a word in its gaps.

    >>> filled_with("json", ("list", "null"))
    ('list', 'json')
    """
    if not isinstance(kind, tuple):
        return word if kind == "null" else kind
    if kind[0] == "list":
        return ("list", filled_with(word, kind[1]))
    fields: dict[str, Kind] = {name: filled_with(word, it) for name, it in kind[1].items()}
    return ("struct", fields)


def settled(kind: Kind) -> Kind:
    """Return the kind that a column gets: one that Parquet has no way to write takes anything, as JSON.

    >>> settled(("struct", {"a": "null"})), settled(("struct", {}))
    (('struct', {'a': 'null'}), 'json')
    """
    if not isinstance(kind, tuple):
        return kind
    if kind[0] == "list":
        return ("list", settled(kind[1]))
    fields: dict[str, Kind] = {name: settled(it) for name, it in kind[1].items()}
    return ("struct", fields) if fields else "json"


def fitted(kind: Kind, value: Any) -> Any:
    """Return a simplified value as its column takes it; Unfit if it has no place there.

    >>> fitted("float", 1), fitted("json", [1, "x"])
    (1.0, '[1,"x"]')
    """
    if value is None or (type(value) is float and not isfinite(value)):
        return None
    if kind == "json":
        return json_text(value).decode()
    if kind == "null":  # it is not known yet, and will be that of the first values
        return value
    if isinstance(kind, tuple):
        return _fitted_inside(kind, value)
    word = kind_of(value) if type(value) not in (dict, list, tuple) else "json"
    if word == kind:
        return value
    if kind == "float" and word == "int":
        return float(value)
    raise Unfit(f"{_shown(kind)} was expected, not {_text(value)}")


def fitted_all(kind: Kind, values: Sequence[Any]) -> Sequence[Any]:
    """Return each value as `fitted` does; the very sequence where all are already as their column takes them.

    >>> fitted_all("float", [1, None]), fitted_all(("struct", {"a": "int"}), [{"a": 1}, {}])
    ([1.0, None], [{'a': 1}, {}])
    """
    if alike(values) in (kind, "null") or _fit_inside(kind, values):
        return values
    return [fitted(kind, it) for it in values]


def _fit_inside(kind: Kind, values: Sequence[Any]) -> bool:
    """Whether all values are lists or dicts that fit as they are, so that none must be made anew."""
    if not isinstance(kind, tuple):
        return False
    found: Any = [it for it in values if it is not None]
    wanted = dict if kind[0] == "struct" else list
    if {*map(type, found)} != {wanted}:
        return False
    if kind[0] == "list":
        inside = [*chain.from_iterable(found)]
        return fitted_all(kind[1], inside) is inside
    fields = kind[1]
    if any(not fields.keys() >= {*names} for names in {*map(tuple, found)}):
        return False
    columns = [(field, [it.get(name) for it in found]) for name, field in fields.items()]
    return all(fitted_all(field, column) is column for field, column in columns)


def _fitted_inside(kind: Any, value: Any) -> Any:
    if kind[0] == "list" and isinstance(value, list | tuple):
        return [fitted(kind[1], it) for it in cast("list[Any]", value)]
    if kind[0] == "struct" and isinstance(value, dict):
        fields: dict[str, Kind] = kind[1]
        named = cast("dict[str, Any]", value)
        if extra := next((name for name in named if name not in fields), None):
            raise Unfit(f"{extra!r} is not a field of this column, which has {', '.join(fields)}")
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
