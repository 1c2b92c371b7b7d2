"""What does a run say of itself, as JSON and without secrets, for whoever reads it later?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.secrets import encodable, without_secrets
from ..core.summary import Summary


def told(summary: Summary) -> dict[str, Any]:
    """Return a summary as JSON has it."""
    given: Any = summary
    found: dict[str, Any] = given.to_dict() if hasattr(given, "to_dict") else given._asdict()
    shown: dict[str, Any] = plain(found)
    return shown


def plain(thing: Any) -> Any:
    """Return what JSON can say of a thing, its texts without secrets."""
    match thing:
        case str():
            return without_secrets(thing)
        case Mapping():
            return {without_secrets(str(key)): plain(value) for key, value in thing.items()}  # pyright: ignore
        case bool() | int() | None:
            return thing
        case float():
            return thing if thing - thing == 0 else None
        case Sequence():
            return [plain(value) for value in thing]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return without_secrets(str(thing))


def json_of(said: object) -> bytes:
    r"""Return JSON of anything that is recorded; half of a character in it is escaped, as it has no UTF-8.

    >>> json_of({"caf\udce9": 1})
    b'{"caf\\\\udce9":1}'
    """
    import msgspec  # loaded when used: a path is looked at on a caller's loop

    try:
        return msgspec.json.encode(said)
    except UnicodeEncodeError:
        return msgspec.json.encode(escaped(msgspec.to_builtins(said)))


def escaped(thing: Any) -> Any:
    """Return a thing of dicts and sequences with all its texts such that UTF-8 can hold them."""
    match thing:
        case str():
            return encodable(thing)
        case Mapping():
            return {escaped(key): escaped(value) for key, value in thing.items()}  # pyright: ignore
        case list() | tuple():
            return [escaped(value) for value in thing]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return thing
