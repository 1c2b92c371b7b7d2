"""What is asked for a row, and what of the answer is the value?

A JSON answer goes to JSON lines as it came, once it has been found whole: reading it into Python and writing it again
would cost more than the request.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from ..core.jsontext import JsonText
from ..http.address import shown_url, why_no_url
from ..http.aio import completed
from ..http.clients import TIMEOUT, async_client
from ..http.errors import BadAnswer
from ..http.exchange import Exchange
from ..http.reading import Largest
from ..http.response import Response
from ..io.jsonl import json_text
from ..io.rows import Rejected, Row
from .feed import RowRejected
from .json_text import elements, json_of, likely_member, member
from .messages import short
from .paging import Paged, Pages
from .template import Unfillable, fields_of, fill

if TYPE_CHECKING:
    from .room import Room
    from .saving import Saver

Form = Literal["json", "text", "bytes", "response"]
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
    next_param: str | None = None
    until: str | None = None
    """The parameter that `next_field` is the value of; the field and value that end the pages."""
    as_it_came: bool = True
    """Whether JSON may stay text."""
    as_text: bool = False
    """Whether each value is made JSON at once, which is all that an output of lines and a journal want of it."""
    room: Room | None = None
    saver: Saver | None = None

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
        return f"{short(shown_url(url), 60)!r} cannot be fetched: {reason}" if reason else None

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
            **({"next_param": self.next_param} if self.next_param else {}),
            **({"until": self.until} if self.until else {}),
            **({"save": self.saver.template} if self.saver else {}),
        )

    def ask(self, row: Row) -> Awaitable[Response]:
        """Send the request of a row; the answer is whole and its status 2xx. What raises is followed by `forget`."""
        room = self.room
        if room is None:
            return completed(self._exchange(row.value, Largest()))
        return completed(self._exchange(row.value, room.largest), partial(room.grow, row))

    def forget(self, row: Row) -> None:
        """Hold nothing for a row whose request failed: it may be asked for again, and begins anew then."""
        if self.room is not None and self.room.is_holding:
            self.room.drop(row)

    async def save(self, row: Row) -> dict[str, Any]:
        """Send the request of a row, and stream the answer into a file; return what it is."""
        assert self.saver is not None
        saved = self.saver.begin(self.saver.parts_of(row.value, self.url_of(row.value), row.line))
        try:
            exchange = self._exchange(row.value, self.room.largest if self.room is not None else Largest(None))
            answer = await completed(exchange, save=saved.write)
            saved.finish()
        finally:
            saved.discard()
        kind = answer.headers.get("content-type")
        return {"file": saved.path, "bytes": saved.size, "type": kind}

    def _exchange(self, value: Any, largest: Largest) -> Exchange:
        headers, body = self.headers, None
        if (content := self._body(value)) is not None:
            body, kind = content
            if not any(name.lower() == "content-type" for name in headers or ()):
                headers = {"content-type": kind, **(headers or {})}
        return Exchange(async_client(), self.method, self.url_of(value), headers, body, self.timeout, largest)

    def reader(self) -> Callable[[Response], Any]:
        """Return what tells what of an answer is written; BadAnswer if it is not what was meant."""
        if self.form == "response":
            return _whole
        if self.form in ("text", "bytes"):
            return attrgetter("text" if self.form == "text" else "body")
        if self.as_text:
            return _json_text
        return self._member if self.items is not None else self._all

    def _all(self, answer: Response) -> Any:
        return self._value(answer, json_of(answer))

    def _member(self, answer: Response) -> Any:
        assert self.items is not None
        text = json_of(answer)
        found = member(text, self.items)
        values = None if found is None else elements(found)
        if values is None:
            has = "is no list" if self.items == "." else f"has no list {self.items!r}"
            hint = likely_member(text, self.items) if found is None else ""
            raise BadAnswer(f"the answer {has}{hint}: {answer.asked}")
        return [self._value(answer, it) for it in values]

    def _value(self, answer: Response, text: bytes) -> Any:
        if self.as_it_came:
            return msgspec.Raw(text)
        try:
            return msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            raise answer._not_json(error) from None

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
    value_of, made = fetch.reader(), prepare
    if fetch.as_text and fetch.form in ("text", "bytes"):
        made = partial(_prepared_text, prepare)

    async def get(row: Row | Rejected) -> Any:
        if isinstance(row, Rejected):
            raise RowRejected(row.reason)
        if fetch.saver is not None:
            return prepare(await fetch.save(row))
        if pages is not None:
            pages.check(row)
        try:
            answer: Response | None = await fetch.ask(row)
        except BaseException:
            fetch.forget(row)
            raise
        assert answer is not None
        value = value_of(answer)
        if pages is not None:
            value = pages.kept(value, row, answer)
        answer = None  # a large body is not held beside its value, while that is written
        return made(value)

    return get


def _json_text(answer: Response) -> JsonText:
    return JsonText(json_of(answer))


def _prepared_text(prepare: Callable[[object], Any], value: Any) -> Any:
    """Prepare text or bytes, made JSON at once."""
    if isinstance(value, bytes):
        return prepare(JsonText(json_text({"$": "bytes", "v": value}), is_bytes=True))
    return prepare(JsonText(json_text(value)))


def _whole(answer: Response) -> dict[str, Any]:
    """Return an answer with its status, headers and final URL; its body is JSON if it says so, else text."""
    is_json = "json" in answer.headers.get("content-type", "").lower()
    body: Any = None
    if answer.body:
        body = msgspec.json.decode(json_of(answer)) if is_json else answer.text
    url = re.sub(r"(?<=://)[^/?#]*@", "", answer.url)  # user and password are the question's, not the answer's
    return {"status": answer.status, "url": url, "headers": dict(answer.headers), "body": body}


def _asked(*_: object, **__: object) -> None:
    """Stand for `whilst get` in a journal."""


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise Unfillable(f"the row has no field {name!r}")
    return cast("dict[str, Any]", value)[name]
