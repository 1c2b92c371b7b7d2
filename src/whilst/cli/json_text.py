"""How is JSON read as text, without making Python of what is only passed on?"""

from __future__ import annotations

import msgspec

from ..http.exchange import Response

BOM = b"\xef\xbb\xbf"
_whole = msgspec.json.Decoder(msgspec.Raw).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def json_of(answer: Response) -> bytes:
    """Return the JSON of an answer as text on one line; NotJSON if it is none."""
    if answer.is_empty:
        return b"null"
    body = answer.body
    if body.startswith(BOM):
        body = body[len(BOM) :]
    try:
        if not body.isascii():
            body.decode()
        whole = _whole(body)
        text = body if len(memoryview(whole)) == len(body) else bytes(whole)  # which copies it
        if b"\n" in text or b"\r" in text:
            text = msgspec.json.format(text, indent=-1)
    except (ValueError, RecursionError) as error:
        raise answer.not_json(error) from None
    return text


def elements(text: bytes) -> list[bytes] | None:
    """Return the JSON texts of a list's elements; None if it is no list.

    >>> elements(b'[1, {"a": 2}]')
    [b'1', b'{"a": 2}']
    """
    try:
        return [bytes(it) for it in _elements(text)]
    except ValueError:
        return None


def members(text: bytes) -> list[str]:
    """Return the names of an object's members; none if it is no object."""
    try:
        return list(_members(text))
    except ValueError:
        return []


def member(text: bytes, path: str) -> bytes | None:
    """Return the JSON text of a member; None if there is none.

    >>> member(b'{"page": {"next": "/2", "of": 9}}', "page.next")
    b'"/2"'
    """
    for name in path.split("."):
        try:
            text = bytes(_members(text)[name])
        except (ValueError, KeyError):
            return None
    return text
