"""How do the arguments of a request become its method, bytes and headers?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Data = bytes | str | Mapping[str, Any]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")


def method_of(given: str) -> str:
    """Return a method as it is sent: those that everybody knows in capitals, as servers know no others.

    >>> method_of("get"), method_of("Purge")
    ('GET', 'Purge')
    """
    if not isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f'method must be a string, got {type(given).__name__}\n  try: request("GET", url)')
    return upper if (upper := given.upper()) in METHODS else given


def encoded(
    json: Any, data: Data | None, headers: Mapping[str, str] | None
) -> tuple[bytes | None, Mapping[str, str] | None]:
    """Return the body and the headers, with the content type of the body unless the caller names one.

    >>> encoded({"id": 7}, None, None)
    (b'{"id":7}', {'content-type': 'application/json'})
    >>> encoded(None, {"q": "a b"}, {"Accept": "text/csv"})[0]
    b'q=a+b'
    """
    if headers:
        check_headers(headers)
    if json is None and data is None:
        return None, headers
    if json is not None and data is not None:
        raise TypeError("a request has one body: give json or data, not both")
    if json is not None:
        import msgspec  # loaded when used

        body, kind = msgspec.json.encode(json), "application/json"
    elif isinstance(data, bytes):
        body, kind = data, "application/octet-stream"
    elif isinstance(data, str):
        body, kind = data.encode(), "text/plain; charset=utf-8"
    elif isinstance(data, Mapping):
        from urllib.parse import urlencode  # loaded when used

        body, kind = urlencode(data, doseq=True).encode(), "application/x-www-form-urlencoded"
    else:
        raise TypeError(f"data must be bytes, text or a mapping of form fields, got {type(data).__name__}")
    given = dict(headers or {})
    if not any(name.lower() == "content-type" for name in given):
        given["content-type"] = kind
    return body, given


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that are no texts by name; their values, which may be secrets, are not said."""
    if not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(headers).__name__
        raise TypeError(f'headers must be a mapping of texts, got {kind}\n  try: headers={{"Accept": "text/csv"}}')
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            what = f"the header {name!r} must be text, got {type(value).__name__}"
            raise TypeError(f"{what}\n  try: headers={{{name!r}: str(…)}}")
