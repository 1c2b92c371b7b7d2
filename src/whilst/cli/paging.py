"""Where does an answer go on? `--next FIELD` and `--follow link`: each further page is an input of its own.

So a page is limited, tried again and counted as any other input is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from pyreqwest.http import Url

from ..http.address import shown_url, why_no_url
from ..http.errors import BadAnswer
from ..http.exchange import Response
from ..io.rows import Rejected, Row
from ..io.sink import Sink
from .json_text import json_of, member

_PARAMETER = r"""\s*;\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"([^"]*)"|([^",;\s]*))"""
_LINK = rf"<([^<>]*)>((?:{_PARAMETER})*)"  # patterns, which `re` compiles at their first use


class Paged:
    """A row whose URL is that of a further page."""

    url: str
    seen: set[str]
    known_by: Any
    """What a journal knows it by."""


class PagedText(str, Paged):
    """A further page of a URL; to the output it is its own URL."""


class PagedRow(dict[str, Any], Paged):
    """A further page of a row with fields; to the output it is that row."""


class Pages:
    """Follows pages: a call finds the link to the next, which is a part of its value until that is written.

    So a journal has it too, and a run that goes on from there goes on after the last page that it has.
    """

    def __init__(self, url_of: Callable[[Any], str], field: str | None, *, most: int | None, stay: bool) -> None:
        self._url_of = url_of
        self._field = field
        self._most = most
        self._stay = stay
        self._after: Row | None = None

    def kept(self, value: Any, row: Row, answer: Response) -> dict[str, Any]:
        """Return a value with the URL of the page after it; BadAnswer if what is there cannot be followed."""
        after = None
        if link := self._link(answer):
            after = self._checked(link, self._url_of(row.value), answer)
            if after in self._seen(row):
                raise BadAnswer(f"the pages go round: {answer.asked} leads back to {shown_url(after)}")
        return {"value": value, "next": after}

    def prepare(self, sink: Sink, kept: dict[str, Any]) -> tuple[Any, str | None]:
        """Prepare what of it is written."""
        return sink.prepare(kept["value"]), kept["next"]

    def write(self, sink: Sink, row: Row, prepared: tuple[Any, str | None]) -> None:
        """Take note of the link, and write the value, which may yet be refused."""
        value, link = prepared
        seen = self._seen(row)
        if link is not None and (self._most is None or len(seen) < self._most):
            seen.add(link)
            self._after = _row_after(row, link, seen)
        sink.write(row, value)

    def after(self, _: Row | Rejected) -> Row | None:
        """Return the page after the one that has just been written."""
        after, self._after = self._after, None
        return after

    def _seen(self, row: Row) -> set[str]:
        return row.value.seen if isinstance(row.value, Paged) else {self._url_of(row.value)}

    def _link(self, answer: Response) -> str | None:
        if self._field is None:
            return next_in(answer.headers.get("link", ""))
        text = member(json_of(answer), self._field)
        value = None if text is None else msgspec.json.decode(text)
        if value is None or value is False or value == "":
            return None
        if not isinstance(value, str):
            raise BadAnswer(f"{self._field!r} is no URL of a further page: {answer.asked}")
        return value

    def _checked(self, link: str, url: str, answer: Response) -> str:
        """Return the absolute URL of a link."""
        try:
            after = Url(answer.url).join(link)
        except ValueError as error:
            raise BadAnswer(f"the next page is no URL: {error}: {answer.asked}") from None
        if reason := why_no_url(str(after)):
            raise BadAnswer(f"the next page cannot be asked: {reason}: {answer.asked}")
        if self._stay and after.origin_ascii != Url(url).origin_ascii:
            raise BadAnswer(
                f"the next page is on another host, {after.origin_ascii}, where the headers given must not go: "
                f"{answer.asked}"
            )
        return str(after)


def next_in(header: str) -> str | None:
    """Return the target of the `next` relation in a Link header (RFC 8288).

    >>> next_in('<https://example.com/?page=1>; rel="prev", <https://example.com/?page=3>; rel="last next"')
    'https://example.com/?page=3'
    """
    for link in re.finditer(_LINK, header):
        for name, quoted, token in re.findall(_PARAMETER, link[2]):
            if name.lower() == "rel":
                if "next" in (quoted or token).lower().split():
                    return link[1]
                break  # a second one does not count
    return None


def _row_after(row: Row, url: str, seen: set[str]) -> Row:
    before: Any = row.value
    value: PagedRow | PagedText
    if type(before) in (dict, PagedRow):
        value, raw = PagedRow(before), row.raw
        value.known_by = {**before, "page": url}
    else:
        value, raw = PagedText(url), msgspec.json.encode(url)
        value.known_by = url
    value.url, value.seen = url, seen
    return Row(row.line, value, raw)
