"""Is a call retried already, by the function itself or by its client?

Retries at two levels multiply: three by three is nine calls for one failure. Nothing is changed about it, but the
summary says so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from types import FrameType, TracebackType
from typing import Any, Final, cast

from .evidence import chain_of, is_a, peek

LIBRARIES: Final = frozenset(
    {"tenacity", "stamina", "backoff", "retry", "retry2", "retrying", "opnieuw", "riprova", "aiohttp_retry"}
)
OWN: Final = "whilst.decorated"
"""Where our own decorator wraps functions."""
RETRY_ERRORS: Final = {
    "tenacity": "tenacity",
    "requests": "urllib3",
    "google": "google.api_core",
    "retrying": "retrying",
}
SILENT: Final = frozenset({type(None), bool, int, float, str, bytes, list, tuple, set})  # of which nothing can be seen
OFF: Final = {
    "botocore": 'Config(retries={"total_max_attempts": 1})',
    "urllib3": "Retry(total=0)",
    "openai": "max_retries=0",
    "anthropic": "max_retries=0",
}
"""How a client's own retries are turned off."""
MOST_LAYERS = 32
MOST_FRAMES = 256


def retries_of(fn: object) -> str:
    """Return the library whose decorator or caller retries `fn`, or "".

    Looks through partials, bound methods and `__wrapped__`; a retry loop written by hand cannot be seen.

    >>> import functools
    >>> retries_of(functools.partial(print)), retries_of(print)
    ('', '')
    """
    for layer in _layers(fn):
        module = peek(peek(layer, "__globals__"), "get")
        # A decorator's wrapper claims the name and module of what it wraps, but its globals are its own.
        for name in (module("__name__") if callable(module) else None, type(layer).__module__):
            if (package := _package(name)) in LIBRARIES:
                return package
            if name == OWN:
                return "whilst.Retry"
        if callable(peek(layer, "retry_with")) and peek(layer, "retry") is not None:  # tenacity's mark, wrapped again
            return "tenacity"
    return ""


def retried_inside(error: BaseException) -> str:
    """Return the library that retried the call before this exception came out of it, or "".

    >>> retried_inside(TimeoutError())
    ''
    """
    for it in chain_of(error):
        if found := _by_class(it) or _by_answer(it) or _by_request(it) or _by_frames(it):
            return found
    return ""


def retried_before(value: object) -> tuple[str, int]:
    """Return which client tried a call again by itself before this answer came, and how often; ("", 0) for none.

    It is seen where the client's own answer is returned: botocore's dict, the response of requests and urllib3, the raw
    response of openai and anthropic. What a function made of such an answer tells nothing.

    >>> retried_before({"Buckets": [], "ResponseMetadata": {"RetryAttempts": 3}})
    ('botocore', 3)
    >>> retried_before({"id": 25})
    ('', 0)
    """
    kind = type(value)
    if kind in SILENT:
        return "", 0
    if kind is dict:
        metadata = cast("dict[str, Any]", value).get("ResponseMetadata")
        attempts = cast("dict[str, Any]", metadata).get("RetryAttempts") if is_a(metadata, dict) else None
        return ("botocore", attempts) if is_a(attempts, int) and attempts > 0 else ("", 0)
    package = _package(kind.__module__)
    if package in ("requests", "urllib3"):
        answer = peek(value, "raw") if package == "requests" else value
        return ("urllib3", count) if (count := _steps_of(answer)) else ("", 0)
    if package in ("openai", "anthropic") and is_a(taken := peek(value, "retries_taken"), int) and taken > 0:
        return package, taken
    return "", 0


def _steps_of(answer: object) -> int:
    """Return how often urllib3 tried again before it gave this answer; a redirect is no retry."""
    history = peek(peek(answer, "retries"), "history")
    steps = cast("tuple[object, ...]", history)[:MOST_LAYERS] if is_a(history, tuple) else ()
    return sum(peek(step, "redirect_location") is None for step in steps)


def _layers(fn: object) -> Iterator[object]:
    for _ in range(MOST_LAYERS):
        yield fn
        partial = issubclass(type(fn), functools.partial)
        inner = (peek(fn, name) for name in ("func" if partial else "__wrapped__", "__func__"))
        fn = next((it for it in inner if callable(it)), None)
        if fn is None:
            return


def _package(module: object) -> str:
    return module.partition(".")[0] if is_a(module, str) else ""


def _by_class(error: BaseException) -> str:
    if type(error).__name__ == "RetryError":
        return RETRY_ERRORS.get(_package(type(error).__module__), "")
    if type(error).__name__ == "ResponseError" and _package(type(error).__module__) == "urllib3":
        return "urllib3"  # "too many 503 error responses": it was told to try these again
    return ""


def _by_answer(error: BaseException) -> str:
    """Look at what clients keep beside the last answer."""
    response = peek(error, "response")
    if is_a(response, dict):
        metadata = cast("dict[str, Any]", response).get("ResponseMetadata")
        attempts = cast("Mapping[str, Any]", metadata).get("RetryAttempts") if is_a(metadata, dict) else None
        return "botocore" if is_a(attempts, int) and attempts > 0 else ""
    return "urllib3" if _steps_of(response) or _steps_of(peek(response, "raw")) else ""


def _by_request(error: BaseException) -> str:
    """Look at the count that openai, anthropic and their kin send along."""
    headers = peek(peek(error, "request"), "headers")
    get = peek(headers, "get")
    try:
        count = get("x-stainless-retry-count") if callable(get) else None
    except Exception:  # headers of another kind
        return ""
    return _package(type(error).__module__) if is_a(count, str) and count not in ("", "0") else ""


def _by_frames(error: BaseException) -> str:
    """Look at where the exception came through: stamina and backoff, and tenacity's `reraise`, raise it as it was."""
    sends: set[int] = set()
    for frame in _frames(error):
        module = frame.f_globals.get("__name__")
        if (package := _package(module)) in LIBRARIES:
            return package
        if module == OWN:
            return "whilst.Retry"
        if module == "urllib3.connectionpool" and frame.f_code.co_name == "urlopen":  # which calls itself to try again
            sends.add(id(frame))  # raised anew where it was caught, one call has the same frame twice
    return "urllib3" if len(sends) > 1 else ""


def _frames(error: BaseException) -> Iterator[FrameType]:
    traceback: TracebackType | None = peek(error, "__traceback__")
    for _ in range(MOST_FRAMES):
        if not is_a(traceback, TracebackType):
            return
        yield traceback.tb_frame
        traceback = traceback.tb_next
