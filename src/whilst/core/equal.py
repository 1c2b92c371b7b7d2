"""Which inputs are equal, so that they can share one call?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from typing import Any, cast

from .check import not_callable
from .judge import check_judge
from .outcome import short

KeyOf = Callable[[Any], Hashable]

_AS_THEY_ARE = frozenset({str, int, type(None)})  # no two of different types are equal
_WITH_THEIR_TYPE = frozenset({bytes, bool})  # True == 1, and to compare bytes with text may warn


def check_share(given: Any) -> KeyOf | None:
    """Return what tells equal inputs by a key; None where nothing is shared.

    >>> check_share(True) is key_of, check_share(False)
    (True, None)
    """
    if given is None or given is False:
        return None
    if given is True:
        return key_of
    if not callable(given):
        raise TypeError(
            "share must be True or a function of the input that returns its key; it "
            f"{not_callable(given, of_run=False)}\n"
            '  try: share=True, or share=lambda row: row["id"]'
        )
    check_judge("share", given, of="input")
    return cast("KeyOf", given)


def key_of(item: Any) -> Hashable:
    """Return what only an equal input has, of the same type and value; TypeError if that is not known of its type.

    >>> key_of("a"), key_of(("a", 1)) == key_of(("a", 1)), key_of(True) == key_of(1)
    ('a', True, False)
    """
    kind: Any = type(item)  # pyright: ignore[reportUnknownVariableType]
    if kind in _AS_THEY_ARE:
        return cast("Hashable", item)
    if kind in _WITH_THEIR_TYPE:
        return (kind, item)
    if kind is tuple:
        return (tuple, *map(key_of, cast("tuple[Any, ...]", item)))
    raise TypeError(
        f"share=True can compare only text, whole numbers, bytes, None and tuples of them; {short(item, 60)} is "
        f"of type {kind.__name__}\n"
        "  try: share=lambda item: …, a function that returns a key"
    )


def twin_of(error: BaseException) -> BaseException:
    """Return an exception like another, with notes of its own; the same one, if it cannot be copied."""
    try:
        return _twin_of(error)
    except Exception:  # its class may do anything
        return error


def _twin_of(error: BaseException) -> BaseException:
    twin = _copied(error)
    if twin is None:
        return error
    twin.__traceback__ = error.__traceback__
    twin.__cause__, twin.__context__ = error.__cause__, error.__context__
    twin.__suppress_context__ = error.__suppress_context__
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        twin.__notes__ = [*cast("list[str]", notes)]
    return twin


def _copied(error: BaseException) -> BaseException | None:
    kind = type(error)
    for copied in (copy.copy, _without_init):
        try:
            twin: BaseException = copied(error)
        except Exception:  # an exception's own __init__ may want anything
            continue
        if type(twin) is kind and twin is not error:
            return twin
    return None


def _without_init(error: BaseException) -> BaseException:
    twin = type(error).__new__(type(error), *error.args)
    twin.args = error.args
    twin.__dict__.update(error.__dict__)
    return twin
