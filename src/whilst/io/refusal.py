"""Why can an input or an output not be opened, what proves it, and what would work?

A refusal is made before anything is called. What goes wrong later, while rows are read or written, is an OSError
whatever the kind of input: `BrokenInput` and `BrokenOutput` carry words where the system has only a number.
"""

from __future__ import annotations

import errno
import importlib
from collections.abc import Iterable
from typing import Any

SHORTENED = 3  # letters from which on a name may stand for one that begins with it


class Refused(Exception):
    """An input or output that cannot be meant: the fact, the evidence, and the words that would work.

    >>> raise Refused("f.db has no table 'user'", "it has users", remedy="sqlite:///f.db?table=users")
    Traceback (most recent call last):
    whilst.io.refusal.Refused: f.db has no table 'user'
      it has users
      try: sqlite:///f.db?table=users
    """

    def __init__(self, fact: str, *evidence: str, remedy: str = "") -> None:
        super().__init__(fact)
        self.fact: str = fact
        self.evidence: tuple[str, ...] = evidence
        self.remedy: str = remedy

    def __str__(self) -> str:
        lines = [self.fact, *self.evidence]
        return "\n  ".join([*lines, f"try: {self.remedy}"] if self.remedy else lines)


class BrokenInput(OSError):
    """An input that could be read up to here and no further."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EIO, reason)


class BrokenOutput(OSError):
    """An output that has taken what it took, and takes nothing more."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EIO, reason)


def load_extra(module: str, extra: str, wanted_for: str) -> Any:
    """Import what is installed on demand; Refused with the line that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != module.partition(".")[0]:
            raise
        fact = f"{wanted_for} needs {module.partition('.')[0]}, which is not installed"
        raise Refused(fact, remedy=f"pip install 'whilst[{extra}]'") from None


def closest(name: str, names: Iterable[str], *, alike: float = 0.6) -> str:
    """Return which of `names` was likely meant, or nothing; from 1 on they are the same.

    One that differs in upper and lower case alone comes before all others, then one that is longer.

    >>> closest("--jurnal", ["--journal", "--keep"]), closest("--version", ["--overwrite"], alike=0.75)
    ('--journal', '')
    >>> closest("ID", ["id", "IP"])
    'id'
    """
    import difflib
    from itertools import takewhile

    others = [it for it in names if it != name]
    if same := next((it for it in others if it.casefold() == name.casefold()), ""):
        return same
    if longer := [it for it in others if it.startswith(name) and len(name.strip("-")) >= SHORTENED]:
        return min(longer, key=len)
    close = difflib.get_close_matches(name, others, 3, alike)  # the likest first

    def begun(other: str) -> int:
        """Return how many characters it begins with that the name has, too: most begin with what is meant."""
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(other, name, strict=False)))

    return max(close, key=begun, default="")


def listed(names: Iterable[str], most: int = 8) -> str:
    """Write names one after the other, the first few of many.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def twice_in(names: Iterable[str]) -> str | None:
    """Return the first name that was there before, if one was; of any number of names, in one pass.

    >>> twice_in(["a", "b", "a"]), twice_in(["a", "b"])
    ('a', None)
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
