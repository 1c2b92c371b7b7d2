"""Rows by the name of what they are in, for Python: as often as they are asked for, each time from the beginning."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..core.batches import InBatches
from ..core.check import answered
from ..errors import RowRejected

if TYPE_CHECKING:  # what reads is loaded where rows are read: for a run by the thread that does
    from .open import Input
    from .rows import Rejected


class NamedRows(InBatches):
    """What `whilst.rows` returns: an iterable of values that is read lazily, and anew each time.

    Attributes:
        name: what they are read from.
        notes: what there is to know of how they are read, once the first was.
    """

    may_be_bad = True

    def __init__(self, name: str, format: str | None) -> None:
        self.name: str = name
        self.notes: list[str] = []
        self._format = format

    def __iter__(self) -> Iterator[Any]:
        """Give the value of each row; one that cannot be read raises, and none comes after it."""
        from .rows import Rejected

        for batch in self.batches():
            for item in batch:
                if type(item) is Rejected:
                    raise self._rejected(item)
                yield item

    def batches(self) -> Iterator[Sequence[Any]]:
        """Give the rows, many at once; a bad one is a `Rejected`."""
        from .refusal import Refused
        from .rows import Row, Rows

        opened = self._open()
        rows = opened.rows()
        try:
            many = rows.batches() if isinstance(rows, Rows) else ([row] for row in rows)
            for batch in many:
                self.notes = opened.notes
                yield [row.value if type(row) is Row else row for row in batch]
        except Refused as refused:
            raise ValueError(str(refused)) from None
        except ValueError as error:
            kind = "a valid input" if opened.format in ("sql", "files") else opened.format.upper()
            raise ValueError(f"{opened.name} is not {kind}: {error}") from None
        finally:
            close = getattr(rows, "close", None)
            if close is not None:
                close()
            opened.source.close()

    def fault(self, item: Any) -> Exception | None:
        """Return what is wrong with a row; None: it is an input."""
        from .rows import Rejected

        return self._rejected(item) if type(item) is Rejected else None

    def columns(self) -> list[str] | None:
        """Return the names of the columns, if they are the rows of a table; reads the first one."""
        if self.name == "-":
            return None
        from .rows import Row

        opened = self._open()
        try:
            if not opened.is_table:
                return None
            first = next(iter(opened.rows()), None)
            return list(first.value) if isinstance(first, Row) else None
        finally:
            opened.source.close()

    def _open(self) -> Input:
        from .open import UnknownKind, open_input
        from .refusal import Refused

        try:
            return open_input(self.name, self._format)
        except UnknownKind as unknown:
            evidence = "\n  ".join(unknown.evidence)
            raise ValueError(f'{unknown.fact}\n  {evidence}\n  try: rows({self.name!r}, format="jsonl")') from None
        except Refused as refused:
            raise ValueError(str(refused)) from None

    def _rejected(self, row: Rejected) -> RowRejected:
        message = f"{row.reason} (row {row.line} of {self.name}: {row.excerpt[:60]!r})"
        return RowRejected(message, row.line, row.reason, row.excerpt)

    def __repr__(self) -> str:
        return f"rows({self.name!r}{'' if self._format is None else f', format={self._format!r}'})"


@answered
def rows(name: str | os.PathLike[str], *, format: str | None = None) -> NamedRows:
    """Return the rows of a file, a table or an object in a store, by its name, as the command line reads them.

    It reads JSON lines, JSON, CSV, Parquet and text, compressed or not, `sqlite:///f.db?table=t`, `s3://…`; see the
    page "Inputs and outputs". Rows are read as they are needed, and each new iteration begins at the first row. If you
    map the rows, a row that cannot be read is a failed outcome with 0 attempts and a `RowRejected` that says why; the
    rows after it are read. If you iterate over them yourself, it raises.

    Args:
        name: a path or a URL; "-" is standard input.
        format: the format, if the ending of the name does not say it: "jsonl", "csv", "text", …

    Raises:
        OSError, ValueError: at the first row, if the input cannot be opened or has another format.

    >>> import pathlib, tempfile, whilst
    >>> path = pathlib.Path(tempfile.mkdtemp(), "names.csv")
    >>> _ = path.write_text("id,name\\n1,mew\\n2,onix\\n")
    >>> for row in whilst.rows(path):
    ...     print(row)
    {'id': '1', 'name': 'mew'}
    {'id': '2', 'name': 'onix'}
    """
    if not isinstance(name, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f'rows() takes the name of an input, got {type(name).__name__}\n  try: whilst.rows("rows.jsonl")'
        )
    if format is not None:
        from .open import FORMATS

        if format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(map(repr, FORMATS))}, got {format!r}")
    return NamedRows(os.fspath(name), format)
