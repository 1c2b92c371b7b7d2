"""What does an answer say about how many calls are left, and who is told?"""

from __future__ import annotations

import time

from pyreqwest.http import HeaderMap

from ..core.glance import Glance
from ..core.headers import left_of
from ..lanes.calling import listener_now
from .errors import readable

_glance = Glance()


def pass_on(headers: HeaderMap) -> None:
    """Tell the limit that the call is made under how many calls are left, if the answer says so.

    An answer with a Retry-After says it to whoever reads its exception.
    """
    listener = listener_now()
    if listener is None:
        return
    try:
        left = _glance.at(headers, time.time)
    except ValueError:  # one of the headers has a byte above 127
        given: dict[str, list[object]] = {}
        for name, value in readable(headers):
            given.setdefault(name, []).append(value)
        left = left_of(given, time.time())
    if left is not None and "retry-after" not in headers:
        listener.allow(left)
