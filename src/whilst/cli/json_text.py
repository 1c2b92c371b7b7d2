"""How is JSON read as text, without making Python of what is only passed on?"""

from __future__ import annotations

import msgspec

from ..http.response import Response

BLANKS = b" \t\r\n"  # that may stand around JSON
_whole = msgspec.json.Decoder(msgspec.Raw).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def json_of(answer: Response) -> bytes:
    """Return the JSON of an answer as text on one line; NotJSON if it is none."""
    if answer.is_empty:
        return b"null"
    try:
        return _on_one_line(answer.body)
    except (ValueError, RecursionError) as error:
        return answer._recoded(error, _on_one_line)


def _on_one_line(body: bytes) -> bytes:
    if not body.isascii():
        body.decode()
    _whole(body)
    text = body.strip(BLANKS)
    if text.find(b"\n") >= 0 or text.find(b"\r") >= 0:  # `in` is five times slower, as in `io.text`
        text = msgspec.json.format(text, indent=-1)
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
    """Return the JSON text of a member; None if there is none. The path `.` is the whole.

    >>> member(b'{"page": {"next": "/2", "of": 9}}', "page.next"), member(b"[1]", ".")
    (b'"/2"', b'[1]')
    """
    for name in path.split(".") if path != "." else ():
        try:
            text = bytes(_members(text)[name])
        except (ValueError, KeyError):
            return None
    return text


def likely_member(text: bytes, path: str) -> str:
    """Return, for a message, which member was likely meant by a path that names none; or nothing.

    >>> likely_member(b'{"page": {"next": "/2"}}', "page.nxt")
    ' (is it page.next?)'
    """
    from ..io.refusal import closest  # loaded when used

    *above, name = path.split(".")
    around = member(text, ".".join(above)) if above else text
    close = closest(name, members(around)) if around is not None else ""
    return f" (is it {'.'.join([*above, close])}?)" if close else ""
