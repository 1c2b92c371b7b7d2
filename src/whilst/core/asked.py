"""What does an exception ask for: how long to wait, how fast to go on; in headers, in details, or by itself?"""

from __future__ import annotations

from ..errors import Throttled
from .evidence import headers_of, is_a, wait_of
from .headers import Advice, advice_of, capped
from .retry_info import told_delay


def asked_by(error: BaseException, now: float) -> Advice:
    """Read all that an exception says of waiting; where headers say how long, that counts.

    `now` is as in `advice_of`.

    >>> import whilst
    >>> asked_by(whilst.Throttled(retry_after=2), now=0.0).retry_after
    2.0
    """
    own = wait_of(error)
    if is_a(error, Throttled):  # what it was raised from has been judged by who raised it
        advice, what = Advice(), "retry_after"
    else:
        headers = headers_of(error)
        advice = advice_of(headers, now) if headers else Advice()
        if advice.retry_after is not None:
            return advice
        delay = told_delay(error, headers)
        own, what = (own, "retry_after") if delay is None else (delay, "RetryInfo")
    if own is None:
        return advice
    told = [advice.absurd] if advice.absurd else []
    return advice._replace(retry_after=capped(own, what, told), absurd="; ".join(told))
