"""Which words of a command are inputs given as arguments? Those after `:::`, as GNU parallel has it."""

from __future__ import annotations

from collections.abc import Sequence

COLONS = ":::"


def at_colons(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words of a command before the colons, and those from them on.

    >>> at_colons(["map", "jobs:f", ":::", "a"])
    (['map', 'jobs:f'], [':::', 'a'])
    """
    at = words.index(COLONS) if COLONS in words else len(words)
    return [*words[:at]], [*words[at:]]
