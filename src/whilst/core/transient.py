"""Is a failure worth another attempt?"""

from __future__ import annotations

from typing import Any

from .diagnosis import Kind, diagnose


def transient(error: BaseException) -> bool:
    """Whether a retry can help after this failure; the default for `Retry(on=)`.

    It knows the exceptions of requests, urllib3, httpx, aiohttp, pyreqwest, urllib, botocore, openai, grpc, psycopg,
    redis-py and the standard library, and imports none of them. It also looks at the exception that yours was raised
    `from`, and treats yours like that one.

    | failure | transient |
    |---|---|
    | `whilst.Throttled` | yes |
    | connection refused, reset, closed, unreachable; an answer that ends too early | yes |
    | timeouts: connecting, reading, `timeout=` of a run | yes |
    | HTTP 408, 425, 429 and 5xx | yes, but not 501 and 505 |
    | HTTP 403 and 413 that come with Retry-After, or with no calls left in the rate limit | yes |
    | any other HTTP status, such as 400, 401, 403, 404; a quota that is spent (`insufficient_quota`) | no |
    | AWS: throttling codes whatever the status, `RequestTimeout`, `InternalError` | yes |
    | gRPC UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED; no other code | yes |
    | SQLSTATE 08… (but 08P01), 40001, 40P01, 53300, 55P03, 57P01, 57P02, 57P03; no other state | yes |
    | SQLite busy or locked; redis loading, out of connections, cluster moving | yes |
    | a name that resolves later (`EAI_AGAIN`); a name that does not exist is none to try again | yes / no |
    | TLS: a certificate or handshake that fails | no, but a connection that broke meanwhile |
    | TypeError, ValueError, KeyError and other programming errors, whatever they were raised from | no |
    | RecursionError, MemoryError, KeyboardInterrupt, CancelledError; errors of a run such as `DeadlineExceeded` | no |
    | a group: when every member is | |
    | anything else | no |

    Raises:
        TypeError: when given something other than an exception.

    >>> import whilst
    >>> whilst.transient(ConnectionResetError()), whilst.transient(TimeoutError()), whilst.transient(KeyError("id"))
    (True, True, False)
    """
    given: Any = error
    if not isinstance(given, BaseException):
        raise TypeError(f"transient() takes an exception, got {given!r}\n  try: whilst.transient(outcome.error)")
    return diagnose(error).kind is not Kind.FINAL
