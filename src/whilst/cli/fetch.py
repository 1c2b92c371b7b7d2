"""What is asked for a row, and what of the answer is the value?

A JSON answer goes to JSON lines as it came, once it has been found whole: reading it into Python and writing it again
would cost more than the request.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Literal, cast

import msgspec

from ..http.address import shown_url, why_no_url
from ..http.aio import completed
from ..http.clients import TIMEOUT, async_client
from ..http.errors import BadAnswer
from ..http.exchange import Exchange, Response
from ..io.jsonl import json_text
from ..io.rows import Rejected, Row
from .feed import RowRejected
from .json_text import elements, json_of, member
from .messages import short
from .paging import Paged, Pages
from .template import Unfillable, fields_of, fill

Form = Literal["json", "text", "bytes"]
_SECRET_FIELD = r"(?i)([?&][^=&]*(?:key|token|secret|password|signature|auth)[^=&]*=)[^&#]*"


class Fetch(msgspec.Struct, frozen=True):
    """One way of asking: everything of `whilst get` that is the same for all rows."""

    url: str | None = None
    """The template that a row's fields fill; None: the row is the URL."""
    url_field: str | None = None
    """The field that is the URL."""
    method: str = "GET"
    headers: Mapping[str, str] | None = None
    body_field: str | None = None
    json_fields: tuple[str, ...] = ()
    timeout: float | None = TIMEOUT
    form: Form = "json"
    items: str | None = None
    """The path of a list in the answer; its elements are the values."""
    next_field: str | None = None
    follow: str | None = None
    """Where the next page is, as `whilst get` was told."""
    as_it_came: bool = True
    """Whether JSON may stay text."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a row that are part of its URL."""
        return tuple(fields_of(self.url)) if self.url is not None else ()

    def url_of(self, value: Any) -> str:
        """Return the URL of a row; Unfillable if it has none."""
        if isinstance(value, Paged):
            return value.url
        if self.url is not None:
            return fill(self.url, value)
        if self.url_field is not None:
            value = _field(value, self.url_field)
        if type(value) is not str:
            raise Unfillable(f"a URL is text, the row is {short(repr(value), 60)}")
        return value.strip()

    def misfit(self, value: Any) -> str | None:
        """Say why a row cannot be asked for; None if it can."""
        try:
            url = self.url_of(value)
            self._body(value)
        except Unfillable as error:
            return str(error)
        reason = why_no_url(url)
        return f"{short(shown_url(url), 60)!r} cannot be asked: {reason}" if reason else None

    def shown(self, row: Row) -> str:
        """Write the request of a row, without secrets."""
        url = self.url_of(row.value)
        plain = re.sub(r"//[^/?#]*@", "//…@", re.sub(_SECRET_FIELD, r"\1…", url), count=1)
        content = self._body(row.value)
        size = f" with a body of {len(content[0]):,} bytes" if content is not None else ""
        return f"{self.method} {plain}{size}"

    @property
    def identity(self) -> Callable[..., object]:
        """What a journal knows this by: all that decides what an answer is, but no value of a header."""
        return partial(
            _asked,
            url=self.url,
            url_field=self.url_field,
            method=self.method,
            headers=sorted(self.headers or ()),
            body_field=self.body_field,
            json_fields=list(self.json_fields),
            form=self.form,
            items=self.items,
            **({"next": self.next_field, "follow": self.follow} if self.next_field or self.follow else {}),
        )

    async def ask(self, value: Any) -> Response:
        """Send the request of a row; the answer is whole and its status 2xx."""
        headers, body = self.headers, None
        if (content := self._body(value)) is not None:
            body, kind = content
            headers = {"content-type": kind, **(headers or {})}
        exchange = Exchange(async_client(), self.method, self.url_of(value), headers, body, self.timeout)
        return await completed(exchange)

    def value_of(self, answer: Response) -> Any:
        """Return what of the answer is written; BadAnswer if it is not what was meant."""
        if self.form == "text":
            return answer.text
        if self.form == "bytes":
            return answer.body
        if self.items is None:
            return self._value(answer, json_of(answer))
        found = member(json_of(answer), self.items)
        values = None if found is None else elements(found)
        if values is None:
            raise BadAnswer(f"the answer has no list {self.items!r}: {answer.asked}")
        return [self._value(answer, it) for it in values]

    def _value(self, answer: Response, text: bytes) -> Any:
        if self.as_it_came:
            return msgspec.Raw(text)
        try:
            return msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            raise answer.not_json(error) from None

    def _body(self, value: Any) -> tuple[bytes, str] | None:
        """Return the body of a row and its type, if there is to be one."""
        if self.body_field is not None:
            content = _field(value, self.body_field)
            if isinstance(content, str):
                return content.encode(), "text/plain; charset=utf-8"
            return json_text(content), "application/json"
        if self.json_fields:
            return json_text({name: _field(value, name) for name in self.json_fields}), "application/json"
        return None


def fetcher(
    fetch: Fetch, pages: Pages | None, prepare: Callable[[object], Any]
) -> Callable[[Row | Rejected], Awaitable[Any]]:
    """Return the function of a row that asks, and prepares the value for the output."""

    async def get(row: Row | Rejected) -> Any:
        if isinstance(row, Rejected):
            raise RowRejected(row.reason)
        answer = await fetch.ask(row.value)
        value = fetch.value_of(answer)
        return prepare(value if pages is None else pages.kept(value, row, answer))

    return get


def _asked(*_: object, **__: object) -> None:
    """Stand for `whilst get` in a journal."""


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise Unfillable(f"the row has no field {name!r}")
    return cast("dict[str, Any]", value)[name]
