"""Where do random numbers come from?"""

from __future__ import annotations

import os

BITS = 48  # a float tells as many numbers apart


def draw() -> float:
    """Return a random number, at least 0 and less than 1.

    The system is asked, since few are needed: to load `random` takes as long as to load all of `lanes`. A forked child
    draws other numbers than its parent.

    >>> 0 <= draw() < 1
    True
    """
    return int.from_bytes(os.urandom(BITS // 8), "big") / (1 << BITS)
