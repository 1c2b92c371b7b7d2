"""What was an input before its call? The function may have changed `row.value`; its text is as it was read.

Rows of a table have types that JSON has no words for (dates, decimals, bytes). Such a cell is taken as it is, if its
text is still the same; if not, it is made anew of the text, as what the cells before it in its column were.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from .jsonl import json_text
from .rows import Row


class Given:
    """Gives inputs as they came, row after row of one output.

    >>> given = Given()
    >>> row = Row(1, {"id": 7}, b'{"id":7}')
    >>> row.value["id"] = 8
    >>> given.of(row)
    {'id': 7}
    """

    def __init__(self) -> None:
        self._kinds: dict[str, Any] = {}  # of the cells of a column that JSON has no words for

    def of(self, row: Row) -> Any:
        """Return an input, with the types that it had."""
        text: Any = _decode(row.raw)
        if not isinstance(text, dict):
            return text
        found = cast("dict[str, Any]", text)
        now: Any = row.value
        cells = cast("dict[str, Any]", now) if isinstance(now, dict) else {}
        for name, cell in found.items():
            if type(cell) is str:
                if type(known := cells.get(name)) is not str or known != cell:
                    found[name] = self._cell(name, cell, known)
            elif type(cell) is dict or type(cell) is list:
                found[name] = self._cell(name, cell, cells.get(name))
        return found

    def _cell(self, name: str, text: Any, now: Any) -> Any:
        kind: Any = type(now)  # pyright: ignore[reportUnknownVariableType]
        if kind is str and type(text) is str:
            return self._again(name, text)
        try:
            if json_text(now) == json_text(text):
                if kind is not type(text):
                    self._kinds[name] = kind
                return now
        except (TypeError, ValueError):  # it was changed to what cannot be written
            pass
        return self._again(name, text)

    def _again(self, name: str, text: Any) -> Any:
        kind = self._kinds.get(name)
        if kind is None:
            return text
        try:
            return msgspec.convert(text, kind, strict=False)
        except (ValueError, TypeError):
            return text


_decode = msgspec.json.Decoder().decode
