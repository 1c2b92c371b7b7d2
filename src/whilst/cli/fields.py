"""Which fields does `--fields` name?"""

from __future__ import annotations

from .messages import Problem


def fields(_: object, __: object, given: str | None) -> list[str] | None:
    """Read `id,name`; the same twice is once."""
    if given is None:
        return None
    found = [*dict.fromkeys(name.strip() for name in given.split(",") if name.strip())]
    if not found:
        raise Problem("--fields names no field", remedy="--fields id,name")
    return found
