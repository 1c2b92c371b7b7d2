"""Where does an answer go on? `--next FIELD` and `--follow link`: each further page is an input of its own.

So a page is limited, tried again and counted as any other input is. A page whose link leads nowhere, or round, is
given; what it leads to is an input that fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from pyreqwest.http import Url

from ..http.address import shown_url, why_no_url
from ..http.errors import BadAnswer
from ..http.response import Response
from ..io.rows import Rejected, Row
from ..io.sink import Sink
from .json_text import json_of, likely_member, member

_PARAMETER = r"""\s*;\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"([^"]*)"|([^",;\s]*))"""
_LINK = rf"<([^<>]*)>((?:{_PARAMETER})*)"  # patterns, which `re` compiles at their first use

_PYTHONS = {"False": "false", "True": "true", "None": "null"}  # as who writes Python has them in the fingers


class Paged:
    """A row whose URL is that of a further page."""

    url: str
    seen: set[str]
    known_by: Any
    """What a journal knows it by."""
    why: str | None = None
    """Why it cannot be asked for."""


class PagedText(str, Paged):
    """A further page of a URL; to the output it is its own URL."""


class PagedRow(dict[str, Any], Paged):
    """A further page of a row with fields; to the output it is that row."""


class Pages:
    """Follows pages: a call finds the link to the next, which is a part of its value until that is written.

    So a journal has it too, and a run that goes on from there goes on after the last page that it has.
    """

    def __init__(
        self,
        url_of: Callable[[Any], str],
        field: str | None,
        *,
        most: int | None,
        stay: bool,
        param: str | None = None,
        until: str | None = None,
    ) -> None:
        self._url_of = url_of
        self._field = field
        self._param = param
        self._until = None if until is None else until_of(until)
        self._most = most
        self._stay = stay
        self._after: Row | None = None

    def kept(self, value: Any, row: Row, answer: Response) -> dict[str, Any]:
        """Return a value with the URL of the page after it, or why that cannot be followed.

        BadAnswer if the first page has no field of the name: then it is none, most likely.
        """
        is_first = not isinstance(row.value, Paged)
        if self._is_last(answer, is_first):
            return {"value": value, "next": None}
        found = self._found(answer, is_first)
        try:
            return {"value": value, "next": self._after_of(found, row, answer)}
        except BadAnswer as error:
            return {"value": value, "next": None, "why": str(error)}

    def _after_of(self, found: Any, row: Row, answer: Response) -> str | None:
        """Return the URL of the page after this one; None if there is none, BadAnswer if it cannot be followed."""
        if not (link := self._link(found, answer)):
            return None
        url = self._url_of(row.value)
        after = self._checked(link if self._param is None else _with(url, self._param, link), url, answer)
        if after in (url, answer.url, str(Url(url))):  # a last page that names itself
            return None
        if after in self._seen(row):
            raise BadAnswer(f"the pages go round: {answer.asked} leads back to {shown_url(after)}")
        return after

    def prepare(self, sink: Sink, kept: dict[str, Any]) -> tuple[Any, str | None, str | None]:
        """Prepare what of it is written."""
        return sink.prepare(kept["value"]), kept["next"], kept.get("why")

    def write(self, sink: Sink, row: Row, prepared: tuple[Any, str | None, str | None]) -> None:
        """Take note of the link, and write the value, which may yet be refused."""
        value, link, why = prepared
        seen = self._seen(row)
        if self._most is None or len(seen) < self._most:
            if link is not None:
                seen.add(link)
                self._after = _row_after(row, link, seen)
            elif why is not None:
                self._after = _row_after(row, self._url_of(row.value), seen, why)
        sink.write(row, value)

    @staticmethod
    def check(row: Row) -> None:
        """Raise BadAnswer for a page that cannot be asked for."""
        if isinstance(row.value, Paged) and row.value.why is not None:
            raise BadAnswer(row.value.why)

    def after(self, _: Row | Rejected) -> Row | None:
        """Return the page after the one that has just been written."""
        after, self._after = self._after, None
        return after

    def _seen(self, row: Row) -> set[str]:
        return row.value.seen if isinstance(row.value, Paged) else {self._url_of(row.value)}

    def _is_last(self, answer: Response, is_first: bool) -> bool:
        """Whether the answer says that it is the last one, as `--until` was told."""
        if self._until is None:
            return False
        field, value = self._until
        return self._field_of(answer, field, is_first, "--until") in (value, str(value))

    def _found(self, answer: Response, is_first: bool) -> Any:
        """Return what stands where the next page should be named."""
        if self._field is None:
            return next_in(answer.headers.get("link", ""))
        return self._field_of(answer, self._field, is_first, "--next")

    def _link(self, value: Any, answer: Response) -> str | None:
        """Return the link to the next page, or the cursor of it; None where there is none."""
        if value is None or value is False or value == "":
            return None
        if self._param is not None and type(value) in (int, float):
            return str(value)
        if not isinstance(value, str):
            raise BadAnswer(f"{self._field!r} is not the {self._what} of a further page: {answer.asked}")
        return value

    @property
    def _what(self) -> str:
        return "URL" if self._param is None else "cursor"

    def _field_of(self, answer: Response, field: str, is_first: bool, flag: str) -> Any:
        """Return a field of an answer. The first page must have it: a name that is none would end every row there."""
        text = member(json_of(answer), field)
        if text is not None:
            return msgspec.json.decode(text)
        if is_first:
            hint = likely_member(json_of(answer), field)
            raise BadAnswer(f"the first page has no field {field!r}, which {flag} names{hint}: {answer.asked}")
        return None

    def _checked(self, link: str, url: str, answer: Response) -> str:
        """Return the absolute URL of a link."""
        try:
            after = Url(answer.url).join(link)
        except ValueError as error:
            raise BadAnswer(f"the next page is not a URL: {error}: {answer.asked}") from None
        if reason := why_no_url(str(after)):
            raise BadAnswer(f"the next page cannot be fetched: {reason}: {answer.asked}")
        if self._stay and after.origin_ascii != Url(url).origin_ascii:
            raise BadAnswer(
                f"the next page is on another host, {after.origin_ascii}, where the headers given must not go: "
                f"{answer.asked}"
            )
        return str(after)


def until_of(text: str) -> tuple[str, Any]:
    """Read `has_more=false`: a field, and the value of it that ends the pages; ValueError if it is not that.

    >>> until_of("meta.has_more=false"), until_of("has_more=False"), until_of("state=done")
    (('meta.has_more', False), ('has_more', False), ('state', 'done'))
    """
    field, equals, value = text.partition("=")
    if not field or not equals:
        raise ValueError(f"{text!r} is not FIELD=VALUE")
    try:
        return field, msgspec.json.decode((_PYTHONS.get(value) or value).encode())
    except msgspec.DecodeError:
        return field, value


def _with(url: str, param: str, value: str) -> str:
    """Return a URL with a parameter of its query set.

    >>> _with("https://example.com/a?limit=5&cursor=x", "cursor", "a/b=")
    'https://example.com/a?limit=5&cursor=a%2Fb%3D'
    """
    from urllib.parse import quote, unquote_plus

    parsed = Url(url)
    pairs = [it for it in (parsed.query_string or "").split("&") if it and unquote_plus(it.partition("=")[0]) != param]
    return str(parsed.with_query_string("&".join([*pairs, f"{quote(param, safe='')}={quote(value, safe='')}"])))


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


def _row_after(row: Row, url: str, seen: set[str], why: str | None = None) -> Row:
    before: Any = row.value
    value: PagedRow | PagedText
    if type(before) in (dict, PagedRow):
        value, raw = PagedRow(before), row.raw
        value.known_by = {**before, "page": url, **({} if why is None else {"after": True})}
    else:
        value, raw = PagedText(url), msgspec.json.encode(url)
        value.known_by = url if why is None else [url, "after"]
    value.url, value.seen, value.why = url, seen, why
    return Row(row.line, value, raw)
