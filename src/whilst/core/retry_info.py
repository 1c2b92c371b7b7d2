"""How long does a service of Google's want to be left alone, in the details that it attaches to a failure?

One of them may be a google.rpc.RetryInfo. Clients keep it as JSON (google-genai, googleapiclient), as an object
(google-api-core), or as bytes: `grpc-status-details-bin` holds a google.rpc.Status of which it is one. Both are
protocol buffers of a few fields, read here by number so that nobody needs their classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import cast

from .evidence import is_a, peek
from .fields import Headers, duration

DETAILS, TYPE_URL, VALUE = 3, 1, 2  # google.rpc.Status.details; google.protobuf.Any
RETRY_DELAY, SECONDS, NANOS = 1, 1, 2  # google.rpc.RetryInfo; google.protobuf.Duration
MOST_BYTES = 65536
MOST_DETAILS = 64


def told_delay(error: BaseException, headers: Headers) -> float | None:
    """Return the seconds that a RetryInfo asks for, in whichever of the three forms; None when there is none.

    >>> error = Exception("429")
    >>> info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
    >>> error.details = {"error": {"details": [info]}}
    >>> told_delay(error, {})
    34.0
    """
    delay = retry_delay(headers.get("grpc-status-details-bin", ()))
    if delay is not None:
        return delay
    waiting: list[object] = [peek(error, "details"), peek(error, "error_details")]
    for it in islice(waiting, MOST_DETAILS):  # `waiting` grows while it is read
        if is_a(it, dict):
            held = cast("dict[object, object]", it)
            kind, given = held.get("@type"), held.get("retryDelay")
            if is_a(kind, str) and kind.endswith("/google.rpc.RetryInfo") and is_a(given, str):
                return duration(given)
            waiting.extend(held.get(key) for key in ("error", "details"))
        elif is_a(it, list):
            waiting.extend(cast("list[object]", it)[:MOST_DETAILS])
        elif (given := peek(it, "retry_delay")) is not None:
            seconds, nanos = peek(given, "seconds"), peek(given, "nanos")
            if type(seconds) is int and type(nanos) is int and 0 <= seconds < 1e12:
                return seconds + max(0, nanos) / 1e9
    return None


def retry_delay(values: Iterable[object]) -> float | None:
    """Return the seconds that a RetryInfo asks for; None when there is none, or it is damaged or negative.

    >>> duration = bytes([1 << 3, 7])
    >>> info = bytes([1 << 3 | 2, len(duration)]) + duration
    >>> url = b"type.googleapis.com/google.rpc.RetryInfo"
    >>> detail = bytes([1 << 3 | 2, len(url)]) + url + bytes([2 << 3 | 2, len(info)]) + info
    >>> retry_delay([bytes([3 << 3 | 2, len(detail)]) + detail])
    7.0
    """
    for value in values:
        if not is_a(value, bytes) or len(value) > MOST_BYTES:
            continue
        try:
            delays = [_seconds(info) for info in _retry_infos(value)]
        except (ValueError, IndexError):  # not what it should be: then it says nothing
            continue
        if delays and 0 <= max(delays) < 1e12:
            return max(delays)
    return None


def _retry_infos(status: bytes) -> Iterator[bytes]:
    for field, detail in _fields(status):
        if field == DETAILS and isinstance(detail, bytes):
            found = dict(_fields(detail))
            url, info = found.get(TYPE_URL), found.get(VALUE)
            if isinstance(url, bytes) and isinstance(info, bytes) and url.endswith(b"/google.rpc.RetryInfo"):
                yield info


def _seconds(info: bytes) -> float:
    duration = dict(_fields(info)).get(RETRY_DELAY, b"")
    parts = dict(_fields(duration)) if isinstance(duration, bytes) else {}
    seconds, nanos = parts.get(SECONDS, 0), parts.get(NANOS, 0)
    return seconds + nanos / 1e9 if isinstance(seconds, int) and isinstance(nanos, int) else 0.0


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give (number, value) of every field; fixed-size numbers, which none of these messages has, are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield field, value - (1 << 64) if value >= 1 << 63 else value
        elif wire == 2:
            size, at = _varint(message, at)
            if size > len(message) - at:
                raise ValueError("a field is cut off")
            yield field, message[at : at + size]
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")
