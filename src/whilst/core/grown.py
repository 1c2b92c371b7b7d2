"""What a call gave, and the inputs that it added to its run."""

from __future__ import annotations

from typing import Any

from .outcome import short


class Grown:
    """A value, as a journal keeps it with the inputs that its call added, each with the key it was added by."""

    __slots__ = ("added", "value")

    def __init__(self, value: Any, added: list[tuple[Any, Any]]) -> None:
        self.value: Any = value
        self.added: list[tuple[Any, Any]] = added


def check_key(key: Any) -> None:
    """Refuse a key that cannot be remembered."""
    try:
        hash(key)
    except TypeError:
        raise TypeError(
            f"key={short(key, 60)} cannot be a key: it is not hashable\n  try: a string, a number, or a tuple of them"
        ) from None
