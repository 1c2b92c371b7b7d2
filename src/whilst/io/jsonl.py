"""How are JSON lines read and written?

Reading is strict: what two programs could understand differently (a key twice, NaN, text that is not UTF-8) is
rejected with its line number. Writing takes what people return: dataclasses, datetimes, Decimal, sets, bytes (as
base64), paths, NumPy scalars and arrays, Pydantic models. NaN and the infinities are written as null, as
JavaScript does: JSON has no word for them.
"""

from __future__ import annotations

import itertools
import json
import operator
import os
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from ..core.jsontext import JsonText, half_character
from ..core.outcome import an
from ..core.scalars import as_python
from .lines import ByteStream, split_batches
from .output import LARGE, Output
from .rows import MAX_ROW, Overlong, Rejected, Row, Rows, bad_text, rejected, too_long
from .sink import LineSink

_SPACED_COLON = re.compile(rb"[ \t\r]:")
TOGETHER = 512  # lines that are read at once: the interpreter's lock is not let go meanwhile, for 0.4 ms
_NOT_A_NUMBER = rb"(?<![\w\"])(NaN|-?Infinity)\b"


def read_jsonl(source: ByteStream, limit: int = MAX_ROW) -> Rows:
    """Give the value of each line; empty lines are skipped.

    An object with both `input` and `error` is a line of a failures file and stands for its input; one that was a
    rejected row stays rejected. A line that is not strict JSON, is nested too deep or is over `limit` bytes is
    rejected; the lines after it are read.
    """
    return Rows(_batches(source, limit))


def json_text(value: object) -> bytes:
    """Return `value` as one line of JSON; TypeError or ValueError says in plain words what cannot be written.

    >>> json_text({"seen": {1}, "raw": b"ab", "share": float("nan")})
    b'{"seen":[1],"raw":"YWI=","share":null}'
    """
    try:
        return _encode(value)
    except RecursionError:
        raise ValueError("the value is nested too deep for JSON, or holds itself") from None
    except UnicodeEncodeError as error:
        raise ValueError(f"the value holds text that cannot be UTF-8: {error.reason}") from None


def jsonl_sink(output: Output) -> LineSink:
    """Return the sink that writes JSON lines to `output`."""
    return LineSink(output, lambda shape: JsonlWriter(values_only=shape.values_only))


class JsonlWriter:
    """Makes the lines of an output: `{"input": …, "value": …}`, or values alone.

    >>> writer = JsonlWriter()
    >>> row = Row(1, "a", b'"a"')
    >>> writer.value(row, writer.prepare(7))
    b'{"input":"a","value":7}\\n'
    >>> writer.failure(row, "ValueError: no", 1)
    b'{"input":"a","error":"ValueError: no","attempts":1}\\n'
    """

    def __init__(self, *, values_only: bool = False) -> None:
        self._values_only = values_only

    def head(self) -> bytes:
        """Return what stands before the first row: nothing."""
        return b""

    def prepare(self, value: object) -> Any:
        """Turn a value into text; called where the function was called, so that a bad value fails its own input."""
        return value.shown if type(value) is JsonText else json_text(value)

    def value(self, row: Row, prepared: bytes) -> bytes:
        """Return the line of a success."""
        if self._values_only:
            return b"".join((prepared, b"\n"))
        if len(prepared) > LARGE:  # `%` takes its size twice
            return b"".join((b'{"input":', row.raw, b',"value":', prepared, b"}\n"))
        return b'{"input":%b,"value":%b}\n' % (row.raw, prepared)

    def values(self, rows: Sequence[Row], prepared: Sequence[bytes]) -> bytes:
        """Return the lines of successes."""
        if self._values_only:
            return b"\n".join([*prepared, b""])
        if max(map(len, prepared)) > LARGE:
            return b"".join(map(self.value, rows, prepared))
        lines = [row.raw + b',"value":' + made for row, made in zip(rows, prepared, strict=True)]
        return b'{"input":%b}\n' % b'}\n{"input":'.join(lines)

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> bytes:
        """Return the line of a failure, or of a row that was rejected before any call."""
        if isinstance(row, Rejected):
            text = _encode({"line": row.line, "error": row.reason, "input": row.excerpt})
            return text + b"\n"
        return b'{"input":%b,"error":%b,"attempts":%d}\n' % (row.raw, _encode(_valid(error)), attempts)


def rows_of(first: int, elements: list[bytes | Overlong], limit: int) -> list[Row | Rejected]:
    """Read the elements of an array as lines are; one that spans lines is written on one."""
    rows: list[Row | Rejected] = []
    for start in range(0, len(elements), TOGETHER):
        some = [_on_one_line(it) for it in elements[start : start + TOGETHER]]
        rows += _plain_rows(first + start, some) or [*_any_rows(first + start, some, limit, blank="nothing is there")]
    return rows


def _on_one_line(element: bytes | Overlong) -> bytes | Overlong:
    if isinstance(element, Overlong) or not (b"\n" in element or b"\r" in element):
        return element
    try:
        return msgspec.json.format(element, indent=-1)
    except (ValueError, RecursionError):
        return element.replace(b"\n", b" ").replace(b"\r", b" ")  # it is rejected for what it is


def _batches(source: ByteStream, limit: int) -> Iterator[Sequence[Row | Rejected]]:
    for first, lines in split_batches(source.chunks(), limit):
        for start in range(0, len(lines), TOGETHER):
            some = lines[start : start + TOGETHER]
            yield _plain_rows(first + start, some) or [*_any_rows(first + start, some, limit)]


def _plain_rows(first: int, lines: list[bytes | Overlong]) -> list[Row] | None:
    """Read lines that have nothing special about any of them, all at once; None if one has.

    No step here runs Python code for each line: 0.7 µs a row, where one at a time takes 1.6.
    """
    try:
        texts = [*map(bytes.strip, cast("list[bytes]", lines))]
        values = [*map(_decode, texts)]
    except (TypeError, ValueError, RecursionError):  # an empty line too
        return None
    text = b"\n".join(texts)
    if {*map(type, values)} == {dict}:
        lost_none = _has_all_keys(text, sum(map(len, values)))
        if not lost_none or any(map(operator.contains, values, itertools.repeat("error"))):
            return None
    elif b"{" in text:
        return None
    return [*map(Row, itertools.count(first), values, texts)]


def _has_all_keys(text: bytes, keys: int) -> bool:
    """Whether `keys` are all that are written in a text of objects; False where a closer look must tell.

    Each key has a colon, and unless a blank stands before one each has a `":`; strings may hold more of them. So if
    there are no more of these than keys, none occurs twice.
    """
    return text.count(b":") == keys or (text.count(b'":') == keys and not _SPACED_COLON.search(text))


def _any_rows(first: int, lines: list[bytes | Overlong], limit: int, blank: str = "") -> Iterator[Row | Rejected]:
    """Read lines one by one; an empty one is skipped, or rejected where `blank` says why."""
    for number, line in enumerate(lines, first):
        if isinstance(line, Overlong):
            yield too_long(number, line, limit)
        elif line := line.strip():
            yield _row(number, line)
        elif blank:
            yield rejected(number, f"not JSON: {blank}", b"")


def _row(number: int, line: bytes) -> Row | Rejected:
    try:
        value: Any = _decode(line)
        if b"{" in line:
            _check_keys(line, value)
    except (ValueError, RecursionError) as error:
        return _rejected(number, error, line)
    if type(value) is dict and "error" in value and "input" in value:
        return _unwrapped(number, cast("dict[str, Any]", value), line)
    return Row(number, value, line)


def _check_keys(line: bytes, value: object) -> None:
    """Raise ValueError if some object has a key twice, which the decoder would silently settle for the last.

    Counting is enough for most rows, and takes 1 µs for a nested one where the full look takes 12.
    """
    if not _has_all_keys(line, _count_keys(value)):
        json.loads(line, object_pairs_hook=_refuse_twice)


def _count_keys(value: Any) -> int:
    """Count the keys of all objects in a value."""
    count = 0
    if type(value) is dict:
        inside: Any = cast("dict[str, Any]", value).values()
        count = len(inside)
    else:
        inside = value
    for it in inside:
        if type(it) is dict or type(it) is list:
            count += _count_keys(it)
    return count


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the field {key[:80]!r} occurs twice")


def _rejected(number: int, error: Exception, line: bytes) -> Rejected:
    """Say what is wrong with a line, the plainest thing first."""
    try:
        line.decode()
    except UnicodeDecodeError as bad:
        return bad_text(number, bad, line)
    if isinstance(error, RecursionError):
        return rejected(number, "the JSON is nested too deep", line)
    if not isinstance(error, msgspec.DecodeError):
        return rejected(number, str(error), line)
    if found := re.search(_NOT_A_NUMBER, line):
        return rejected(number, f"not JSON: {found[1].decode()} is not a JSON value; null is", line)
    if half := half_character(line):
        return rejected(number, f"not JSON: {half} is half a character, and its other half is not there", line)
    text = str(error).removeprefix("JSON is malformed: ")
    return rejected(number, f"not JSON: {text[0].lower()}{text[1:]}", line)


def _unwrapped(number: int, value: dict[str, Any], line: bytes) -> Row | Rejected:
    """Take the input out of a line of a failures file; keep a rejected row rejected."""
    if "line" in value and "attempts" not in value:
        return Rejected(number, f"rejected before: {value['error']}", str(value["input"])[:200])
    raw = msgspec.json.decode(line, type=dict[str, msgspec.Raw])["input"]
    return Row(number, value["input"], bytes(raw))


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def plain(value: Any) -> Any:
    """Turn what msgspec does not know into what it does."""
    if isinstance(value, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", value))
    known: Any = value  # the checkers disagree about what isinstance leaves
    if isinstance(value, deque):
        return list(known)
    scalar = as_python(known)
    if scalar is not None:
        return scalar[0]
    if type(known).__name__ in ("datetime64", "Timestamp"):  # with nanoseconds, or a year before the first
        return str(known).replace(" ", "T")
    for method, arguments in (("tolist", {}), ("model_dump", {"mode": "json"})):  # NumPy, Pydantic
        if hasattr(known, method) and not isinstance(known, type):
            return getattr(known, method)(**arguments)
    raise TypeError(f"{an(type(known).__qualname__)} cannot be written as JSON")


_encode = msgspec.json.Encoder(enc_hook=plain).encode
_decode = msgspec.json.Decoder().decode
