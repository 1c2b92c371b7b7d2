"""Which status, code and class name of which client means which kind of trouble? Tables only."""

from __future__ import annotations

import errno
from enum import Enum
from typing import Final, TypeAlias


class Kind(Enum):
    """What may be the trouble."""

    THROTTLED = "the other side is busy and says so"
    REFUSED = "nobody takes the connection"
    TIMEOUT = "no answer in time"
    LOST = "the connection broke, or the answer ended too early"
    UNREACHABLE = "there was no connection, for a reason that may pass"
    FAILED = "the other side failed, in a way that may pass"
    FINAL = "another attempt would end the same way"


Verdict: TypeAlias = "tuple[Kind, str]"  # the string is what a summary calls it


def _named(names: str, verdict: Verdict) -> dict[str, Verdict]:
    return dict.fromkeys(names.split(), verdict)


BROKEN: Final = (Kind.LOST, "connection lost")
NO_ANSWER: Final = (Kind.TIMEOUT, "timeout")
NO_ROOM: Final = (Kind.UNREACHABLE, "no free connection in the client's pool")
NO_CONNECTION: Final = (Kind.UNREACHABLE, "connection failed")
NO_HOST: Final = (Kind.FINAL, "no such host")
NO_PERMIT: Final = (Kind.FINAL, "not permitted")
REFUSED: Final = (Kind.REFUSED, "connection refused")
CROWDED: Final = (Kind.THROTTLED, "too many connections")
NOT_NOW: Final = (Kind.THROTTLED, "the database cannot take connections now")
BAD_CERTIFICATE: Final = (Kind.FINAL, "certificate refused")
BAD_TLS: Final = (Kind.FINAL, "TLS failed")

# HTTP -----------------------------------------------------------------------------------------------------------

BUSY: Final = frozenset({420, 429, 503, 529})  # 420: Telegram's clients, Twitter once; 529: Anthropic and others
SLOW: Final = frozenset({408, 504})
NEVER: Final = frozenset({501, 505})  # what the server cannot do it cannot do later
# With a Retry-After, or no calls left: GitHub's limits; RFC 9110 15.5.14; Binance; Shopify.
LIMITING: Final = frozenset({403, 413, 418, 430})


def verdict_of_status(status: int) -> Kind:
    """Return what an HTTP status from 400 to 599 means by itself."""
    if status in BUSY:
        return Kind.THROTTLED
    if status in SLOW:
        return Kind.TIMEOUT
    return Kind.FAILED if status == 425 or (status >= 500 and status not in NEVER) else Kind.FINAL


# A service's own words, whatever HTTP status comes with them: AWS's, Google's, Stripe's for an object that is in use,
# and OpenAI's for a 429 that only money mends.
SERVICE_CODES: Final = {
    **_named("Throttling ThrottlingException ThrottledException RequestThrottled", (Kind.THROTTLED, "throttled")),
    **_named("RequestThrottledException TooManyRequestsException SlowDown", (Kind.THROTTLED, "throttled")),
    **_named("ProvisionedThroughputExceededException RequestLimitExceeded", (Kind.THROTTLED, "throttled")),
    **_named("BandwidthLimitExceeded LimitExceededException EC2ThrottledException", (Kind.THROTTLED, "throttled")),
    **_named("PriorRequestNotComplete TransactionInProgressException", (Kind.THROTTLED, "throttled")),
    **_named("rateLimitExceeded userRateLimitExceeded", (Kind.THROTTLED, "throttled")),
    "lock_timeout": (Kind.FAILED, "in use"),
    **_named("RequestTimeout RequestTimeoutException", NO_ANSWER),
    **_named("InternalError InternalFailure InternalServerError", (Kind.FAILED, "internal error")),
    **_named("insufficient_quota billing_hard_limit_reached", (Kind.FINAL, "quota spent")),
}

# gRPC and databases ------------------------------------------------------------------------------------------------

GRPC_CODES: Final = {
    "RESOURCE_EXHAUSTED": Kind.THROTTLED,
    "UNAVAILABLE": Kind.REFUSED,
    "DEADLINE_EXCEEDED": Kind.TIMEOUT,
    "ABORTED": Kind.FAILED,
}

SQLSTATES: Final[dict[str, Verdict]] = {  # PostgreSQL's manual, appendix A; two characters stand for their class
    "53300": CROWDED,
    "57P03": NOT_NOW,
    "40001": (Kind.FAILED, "serialization failure"),
    "40P01": (Kind.FAILED, "deadlock"),
    "55P03": (Kind.FAILED, "lock not available"),
    "57P01": (Kind.LOST, "the database was shut down"),
    "57P02": (Kind.LOST, "the database crashed"),
    "08P01": (Kind.FINAL, "protocol violation"),
    "08": BROKEN,
}

# The operating system -----------------------------------------------------------------------------------------------

ERRNOS: Final[dict[int, Verdict]] = {
    errno.ECONNREFUSED: REFUSED,
    errno.ETIMEDOUT: NO_ANSWER,
    **dict.fromkeys((errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ENOTCONN, errno.ESHUTDOWN), BROKEN),
    **dict.fromkeys((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN), (Kind.UNREACHABLE, "unreachable")),
    errno.EADDRNOTAVAIL: (Kind.UNREACHABLE, "no free local port"),
}
NO_SUCH_HOST: Final = frozenset({-2, -5, 7, 8, 11001, 11004})  # EAI_NONAME, EAI_NODATA: Linux, BSD and macOS, Windows

BUILTINS: Final[tuple[tuple[type[OSError], Verdict], ...]] = (
    (ConnectionRefusedError, REFUSED),
    (TimeoutError, NO_ANSWER),
    (ConnectionError, BROKEN),
)
TLS: Final[dict[str, Verdict]] = {
    **_named("SSLEOFError SSLZeroReturnError SSLSyscallError", BROKEN),
    "SSLCertVerificationError": BAD_CERTIFICATE,
}

# Clients, by the names of their classes -----------------------------------------------------------------------------

# Names are looked up in these packages only, so that a user's own class `Timeout` is none of ours.
PACKAGES: Final = frozenset(
    {"requests", "urllib3", "httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "pyreqwest", "http", "asyncio"}
    | {"botocore", "openai", "anthropic", "grpc", "psycopg", "psycopg2", "psycopg_pool", "redis"}
)

# A class that can mean one thing only.
DEFINITE: Final[dict[str, Verdict]] = {
    **_named("Timeout ConnectTimeout ReadTimeout WriteTimeout TimeoutException ConnectTimeoutError", NO_ANSWER),
    **_named("ReadTimeoutError ServerTimeoutError APITimeoutError RequestTimeoutError ConnectionTimeout", NO_ANSWER),
    **_named("IncompleteRead IncompleteReadError InvalidChunkLength RemoteDisconnected RemoteProtocolError", BROKEN),
    **_named("ServerDisconnectedError ClientPayloadError ClientConnectionResetError", BROKEN),
    **_named("PoolTimeout PoolTimeoutError EmptyPoolError FullPoolError MaxConnectionsError", NO_ROOM),
    **_named("AuthenticationError AuthorizationError NoPermissionError", NO_PERMIT),
    **_named("JSONDecodeError ServerFingerprintMismatch LocalProtocolError", (Kind.FINAL, "unexpected answer")),
    **_named("ClusterDownError MasterDownError TryAgainError", (Kind.FAILED, "the cluster is moving")),
    "BusyLoadingError": NOT_NOW,
    "BadStatusLine": BROKEN,  # where the line is empty
}

# A class that says little; what it was raised from may say more, and its message may.
VAGUE: Final[dict[str, Verdict]] = {
    **_named("ConnectionError ConnectError NetworkError NewConnectionError NameResolutionError", NO_CONNECTION),
    **_named("ProxyError OperationalError ClientConnectionError APIConnectionError", NO_CONNECTION),
    **_named("ProtocolError ReadError WriteError ChunkedEncodingError ConnectionClosedError", BROKEN),
    **_named("ResponseStreamingError BodyDecodeError", BROKEN),
    **_named("SSLError ClientSSLError", BAD_TLS),
    "TimeoutError": NO_ANSWER,  # in urllib3 the parent of a refused connection too
}

PHRASES: Final = (  # patterns, which `re` compiles at their first use
    (r"too many (?:clients|connections)|max number of clients|connection slots|no more connections", CROWDED),
    (r"is starting up|is shutting down|recovery mode|loading the dataset", NOT_NOW),
    (r"authentication failed|WRONGPASS|NOAUTH|pg_hba\.conf|no password supplied", NO_PERMIT),
    (r"(?:database|role) .{1,200} does not exist", NO_PERMIT),
    (r"certificate", BAD_CERTIFICATE),
    (r"connection refused|actively refused", REFUSED),
    (r"name or service not known|nodename nor servname|no address associated|domain name not found", NO_HOST),
    (r"timed out|timeout expired", NO_ANSWER),
)
