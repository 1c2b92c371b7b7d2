"""Which line of the user's is a warning about?"""

from __future__ import annotations

import sys


def levels_to_user() -> int:
    """Return how many calls up the first line of code is that is not this library's: the `stacklevel` of a warning."""
    package = __name__.partition(".")[0]
    frame, levels = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, levels = frame.f_back, levels + 1
    return levels
