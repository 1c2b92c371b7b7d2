"""How is Parquet written: in row groups, with the types that the first group's values have.

The columns are the input's (of an input that is a table) or `input`, then `value`, `error` and `attempts`. Types
are decided when the first row group is full or the output ends, whichever comes first; a column whose values have
nothing in common holds their JSON. A later value that does not fit its column is a failure of its own input, whose
message holds the value.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, cast

from .jsonl import json_text
from .kinds import Kind, fitted, kind_of, settled, simplified, unified
from .output import Output
from .refusal import BrokenOutput, load_extra
from .rows import Rejected, Row
from .sink import Shape, Unfit

GROUP_ROWS = 65_536
GROUP_BYTES = 16 * 1024 * 1024  # of JSON text; the values take a few times as much


def parquet_sink(output: Output) -> ParquetSink:
    """Return the sink that writes Parquet to `output`; Refused if pyarrow is missing."""
    return ParquetSink(output, load_extra("pyarrow", "arrow", "a .parquet file"))


class ParquetSink:
    """A Parquet file in progress; it cannot be read before its end is written, so `flush` has nothing to do."""

    waiting = False
    write_all: None = None

    def __init__(self, output: Output, pyarrow: Any, *, group_rows: int = GROUP_ROWS) -> None:
        self.name: str = output.name
        self._output = output
        self._pyarrow = pyarrow
        self._group_rows = group_rows
        self._shape = Shape()
        self._names: tuple[str, ...] = ()
        self._rows: list[tuple[Any, ...]] = []
        self._size = 0
        self._kinds: list[Kind] | None = None
        self._file: Any = None
        self._guard = threading.Lock()  # a signal's rescue may finish while the main thread writes

    @property
    def broken(self) -> OSError | None:
        """What a write met."""
        return self._output.broken

    def begin(self, shape: Shape) -> None:
        """Choose the names of the columns."""
        self._shape = shape
        inputs = [] if shape.values_only else (shape.columns or ["input"])
        ours = ["value", "error", "attempts"] if shape.failures_here and not shape.values_only else ["value"]
        names = list(inputs)
        for name in ours:
            while name in names:
                name += "_"
            names.append(name)
        self._names = tuple(names)

    def prepare(self, value: object) -> Any:
        """Turn a value into what Parquet has types for."""
        return simplified(value)

    def write(self, row: Row, prepared: Any) -> None:
        """Take a success; Unfit if a later group's value has another type than the first group's."""
        self._take((*self._input(row), prepared, *self._blank()), len(row.raw), prepared)

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> None:
        """Take a failure."""
        error = error.encode("utf-8", "replace").decode()
        if isinstance(row, Row):
            try:
                self._take((*self._input(row), None, error, attempts), len(row.raw), None)
                return
            except Unfit:  # the input itself has another type than those before it: its text goes with the error
                error = f"{error} (the input: {row.raw.decode()})"
        else:
            error = f"line {row.line}: {row.reason} (it begins: {row.excerpt})"
        blank = (None,) * (len(self._names) - 2)
        self._take((*blank, error, attempts if isinstance(row, Row) else None), len(error), None)

    def flush(self) -> None:
        """Do nothing but say again what broke."""
        if self.broken is not None:
            raise self.broken

    def finish(self) -> str | None:
        """Write the last row group and the end, and give the file its name."""
        with suppress(OSError):  # it is `broken`; what could be written keeps its own name
            self._end()
        return self._output.finish()

    def discard(self) -> None:
        """Forget everything."""
        self._output.discard()

    def _input(self, row: Row) -> tuple[Any, ...]:
        if self._shape.values_only:
            return ()
        if self._shape.columns is None:
            return (simplified(row.value),)
        return tuple([simplified(row.value.get(name)) for name in self._shape.columns])

    def _blank(self) -> tuple[None, ...]:
        return (None, None) if self._shape.failures_here and not self._shape.values_only else ()

    def _take(self, cells: tuple[Any, ...], size: int, prepared: Any) -> None:
        if self._kinds is not None:
            cells = self._fitted(self._kinds, cells, prepared)
        with self._guard:
            self._rows.append(cells)
            self._size += size + _size(prepared)
            if len(self._rows) >= self._group_rows or self._size >= GROUP_BYTES:
                self._write_group()

    def _fitted(self, kinds: list[Kind], cells: tuple[Any, ...], prepared: Any) -> tuple[Any, ...]:
        at = 0
        try:
            fit: list[Any] = []
            for at, (kind, cell) in enumerate(zip(kinds, cells, strict=True)):  # noqa: B007 - told when it fails
                fit.append(fitted(kind, cell))
            return tuple(fit)
        except Unfit as unfit:
            value = json_text(prepared).decode()
            raise Unfit(f"column {self._names[at]!r} has its type from the rows before: {unfit}; {value}") from None

    def _write_group(self) -> None:
        pyarrow = self._pyarrow
        if self._kinds is None:
            self._kinds = self._decided()
            self._rows = [self._fitted(self._kinds, cells, None) for cells in self._rows]
        if self._file is None:
            types = [_type(pyarrow, kind) for kind in self._kinds]
            schema = pyarrow.schema(list(zip(self._names, types, strict=True)))
            parquet: Any = load_extra("pyarrow.parquet", "arrow", "a .parquet file")
            self._file = parquet.ParquetWriter(_File(self._output), schema)
        columns: list[Any] = list(zip(*self._rows, strict=True)) or [()] * len(self._names)
        arrays = [
            pyarrow.array(column, type=field.type) for column, field in zip(columns, self._file.schema, strict=True)
        ]
        self._rows, self._size = [], 0
        if arrays and len(arrays[0]):
            self._file.write_batch(pyarrow.RecordBatch.from_arrays(arrays, schema=self._file.schema))

    def _decided(self) -> list[Kind]:
        known: dict[str, Kind] = {}
        if len(self._names) >= 3 and self._blank():
            known = {self._names[-2]: "text", self._names[-1]: "int"}
        columns: list[Any] = list(zip(*self._rows, strict=True)) or [()] * len(self._names)
        return [
            known.get(name) or settled(unified(kind_of(cell) for cell in column))
            for name, column in zip(self._names, columns, strict=True)
        ]

    def _end(self) -> None:
        with self._guard:
            try:
                if self.broken is None and self._names:
                    self._write_group()
                    self._file.close()
                    self._names = ()
            except OSError:
                raise
            except self._pyarrow.ArrowException as error:
                self._output.broken = BrokenOutput(str(error).partition("\n")[0])
                raise self._output.broken from None

    def __repr__(self) -> str:
        return f"<ParquetSink {self.name}, {len(self._rows)} rows waiting>"


class _File:
    """What pyarrow writes to."""

    closed = False

    def __init__(self, output: Output) -> None:
        self._output = output
        self._at = 0

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._output.write(piece)
        self._at += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def _type(pyarrow: Any, kind: Kind) -> Any:
    if isinstance(kind, tuple):
        if kind[0] == "list":
            return pyarrow.list_(_type(pyarrow, kind[1]))
        return pyarrow.struct([(name, _type(pyarrow, it)) for name, it in kind[1].items()])
    return {
        "null": pyarrow.null(),
        "bool": pyarrow.bool_(),
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "text": pyarrow.string(),
        "json": pyarrow.string(),
        "bytes": pyarrow.binary(),
        "datetime": pyarrow.timestamp("us"),
        "moment": pyarrow.timestamp("us", "UTC"),
        "date": pyarrow.date32(),
        "time": pyarrow.time64("us"),
    }[kind]


def _size(prepared: Any) -> int:
    """Guess how much a value holds; only large ones matter, and they are texts, bytes, or hold many."""
    if isinstance(prepared, str | bytes):
        return len(prepared)
    if type(cast("object", prepared)) in (dict, list):
        return 64 * len(prepared) if len(prepared) < 100 else len(json_text(prepared))
    return 8
