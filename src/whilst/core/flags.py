"""How is what is said of parameters of the library written as options of the command line?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

# Patterns, which `re` compiles at their first use; the names of parameters are in the texts of advice and notes.
_FLAGS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r'\bconcurrency="?(adaptive|\d+)"?(?! per| there)', r"-j \1"),
    (r'\brate="([^"]+)"', r"--rate \1"),
    (r"\b(rate|timeout|retry)=(?=\s|$)", r"--\1"),
    (r'\bexecutor="(\w+)"', r"--executor \1"),
    (r"\bordered=False", "--unordered"),
    (r'\bcommit="buffered"', "--commit buffered"),
    (
        r"\bRetry\((?:[^;]*, )?budget=([\d.]+|None)(?:, [^;]*)?\)",
        lambda found: f"--retry-budget {found[1].lower()}",
    ),
)


def in_flags(text: str) -> str:
    """Write what is said of parameters as options of the command line.

    >>> in_flags('concurrency=64 makes this at most 2.0x as fast; concurrency="adaptive" finds out')
    '-j 64 makes this at most 2.0x as fast; -j adaptive finds out'
    """
    for parameter, option in _FLAGS:
        text = re.sub(parameter, option, text)
    return text


def change_in_flags(change: Mapping[str, Any]) -> str:
    """Return the options that make a change of an advice; nothing where there are none for it.

    >>> change_in_flags({"rate": "9/s", "concurrency": 64}), change_in_flags({"limit": "Limit(concurrency=8)"})
    ('--rate 9/s -j 64', '')
    """
    given = [
        value if name == "retry" else f'{name}="{value}"' if isinstance(value, str) else f"{name}={value!r}"
        for name, value in change.items()
    ]
    options = [in_flags(str(each)) for each in given]
    return " ".join(options) if all(each.startswith("-") for each in options) else ""
