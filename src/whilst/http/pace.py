"""What does an answer say about how many calls are left, and who is told?"""

from __future__ import annotations

import time

from pyreqwest.http import HeaderMap

from ..core.headers import left_of
from ..lanes.listening import listening

# One of these is in every answer that says how many are left: looking for them costs 1 µs, reading all headers 20.
TELLING = (
    "ratelimit",
    "ratelimit-remaining",
    "x-ratelimit-remaining",
    "x-rate-limit-remaining",
    "x-ratelimit-remaining-requests",
)


def pass_on(headers: HeaderMap) -> None:
    """Tell the limit that the call is made under how many calls are left, if the answer says so.

    An answer with a Retry-After says it to whoever reads its exception.
    """
    listener = listening.get()
    if listener is None or not any(name in headers for name in TELLING) or "retry-after" in headers:
        return
    given: dict[str, list[object]] = {}
    for name, value in headers.items():
        given.setdefault(name, []).append(value)
    left = left_of(given, time.time())
    if left is not None:
        listener.told(left)
