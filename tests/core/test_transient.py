"""Which failures are worth another attempt, and which calls are retried already."""

from __future__ import annotations

import asyncio
import errno
import functools
import http.client
import json
import socket
import sqlite3
import ssl
import urllib.error
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

import whilst
from whilst.core.retried import retried_inside, retries_of

DATES = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}


def of_package(package: str, name: str, *parents: type[Exception], text: str = "", **attributes: object) -> Exception:
    """Make an exception as if a client's package had defined its class."""
    cls = type(name, parents or (Exception,), {"__module__": f"{package}.exceptions"})
    error: Exception = cls(text)
    for key, value in attributes.items():
        setattr(error, key, value)
    return error


def because(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


class Code(Enum):
    UNAVAILABLE = 14
    RESOURCE_EXHAUSTED = 8
    DEADLINE_EXCEEDED = 4
    ABORTED = 10
    INTERNAL = 13
    UNAUTHENTICATED = 16
    CANCELLED = 1


def rpc(code: Code) -> Exception:
    return of_package("grpc", "RpcError", code=lambda: code, details=lambda: "no")


@pytest.mark.parametrize(
    "error",
    [
        whilst.Throttled(),
        *(
            ConnectionRefusedError(),
            ConnectionResetError(),
            ConnectionAbortedError(),
            BrokenPipeError(),
            ConnectionError(),
        ),
        *(OSError(code, "no") for code in (errno.ENETUNREACH, errno.ECONNRESET, errno.ETIMEDOUT, errno.ECONNREFUSED)),
        TimeoutError(),
        *(of_package("http", "X", OSError, status=status) for status in (408, 425, 429, 500, 502, 503, 504, 520, 529)),
        of_package("http", "X", status=403, headers=DATES),
        *(rpc(code) for code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.ABORTED)),
        *(
            of_package("psycopg", "X", sqlstate=state)
            for state in ("08006", "08001", "40001", "40P01", "53300", "57P03")
        ),
        of_package("psycopg2", "X", pgcode="40001"),
        of_package("psycopg", "OperationalError", sqlstate=None),
        of_package("redis", "ConnectionError"),
        of_package("redis", "BusyLoadingError", Exception),
        of_package("requests", "ConnectionError", OSError),
        of_package("requests", "ChunkedEncodingError", OSError),
        of_package("httpx", "ReadTimeout"),
        of_package("httpx", "RemoteProtocolError"),
        of_package("aiohttp", "ServerDisconnectedError"),
        of_package("openai", "APIConnectionError"),
        of_package(
            "botocore", "EndpointConnectionError", type("ConnectionError", (Exception,), {"__module__": "botocore.x"})
        ),
        http.client.IncompleteRead(b""),
        http.client.RemoteDisconnected(),
        http.client.BadStatusLine(""),
        asyncio.IncompleteReadError(b"", 5),
        ssl.SSLEOFError(8, "EOF"),
        socket.gaierror(-3, "Temporary failure in name resolution"),
        urllib.error.URLError(ConnectionRefusedError()),
        because(RuntimeError("mine"), TimeoutError()),
        because(RuntimeError("mine"), because(RuntimeError("theirs"), ConnectionResetError())),
        ExceptionGroup("", [TimeoutError(), ConnectionResetError()]),
        of_package("x", "ApiError", ValueError, status=503),  # its own word counts more than its parent
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again(error: BaseException) -> None:
    assert whilst.transient(error)


@pytest.mark.parametrize(
    "error",
    [
        *(TypeError(), ValueError(), KeyError(), AttributeError(), NameError(), ZeroDivisionError(), AssertionError()),
        *(
            ImportError(),
            NotImplementedError(),
            RecursionError(),
            MemoryError(),
            UnicodeDecodeError("a", b"", 0, 1, ""),
        ),
        *(KeyboardInterrupt(), SystemExit(), GeneratorExit(), asyncio.CancelledError(), StopIteration()),
        *(Exception(), RuntimeError(), OSError(), OSError("no"), FileNotFoundError(2, "no"), OSError(28, "disk full")),
        *(whilst.DeadlineExceeded(), whilst.Stopped(), whilst.RunCancelled(), whilst.TooManyAbandoned()),
        *(of_package("http", "X", OSError, status=status) for status in (400, 401, 403, 404, 409, 422, 501, 505)),
        of_package("openai", "RateLimitError", status_code=429, code="insufficient_quota"),
        *(rpc(code) for code in (Code.INTERNAL, Code.UNAUTHENTICATED, Code.CANCELLED)),
        *(of_package("psycopg", "X", sqlstate=state) for state in ("23505", "42P01", "28P01", "08P01")),
        of_package("redis", "AuthenticationError", type("ConnectionError", (Exception,), {"__module__": "redis.x"})),
        of_package("requests", "SSLError", type("ConnectionError", (OSError,), {"__module__": "requests.x"})),
        of_package("requests", "InvalidURL", ValueError),
        of_package("mine", "Timeout"),
        of_package("mine", "ConnectionError"),
        json.JSONDecodeError("no", "", 0),
        http.client.BadStatusLine("SSH-2.0-OpenSSH_9.6"),
        ssl.SSLCertVerificationError(1, "no"),
        ssl.SSLError(1, "wrong version number"),
        because(of_package("requests", "SSLError", OSError), ssl.SSLCertVerificationError(1, "no")),
        socket.gaierror(-2, "Name or service not known"),
        because(of_package("httpx", "ConnectError"), socket.gaierror(-2, "Name or service not known")),
        of_package("pyreqwest", "ConnectError", text="invalid peer certificate: UnknownIssuer"),
        sqlite3.OperationalError("no such table"),
        because(KeyError("x"), TimeoutError()),
        because(FileNotFoundError(2, "no"), TimeoutError()),
        because(of_package("x", "X", status=404), TimeoutError()),
        ExceptionGroup("", [TimeoutError(), KeyError()]),
        BaseExceptionGroup("", [TimeoutError(), KeyboardInterrupt()]),
        urllib.error.URLError("unknown url type"),
    ],
    ids=repr,
)
def test_what_would_end_the_same_way_is_not(error: BaseException) -> None:
    assert not whilst.transient(error)


@pytest.mark.parametrize("given", [None, TimeoutError, "timeout", 429])
def test_only_an_exception_can_be_judged(given: Any) -> None:
    with pytest.raises(
        TypeError, match=r"transient\(\) takes an exception, got .*\n  try: whilst.transient\(outcome.error\)"
    ):
        whilst.transient(given)


# Retried already -----------------------------------------------------------------------------------------------------


def decorated(package: str, fn: Any) -> Any:
    """Wrap a function as a library's decorator would, its globals being that library's."""
    space: dict[str, Any] = {"__name__": f"{package}._core", "functools": functools}
    exec("def retry(fn):\n @functools.wraps(fn)\n def call(*args): return fn(*args)\n return call", space)
    return space["retry"](fn)


def fetch(number: int) -> int:
    raise TimeoutError


class Client:
    fetch = decorated("backoff", fetch)


@pytest.mark.parametrize(
    ("fn", "library"),
    [
        (fetch, ""),
        (len, ""),
        (None, ""),
        (Client, ""),
        (decorated("mine", fetch), ""),
        (decorated("stamina", fetch), "stamina"),
        (decorated("mine", decorated("tenacity", fetch)), "tenacity"),
        (functools.partial(functools.partial(decorated("backoff", fetch)), 1), "backoff"),
        (Client().fetch, "backoff"),
        (functools.partial(Client().fetch), "backoff"),
    ],
)
def test_a_function_that_retries_is_known_by_its_wrapper(fn: Any, library: str) -> None:
    assert retries_of(fn) == library


def test_a_circle_of_wrappers_ends() -> None:
    def one() -> None: ...

    one.__wrapped__ = one  # type: ignore[attr-defined]
    assert retries_of(one) == ""


@pytest.mark.parametrize(
    ("error", "library"),
    [
        (TimeoutError(), ""),
        (of_package("tenacity", "RetryError"), "tenacity"),
        (of_package("requests", "RetryError"), "urllib3"),
        (of_package("google", "RetryError"), "google.api_core"),
        (of_package("mine", "RetryError"), ""),
        (because(RuntimeError(), of_package("tenacity", "RetryError")), "tenacity"),
        (of_package("botocore", "X", response={"ResponseMetadata": {"RetryAttempts": 4}}), "botocore"),
        (of_package("botocore", "X", response={"ResponseMetadata": {"RetryAttempts": 0}}), ""),
        (of_package("botocore", "X", response={"ResponseMetadata": {"RetryAttempts": "4"}}), ""),
        (of_package("botocore", "X", response={"ResponseMetadata": None}), ""),
    ],
    ids=repr,
)
def test_an_error_that_was_retried_says_so(error: BaseException, library: str) -> None:
    assert retried_inside(error) == library


@pytest.mark.parametrize(("redirect", "library"), [(None, "urllib3"), ("/there", "")])
def test_a_redirect_is_no_retry(redirect: str | None, library: str) -> None:
    retries = SimpleNamespace(history=(SimpleNamespace(redirect_location=redirect),))
    error = of_package("requests", "HTTPError", response=SimpleNamespace(raw=SimpleNamespace(retries=retries)))
    assert retried_inside(error) == library


def test_an_error_that_came_through_a_retry_says_so() -> None:
    with pytest.raises(TimeoutError) as caught:
        decorated("stamina", fetch)(1)
    assert retried_inside(caught.value) == "stamina"
