"""What does an exception tell of the other side: which status, which headers, which host?

Exceptions come from any client and may be anything: properties that raise, headers of the wrong type, causes that go
round in a circle. So everything is read by duck typing through `peek`, and every walk has a bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from math import inf
from typing import Any, TypeGuard, TypeVar, cast

T = TypeVar("T")

MOST_CAUSES = 16  # requests -> urllib3 -> OSError is four deep; a circle or a crowd ends here
MOST_LEAVES = 64
MOST_HEADERS = 256
MOST_TEXT = 2000  # of a message that is searched for a phrase

# What no waiting mends. What such an error was raised from (or, more often, while handling) says nothing about it.
MISTAKES = (
    *(TypeError, ValueError, LookupError, AttributeError, NameError, AssertionError, ArithmeticError),
    *(ImportError, SyntaxError, NotImplementedError, RecursionError, MemoryError, ReferenceError, BufferError),
)

PLAIN = frozenset({*MISTAKES, KeyError, IndexError, ZeroDivisionError, UnicodeDecodeError, ModuleNotFoundError})


def described_status(status: int) -> str:
    """Return a status as people write it.

    >>> described_status(401), described_status(599)
    ('401 Unauthorized', '599')
    """
    try:
        from http import HTTPStatus  # loaded when used: to make that enum takes as long as to load ten modules

        return f"{status} {HTTPStatus(status).phrase}"
    except (ValueError, ImportError):  # no such status; or no file can be opened, which may be the very failure
        return str(status)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status, 400 to 599, that an exception, its response or its cause carries.

    >>> import urllib.error
    >>> status_of(urllib.error.HTTPError("http://localhost", 404, "Not Found", None, None))
    404
    """
    if is_plain_mistake(error):
        return None
    return next((status for it in chain_of(error) if (status := own_status(it)) is not None), None)


def host_of(error: BaseException) -> str:
    """Return the host that an exception speaks of, or ""; never user-info, port, path or query.

    >>> error = OSError("no")
    >>> error.url = "https://me:secret@API.example.com:8443/v1?key=secret"
    >>> host_of(error)
    'api.example.com'
    """
    for it in chain_of(error):
        for host in (*(_host_in(url(it)) for url in URLS), *(_host_named(holder(it)) for holder in HOLDERS)):
            if host:
                return host
    return ""


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and what it came from, nearest first, each once, at most `MOST_CAUSES`.

    Beside the causes these are exceptions kept as arguments or attributes, as requests and urllib3 do. The walk does
    not go past a programming error: a KeyError while handling a 503 is a KeyError.
    """
    waiting, seen = [error], {id(error)}
    for it in islice(waiting, MOST_CAUSES):  # `waiting` grows while it is read
        yield it
        for found in () if is_a(it, MISTAKES) else _origins(it):
            if is_a(found, BaseException) and id(found) not in seen:
                seen.add(id(found))
                waiting.append(found)


def leaves_of(error: BaseException) -> list[BaseException]:
    """Return the exceptions of a group, of its groups too, at most `MOST_LEAVES`; one that is no group is its own."""
    waiting, leaves = [error], list[BaseException]()
    for it in islice(waiting, MOST_LEAVES):  # `waiting` grows while it is read
        members = peek(it, "exceptions") if is_a(it, BaseExceptionGroup) else None
        if is_a(members, tuple):
            waiting.extend(member for member in cast("tuple[object, ...]", members) if is_a(member, BaseException))
        else:
            leaves.append(it)
    return leaves


def is_a(thing: object, kind: type[T] | tuple[type[T], ...]) -> TypeGuard[T]:
    """Whether the real class of a thing is of a kind; unlike isinstance this never runs code of the thing."""
    return issubclass(type(thing), kind)


def peek(thing: object, name: str) -> Any:
    """Return an attribute, or None where there is none or reading it fails."""
    try:
        return getattr(thing, name, None)
    except Exception:  # a property may do anything, and this is only a look
        return None


def is_plain_mistake(error: BaseException) -> bool:
    """Whether an exception is of a builtin class for mistakes and carries nothing: 0.2 µs where a full look takes 20.

    Runs over dirty data fail so by the thousand.
    """
    return type(error) in PLAIN and vars(error).keys() <= {"__notes__"}


def own_status(error: BaseException) -> int | None:
    """Return the HTTP status on this very exception or its response."""
    response = peek(error, "response")
    for holder in (error, response, peek(error, "resp")):  # the last is googleapiclient's
        for name in ("status_code", "status", "code", "http_status"):  # the last is Stripe's, and Spotify's
            if (status := _status(peek(holder, name))) is not None:
                return status
    botocore = _item(_item(response, "ResponseMetadata"), "HTTPStatusCode")
    pyreqwest = _item(peek(error, "details"), "status")
    for value in (botocore, pyreqwest):
        if (status := _status(value)) is not None:
            return status
    if type(error).__name__ == "ResponseError":  # urllib3's own retries ran out; it keeps the status in words only
        found = re.search(r"\btoo many (\d{3}) error responses", text_of(error))
        return _status(int(found[1])) if found else None
    return None


def error_code_of(error: BaseException) -> str:
    """Return the service's own word for an error, as botocore, openai and Google's clients keep it, or ""."""
    reasons = (_reason(peek(error, name)) for name in ("error_details", "errors"))
    for value in (_item(_item(peek(error, "response"), "Error"), "Code"), peek(error, "code"), *reasons):
        if is_a(value, str):
            return value[:MOST_TEXT]
    return ""


def wait_of(error: BaseException) -> float | None:
    """Return the seconds for which an exception itself asks to wait, in its `retry_after`; None if it does not.

    So do `Throttled`, discord.py's RateLimited, Telegram's RetryAfter and others; a timedelta is read, too.
    """
    given = peek(error, "retry_after")
    wait = given if is_a(given, (int, float)) and not is_a(given, bool) else called(given, "total_seconds")
    return float(wait) if is_a(wait, (int, float)) and 0 <= wait < inf else None


def headers_of(error: BaseException) -> dict[str, list[object]]:
    """Return the answer's headers, names in lower case, of the first exception in the chain that carries any."""
    for it in chain_of(error):
        response = peek(it, "response")
        metadata = _item(_item(response, "ResponseMetadata"), "HTTPHeaders")
        resp = peek(it, "resp")  # googleapiclient's, which is the dict of its headers
        of_google: object = cast("object", resp) if is_a(resp, dict) else None
        trailing = called(it, "trailing_metadata")
        places: tuple[object, ...] = (peek(it, "headers"), peek(response, "headers"), metadata, of_google, trailing)
        for held in places:
            if headers := collected(held):
                return headers
    return {}


def called(thing: object, name: str) -> Any:
    """Return what a method without arguments gives, or None where there is none or it fails."""
    method = peek(thing, name)
    try:
        return method() if callable(method) else None
    except Exception:  # as in `peek`
        return None


def text_of(thing: object) -> str:
    """Return `str(thing)`, short enough to be searched, whatever its `__str__` does."""
    try:
        return str(thing)[:MOST_TEXT]
    except Exception:  # as in `peek`
        return ""


def _origins(error: BaseException) -> Iterator[object]:
    yield peek(error, "__cause__")
    yield None if peek(error, "__suppress_context__") else peek(error, "__context__")
    for name in ("reason", "os_error", "orig"):  # urllib and urllib3, aiohttp, SQLAlchemy
        yield peek(error, name)
    args = peek(error, "args")
    yield from cast("tuple[object, ...]", args)[:4] if is_a(args, tuple) else ()


def _status(value: object) -> int | None:
    right = is_a(value, int) and not is_a(value, bool) and 400 <= value <= 599
    return int(cast("int", value)) if right else None  # an HTTPStatus prints as its name


def _item(thing: object, key: str) -> Any:
    """Return `thing[key]` of a mapping, else None."""
    try:
        return cast("Mapping[str, Any]", thing).get(key) if isinstance(thing, Mapping) else None
    except Exception:  # as in `peek`
        return None


def _reason(errors: object) -> object:
    """Return the reason of the first of Google's errors."""
    first = cast("list[object]", errors)[:1] if is_a(errors, list) else ()
    return next((_item(it, "reason") for it in first), None)


def answer_of(response: object) -> tuple[dict[str, list[object]], int | None] | None:
    """Return the headers of an answer of any client, names in lower case, and its status; None if it has no headers.

    It may be the client's own object, botocore's dict, or the headers themselves.

    >>> answer_of({"X-RateLimit-Remaining": "3"}), answer_of("an answer")
    (({'x-ratelimit-remaining': ['3']}, None), None)
    """
    metadata = _item(response, "ResponseMetadata")
    for holder in (response, peek(response, "response")):
        if (headers := peek(holder, "headers")) is not None:
            statuses = (peek(holder, name) for name in ("status_code", "status", "code"))
            return collected(headers), next((it for it in statuses if is_a(it, int)), None)
    if (headers := _item(metadata, "HTTPHeaders")) is not None:
        status = _item(metadata, "HTTPStatusCode")
        return collected(headers), status if is_a(status, int) else None
    if isinstance(response, Mapping) or (is_a(response, (list, tuple)) and response):
        return collected(response), None
    return None


def collected(held: Any) -> dict[str, list[object]]:
    """Return headers of any shape (mapping, multidict, message, pairs) by name, all values of a name together."""
    headers: dict[str, list[object]] = {}
    try:
        pairs: Iterable[Any] = held.items() if hasattr(held, "items") else held or ()
        for name, value in islice(pairs, MOST_HEADERS):
            key = name.decode("latin-1") if is_a(name, bytes) else name
            if is_a(key, str):
                several = cast("list[object]", value)[:16] if is_a(value, list) else [value]
                headers.setdefault(key.lower(), []).extend(several)
    except Exception:  # what could be read until here is better than nothing
        pass
    return headers


def _host_in(url: object) -> str:
    """Return the host in a URL; "" for anything else, relative URLs too."""
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#\\]*)", text_of(url) if url is not None else "")
    return _bare(found[1].rpartition("@")[2]) if found else ""


def _host_named(holder: object) -> str:
    host = peek(holder, "host")
    return _bare(host) if is_a(host, str) else ""


def _bare(place: str) -> str:
    """Return the host of `host:port`, if it is one.

    A password with a bare slash makes `user:pass` look like it; so the port must be a number.
    """
    host = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([\w.-]{1,253}))(?::\d*)?", place)
    return (host[1] or host[2]).lower() if host else ""


def _url_in_causes(error: BaseException) -> object:
    """Return the URL in the messages that pyreqwest keeps; it has no attribute for it."""
    causes = _item(peek(error, "details"), "causes")
    for cause in cast("list[object]", causes)[:8] if is_a(causes, list) else ():
        if found := re.search(r"for url \((\S+)\)", text_of(_item(cause, "message"))):
            return found[1]
    return None


URLS: tuple[Callable[[BaseException], object], ...] = (
    lambda error: peek(peek(error, "request"), "url"),
    lambda error: peek(peek(error, "response"), "url"),
    lambda error: peek(peek(error, "request_info"), "url"),
    lambda error: peek(error, "url"),
    lambda error: _item(peek(error, "kwargs"), "endpoint_url"),  # botocore's connection errors
    _url_in_causes,
)
HOLDERS: tuple[Callable[[BaseException], object], ...] = (
    lambda error: error,
    lambda error: peek(error, "conn"),
    # urllib3 warns when `pool` is read on an error that has `conn`
    lambda error: peek(error, "pool") if peek(error, "conn") is None else None,
)
