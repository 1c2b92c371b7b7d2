"""Where does an answer go on? `--next FIELD` and `--follow link`: each further page is an input of its own.

So a page is limited, tried again and counted as any other input is.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from pyreqwest.http import Url

from ..http.address import shown_url, why_no_url
from ..http.errors import BadAnswer
from ..http.exchange import Response
from ..io.rows import Rejected, Row
from .json_text import json_of, member

_PARAMETER = r"""\s*;\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"([^"]*)"|([^",;\s]*))"""
_LINK = re.compile(rf"<([^<>]*)>((?:{_PARAMETER})*)")


class Paged:
    """A row whose URL is that of a further page."""

    url: str
    seen: set[str]


class PagedText(str, Paged):
    """A further page of a URL; to the output it is its own URL."""


class PagedRow(dict[str, Any], Paged):
    """A further page of a row with fields; to the output it is that row."""


class Pages:
    """Remembers, of each page, which page comes after it until the page has been delivered.

    Calls note it on the loop, the delivery asks for it on its own thread; both are single steps on a dict.
    """

    def __init__(self, field: str | None, *, most: int | None, stay: bool) -> None:
        self._field = field
        self._most = most
        self._stay = stay
        self._after: dict[int, Row] = {}

    def note(self, row: Row, url: str, answer: Response) -> None:
        """Look for the page after this one; BadAnswer if what is there cannot be followed."""
        seen = row.value.seen if isinstance(row.value, Paged) else {url}
        if (self._most is not None and len(seen) >= self._most) or not (link := self._link(answer)):
            return
        after = self._checked(link, url, answer)
        if after in seen:
            raise BadAnswer(f"the pages go round: {answer.asked} leads back to {shown_url(after)}")
        seen.add(after)
        self._after[id(row)] = _row_after(row, after, seen)

    def after(self, row: Row | Rejected) -> Row | None:
        """Return the page after one that has been delivered."""
        return self._after.pop(id(row), None)

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
    for link in _LINK.finditer(header):
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
    else:
        value, raw = PagedText(url), msgspec.json.encode(url)
    value.url, value.seen = url, seen
    return Row(row.line, value, raw)
