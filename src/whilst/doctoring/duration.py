"""How is a short time written? `50ms`, `0.2s`, or a number of seconds."""

from __future__ import annotations

import re

LEAST, MOST = 0.001, 3600.0


def seconds(text: str) -> float:
    """Return the seconds that a text means.

    Raises:
        ValueError: with what arrived and a text that would do.

    >>> seconds("50ms"), seconds("0.2s"), seconds("1")
    (0.05, 0.2, 1.0)
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(ms|s|)\s*", text)
    if found is None:
        raise ValueError(f"must be a time such as 50ms or 0.2s, got {text!r}")
    value = float(found[1]) / (1000 if found[2] == "ms" else 1)
    if not LEAST <= value <= MOST:
        raise ValueError(f"must be from 1ms to 3600s, got {text!r}")
    return value
