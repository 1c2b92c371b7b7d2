"""Where did the time go, and what would help? The last lines of a command that took a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .messages import is_terminal, room, say

if TYPE_CHECKING:
    from ..core.summary import Summary
    from .options import RunOptions

LONG = 1.0  # seconds; of a command that took less nobody asks where the time went
WIDTH = 80


def say_where_the_time_went(now: Summary, options: RunOptions, lacks: str = "") -> None:
    """Say it, and what is not installed and would make it faster, unless nobody wants to hear it."""
    if options.quiet or options.log == "json" or (options.advice != "on" and now.elapsed < LONG):
        return
    from ..core.flags import in_flags
    from ..core.telling import advised, details, wrapped

    lines = details(now)
    if options.advice != "off":
        lines += advised(now.advice) + ([lacks] if lacks else [])
    if lines:
        width = min(WIDTH, room()) if is_terminal() else WIDTH
        say("\n".join(wrapped([in_flags(line) for line in lines], width)))
