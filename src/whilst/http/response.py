"""What is a complete answer? Loaded with a client: what decodes it takes as long to load as all the rest of `http`."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from ..core.evidence import described_status
from ..core.jsontext import half_character
from .address import shown_url
from .errors import NotJSON

T = TypeVar("T")

CHARSET = r"""(?i);\s*charset\s*=\s*["']?([\w.:-]+)"""  # a pattern, which `re` compiles at its first use


class Response(msgspec.Struct, frozen=True):
    """A complete answer with a status of 2xx. `url` is where it came from, after redirects; it may contain secrets."""

    status: int
    headers: Mapping[str, str]
    """Look them up by name, in upper or lower case."""
    url: str
    body: bytes
    method: str = "GET"

    @property
    def is_empty(self) -> bool:
        """Whether there is no body, and the answer may have none: 204, 205, or the method is not GET."""
        return not self.body and (self.status in (204, 205) or self.method != "GET")

    def json(self) -> Any:
        """Return the body, decoded; None if there is no body and the answer may have none (204, DELETE).

        Raises:
            NotJSON: the body is not JSON.
        """
        if self.is_empty:
            return None
        try:
            return msgspec.json.decode(self.body)
        except (ValueError, RecursionError) as error:
            return self._recoded(error, msgspec.json.decode)

    @property
    def text(self) -> str:
        """The body as text, decoded by its charset, or as UTF-8. Bytes that are not text become U+FFFD."""
        return self.body.decode(_charset(self.headers.get("content-type", "")), "replace")

    @property
    def asked(self) -> str:
        """`GET https://example.com/a`, for messages, without secrets."""
        return f"{self.method} {shown_url(self.url)}"

    def __repr__(self) -> str:
        return f"<Response {described_status(self.status)}: {self.asked}, {len(self.body):,} bytes>"

    def _recoded(self, error: Exception, read: Callable[[bytes], T]) -> T:
        """Read a body that is no JSON as UTF-8, as what its first bytes or its charset say it is; NotJSON if not that.

        JSON is UTF-8, so nothing else is looked for before that has failed; but servers send what their tables hold.
        """
        import json  # loaded when used

        kind = json.detect_encoding(self.body)  # by byte order marks and NULs
        encoding = kind if kind != "utf-8" else _charset(self.headers.get("content-type", ""))
        if encoding != "utf-8":
            try:
                text = self.body.decode(encoding).encode()
            except ValueError:
                raise self._not_json(error) from None
            try:
                return read(text)
            except (ValueError, RecursionError) as other:
                error = other
        raise self._not_json(error) from None

    def _not_json(self, error: Exception) -> NotJSON:
        """Say what the body is instead of JSON."""
        kind = self.headers.get("content-type", "").partition(";")[0] or "no content type"
        fact = (
            "nested too deep" if isinstance(error, RecursionError) else str(error).removeprefix("JSON is malformed: ")
        )
        if not self.body:
            fact = "it has no body"
        elif half := half_character(self.body):
            fact = f"{half} is half a character, and its other half is not there"
        what = f"{len(self.body):,} bytes, {kind}" if self.body else "empty"
        bad = NotJSON(f"the answer is not JSON: {fact[:1].lower()}{fact[1:]}: {self.asked} ({what})")
        bad.url = shown_url(self.url)
        return bad


@lru_cache(64)
def _charset(content_type: str) -> str:
    found = re.search(CHARSET, content_type)
    try:
        codec = codecs.lookup(found[1] if found else "utf-8")
        if not codec._is_text_encoding:  # rot13, hex and their like
            return "utf-8"
        b"\xff".decode(codec.name, "replace")  # some can do nothing else than raise
    except (LookupError, ValueError):
        return "utf-8"
    return codec.name
