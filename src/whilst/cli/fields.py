"""Which fields does `--fields` name?"""

from __future__ import annotations

from .messages import Problem


def fields(_: object, __: object, given: str | None) -> list[str] | None:
    """Read `id,name`, as a line of CSV: a name with a comma stands in quotes; the same twice is once."""
    if given is None:
        return None
    import csv  # loaded when used

    names = next(csv.reader([given], skipinitialspace=True), list[str]())
    found = [*dict.fromkeys(name.strip() for name in names if name.strip())]
    if not found:
        raise Problem("--fields names no field", remedy="--fields id,name")
    return found
