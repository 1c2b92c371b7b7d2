"""What does an answer of somebody else's client say of the calls that are left, and which limit hears of it?"""

from __future__ import annotations

import time
import warnings

from ..core.evidence import answer_of
from ..core.headers import left_as_told
from ..core.outcome import short
from ..core.users_line import levels_to_user
from ..lanes.calling import listener_now


def learn_from(response: object) -> None:
    """Let the limits of this call learn from an answer how many calls are left, and when to come again.

    Use it inside a mapped function or a step, or in a block under `with limit:`. The limits of the call (for its key),
    or the run if it has no limit, then start no more calls than the other side has left. `whilst.http` does this by
    itself, and so do exceptions that carry an answer.

    Args:
        response: an answer of requests, httpx, aiohttp, urllib, urllib3, or any other object with `.headers`;
            botocore's dict; or the headers, as a mapping or pairs. It reads `RateLimit`, `X-RateLimit-*`, the buckets
            of OpenAI, Anthropic and Shopify, and, for a refusal that was not raised, `Retry-After`. An answer without
            these changes nothing.

    Raises:
        TypeError: there are no headers.

    Outside of a call it only warns.

    >>> import whilst
    >>> def fetch(url):
    ...     headers = {"X-RateLimit-Remaining": "12", "X-RateLimit-Reset": "30"}  # of requests.get(url), say
    ...     whilst.learn_from(headers)
    ...     return url
    >>> whilst.map(fetch, ["a", "b"]).list()
    ['a', 'b']
    """
    answer = answer_of(response)
    if answer is None:
        raise TypeError(
            f"learn_from() reads the headers of an answer, and {short(response)} ({type(response).__name__}) has none\n"
            "  try: whilst.learn_from(response), or whilst.learn_from(response.headers)"
        )
    left = left_as_told(*answer, time.time())
    listener = listener_now()
    if listener is None:
        warnings.warn(
            "learn_from() was called outside of a call, so there is no limit that could learn\n"
            "  try: in the function that is given to whilst.map(…), or in a block under `with limit:`",
            RuntimeWarning,
            stacklevel=levels_to_user(),
        )
    elif left is not None:
        listener.allow(left)
