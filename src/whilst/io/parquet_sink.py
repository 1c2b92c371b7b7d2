"""How is Parquet written: in row groups, with the types that the first group's values have.

The columns are the input's (of an input that is a table) or `input`, then `value`, `error` and `attempts`; of values
alone the fields of those that are dicts, and `value` for others. Names and types
are decided when the first row group is full or the output ends, whichever comes first; a column that holds nothing but
null by then gets its type from the first later group in which it holds more, and the file is written again if it has
to be. A column whose values have nothing in common holds their JSON. A later value that does not fit its column is a
failure of its own input, whose message holds the value.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import accumulate, chain
from typing import Any, BinaryIO, cast

from .given import Given
from .jsonl import json_text
from .kinds import Kind, filled, filled_with, fitted_all, has_gaps, kind_of_all, settled, simplified
from .output import Output
from .refusal import BrokenOutput, listed, load_extra
from .rows import Rejected, Row
from .sink import Refusal, Shape, Unfit, beside

GROUP_ROWS = 65_536
GROUP_BYTES = 16 * 1024 * 1024  # of JSON text; the values take a few times as much
_MOST_OFFSET = 2**31 - 1
LARGE = 256 * 1024  # bytes of a row, on average, from which on copies of cells count


def parquet_sink(output: Output) -> ParquetSink:
    """Return the sink that writes Parquet to `output`; Refused if pyarrow is missing."""
    return ParquetSink(output, load_extra("pyarrow", "arrow", "a .parquet file"))


class ParquetSink:
    """A Parquet file in progress; it cannot be read before its end is written, so `flush` has nothing to do."""

    waiting = False

    def __init__(self, output: Output, pyarrow: Any, *, group_rows: int = GROUP_ROWS) -> None:
        self.name: str = output.name
        self.refusals: deque[Refusal] = deque()
        self._output = output
        self._pyarrow = pyarrow
        self._group_rows = group_rows
        self._shape = Shape()
        self._given = Given()
        self._names: tuple[str, ...] = ()
        self._known: frozenset[str] = frozenset()
        self._rows: list[tuple[Any, ...]] = []
        self._is_over = False
        self._size = 0
        self._kinds: list[Kind] | None = None
        self._open: set[int] = set()  # columns that are not known everywhere yet: their cells are kept as they came
        self._file: Any = None
        self._guard = threading.Lock()  # a signal's rescue may finish while the main thread writes

    @property
    def broken(self) -> OSError | None:
        """What a write met."""
        return self._output.broken

    def begin(self, shape: Shape) -> None:
        """Choose the names of the columns."""
        self._shape = shape
        if shape.values_only:  # the first group's values tell
            return
        inputs = shape.columns or ["input"]
        ours = ["value", "error", "attempts"] if shape.failures_here else ["value"]
        self._names = tuple(beside(inputs, ours))

    def prepare(self, value: object) -> Any:
        """Turn a value into what Parquet has types for; what JSON cannot hold, such as half a character, it cannot."""
        return simplified(value), len(json_text(value))

    def write(self, row: Row, prepared: Any) -> None:
        """Take a success; Unfit if a later group's value has another type than the first group's."""
        self._take([self._cells(row, prepared[0])], len(row.raw) + prepared[1], prepared[0])

    def write_all(self, rows: Sequence[Row], prepared: Sequence[Any]) -> None:
        """Take successes, looked at column by column; Unfit, and none is taken, if one is."""
        values, sizes = zip(*prepared, strict=True)
        cells = [*map(self._cells, rows, values)]
        self._take(cells, sum(sizes) + sum([len(row.raw) for row in rows]), None)

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> None:
        """Take a failure."""
        error = error.encode("utf-8", "replace").decode()
        if isinstance(row, Row):
            try:
                self._take([(*self._input(row), None, error, attempts)], len(row.raw), None)
                return
            except Unfit:  # the input itself has another type than those before it: its text goes with the error
                error = f"{error} (the input: {row.raw.decode()})"
        else:
            error = f"line {row.line}: {row.reason} (it begins: {row.excerpt})"
        blank = (None,) * (len(self._names) - 2)
        self._take([(*blank, error, attempts if isinstance(row, Row) else None)], len(error), None)

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
        given = self._given.of(row)
        if self._shape.columns is None:
            return (simplified(given),)
        return tuple([it if type(it := given.get(name)) is str else simplified(it) for name in self._shape.columns])

    def _blank(self) -> tuple[None, ...]:
        return (None, None) if self._shape.failures_here else ()

    def _cells(self, row: Row, value: Any) -> tuple[Any, ...]:
        """Return what stands in the columns; while those of values alone have no names, their fields alone."""
        if not self._shape.values_only:
            return (*self._input(row), value, *self._blank())
        fields = cast("dict[str, Any]", value) if type(value) is dict else {"value": value}
        if not self._names:
            return (fields,)
        if not fields.keys() <= self._known:
            extra, has = next(name for name in fields if name not in self._known), listed(self._names)
            raise Unfit(f"{extra!r} is not a column of the rows before, which have {has}; {json_text(fields).decode()}")
        return tuple([fields.get(name) for name in self._names])

    def _name_columns(self) -> None:
        """Choose the names of the columns by the values that came so far."""
        held = [fields for (fields,) in self._rows]
        self._names = tuple(dict.fromkeys(chain.from_iterable(held))) or ("value",)
        self._known = frozenset(self._names)
        self._rows = [tuple([fields.get(name) for name in self._names]) for fields in held]

    def _take(self, rows: list[tuple[Any, ...]], size: int, value: Any) -> None:
        if self._kinds is not None:
            rows = self._fitted(self._kinds, rows, value)
        with self._guard:
            self._rows += rows
            self._size += size
            if len(self._rows) >= self._group_rows or self._size >= GROUP_BYTES:
                if not self._names:
                    self._name_columns()
                self._write_group()

    def _fitted(self, kinds: list[Kind], rows: list[tuple[Any, ...]], value: Any) -> list[tuple[Any, ...]]:
        at = 0
        columns: list[Any] = [*zip(*rows, strict=True)]
        try:
            for at, kind in enumerate(kinds):
                made = fitted_all(kind, columns[at])
                columns[at] = columns[at] if at in self._open else made
        except Unfit as unfit:
            said = f"column {self._names[at]!r} has its type from the rows before: {unfit}"
            raise Unfit(f"{said}; {json_text(value).decode()}") from None
        return [*zip(*columns, strict=True)]

    def _write_group(self) -> None:
        columns: list[Any] = list(zip(*self._rows, strict=True)) or [()] * len(self._names)
        kinds = self._known_now(columns)
        for at in range(len(kinds)) if self._kinds is None else self._open:
            columns[at] = fitted_all(kinds[at], columns[at])
        self._kinds, self._open = kinds, {at for at, kind in enumerate(kinds) if has_gaps(kind)}
        types = [_type(self._pyarrow, kind) for kind in kinds]
        schema = self._pyarrow.schema(list(zip(self._names, types, strict=True)))
        if self._file is None:
            self._file = self._writer(schema)
        elif schema != self._file.schema:
            self._rewrite(schema)
        make = partial(_array, self._pyarrow) if self._is_large else self._pyarrow.array
        arrays = [make(columns.pop(0), type=field.type) for field in schema]
        self._rows, self._size = [], 0
        if arrays and len(arrays[0]):
            self._file.write_batch(self._pyarrow.RecordBatch.from_arrays(arrays, schema=schema))

    def _writer(self, schema: Any) -> Any:
        parquet: Any = load_extra("pyarrow.parquet", "arrow", "a .parquet file")
        # Of cells that are large, statistics take six copies and a dictionary one; they find nothing in a file then.
        few = {"use_dictionary": False, "write_statistics": False} if self._is_large else {}
        return parquet.ParquetWriter(_File(self._output), schema, **few)

    @property
    def _is_large(self) -> bool:
        return self._size > LARGE * max(1, len(self._rows))

    def _rewrite(self, schema: Any) -> None:
        """Write again what was written, in which a column was null, now that its type is known."""
        parquet: Any = load_extra("pyarrow.parquet", "arrow", "a .parquet file")
        self._file.close()
        with self._restarted() as written:
            self._file = self._writer(schema)
            before = parquet.ParquetFile(written)
            for group in range(before.num_row_groups):
                self._file.write_table(_with_types(self._pyarrow, before.read_row_group(group), schema))

    def _restarted(self) -> BinaryIO:
        try:
            return self._output.restart()
        except OSError as error:
            self._output.broken = error
            raise

    def _known_now(self, columns: list[Any]) -> list[Kind]:
        """Return the kinds of the columns: those of the first group, and of later ones where that had only null."""
        if self._kinds is None:
            return self._decided(columns)
        if not self._output.can_restart:  # an object in a store is on its way already
            return [filled_with("json", kind) for kind in self._kinds]
        return [
            settled(filled(kind, kind_of_all(column))) if has_gaps(kind) else kind
            for kind, column in zip(self._kinds, columns, strict=True)
        ]

    def _decided(self, columns: list[Any]) -> list[Kind]:
        known: dict[str, Kind] = {}
        if self._blank() and not self._shape.values_only:
            known = {self._names[-2]: "text", self._names[-1]: "int"}
        return [
            known.get(name) or settled(kind_of_all(column)) for name, column in zip(self._names, columns, strict=True)
        ]

    def _end(self) -> None:
        with self._guard:
            try:
                if self.broken is None and not self._is_over:
                    if self._shape.values_only and not self._names:
                        self._name_columns()
                    self._write_group()
                    self._file.close()
                    self._is_over = True
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


def _array(pyarrow: Any, values: Sequence[Any], type: Any) -> Any:
    """Return a column of large cells with one copy of them; pyarrow's own way takes two."""
    if pyarrow.types.is_struct(type):
        children = [
            _array(pyarrow, [None if it is None else it.get(field.name) for it in values], field.type) for field in type
        ]
        gaps = pyarrow.array([it is None for it in values], type=pyarrow.bool_())
        return pyarrow.StructArray.from_arrays(children, fields=list(type), mask=gaps)
    is_text = pyarrow.types.is_string(type)
    if not is_text and not pyarrow.types.is_binary(type):
        return pyarrow.array(values, type=type)
    ends = [0, *accumulate([_size_of(it) for it in values])]
    if ends[-1] > _MOST_OFFSET:
        return pyarrow.array(values, type=type)
    data = pyarrow.allocate_buffer(ends[-1])
    view = memoryview(data).cast("B")
    for it, begin, end in zip(values, ends, ends[1:], strict=False):
        if it is not None:
            view[begin:end] = it.encode() if is_text else it
    there = pyarrow.array([it is not None for it in values], type=pyarrow.bool_()).buffers()[1]
    offsets = pyarrow.array(ends, type=pyarrow.int32()).buffers()[1]
    return pyarrow.Array.from_buffers(type, len(values), [there, offsets, data])


def _size_of(cell: str | bytes | None) -> int:
    if cell is None:
        return 0
    return len(cell) if isinstance(cell, bytes) or cell.isascii() else len(cell.encode())


def _with_types(pyarrow: Any, table: Any, schema: Any) -> Any:
    """Return a table with the types of a schema, which differ only where it holds nothing but null."""
    columns: list[Any] = []
    for column, field in zip(table.columns, schema, strict=True):
        if column.type != field.type:
            column = pyarrow.chunked_array([pyarrow.array(column.to_pylist(), type=field.type)])
        columns.append(column)
    return pyarrow.table(columns, schema=schema)


def _type(pyarrow: Any, kind: Kind) -> Any:
    if isinstance(kind, tuple):
        if kind[0] == "list":
            return pyarrow.list_(_type(pyarrow, kind[1]))
        return pyarrow.struct([(name, _type(pyarrow, it)) for name, it in kind[1].items()])
    return {
        "null": pyarrow.string(),  # until it is known, see `_rewrite`; text then needs none
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
