"""Where did the time go, and what would help? The last lines of a command that took a while."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .messages import is_terminal, room, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.summary import Summary
    from .options import RunOptions

LONG = 1.0  # seconds; of a command that took less nobody asks where the time went
WIDTH = 80

_FLAGS: tuple[
    tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...
] = (  # how a parameter of the library is written as an option; its names are in the texts
    (re.compile(r'\bconcurrency="?(adaptive|\d+)"?(?! per| there)'), r"-j \1"),
    (re.compile(r'\brate="([^"]+)"'), r"--rate \1"),
    (re.compile(r"\b(rate|timeout|retry)=(?=\s|$)"), r"--\1"),
    (re.compile(r'\bexecutor="(\w+)"'), r"--executor \1"),
    (re.compile(r"\bordered=False"), "--unordered"),
    (re.compile(r'\bcommit="buffered"'), "--commit buffered"),
    (
        re.compile(r"\bRetry\((?:[^;]*, )?budget=([\d.]+|None)(?:, [^;]*)?\)"),
        lambda found: f"--retry-budget {found[1].lower()}",
    ),
)


def say_where_the_time_went(now: Summary, options: RunOptions, lacks: str = "") -> None:
    """Say it, and what is not installed and would make it faster, unless nobody wants to hear it."""
    if options.quiet or options.log == "json" or (options.advice != "on" and now.elapsed < LONG):
        return
    from ..core.telling import advised, details, wrapped

    lines = details(now)
    if options.advice != "off":
        lines += advised(now.advice) + ([lacks] if lacks else [])
    if lines:
        width = min(WIDTH, room()) if is_terminal() else WIDTH
        say("\n".join(wrapped([in_flags(line) for line in lines], width)))


def in_flags(text: str) -> str:
    """Write what is said of parameters as options of the command line.

    >>> in_flags('concurrency=64 makes this at most 2.0x as fast; concurrency="adaptive" finds out')
    '-j 64 makes this at most 2.0x as fast; -j adaptive finds out'
    """
    for parameter, option in _FLAGS:
        text = parameter.sub(option, text)
    return text
