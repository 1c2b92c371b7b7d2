"""How is Parquet read: row group after row group, a few MiB of rows at a time.

Values come as Python has them: nested ones as lists and dicts (a map as a list of pairs), timestamps as datetimes
(nanoseconds are cut off), decimals as Decimal, binary as bytes. Their JSON is that of any output: ISO dates,
decimals as text, bytes as base64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .jsonl import json_text
from .lines import ByteStream
from .refusal import BrokenInput, load_extra, twice_in
from .rows import MAX_ROW, Rejected, Row, rejected

BATCH_BYTES = 4 * 1024 * 1024  # of decoded rows held at once, as far as the first rows of a group tell
MOST_ROWS = 4096
PROBE = 16  # rows read to learn how large they are: a page of one repeated value says nothing about that
BUFFER = 1024 * 1024  # bytes of each column chunk read ahead; without it the whole chunk would be


def read_parquet(source: ByteStream, limit: int = MAX_ROW) -> Iterator[Row | Rejected]:
    """Give each row as a dict, numbered from 1; rows over `limit` or with text that is not UTF-8 are rejected.

    ValueError if it is no Parquet file or names a column twice; Refused if it cannot be read from the end, or
    pyarrow is missing.
    """
    pyarrow: Any = load_extra("pyarrow", "arrow", "a .parquet file")
    parquet: Any = load_extra("pyarrow.parquet", "arrow", "a .parquet file")
    try:
        try:
            file = parquet.ParquetFile(source.file(), buffer_size=BUFFER, pre_buffer=False)
        except pyarrow.ArrowException as error:
            raise ValueError(_first_line(error)) from None
        except OSError as error:
            if error.strerror is not None:
                raise
            raise BrokenInput(_first_line(error)) from None  # pyarrow's own, which has a text alone
        names: list[str] = file.schema_arrow.names
        if (twice := twice_in(names)) is not None:
            raise ValueError(f"it names the column {twice!r} twice")
        number = 1
        try:
            for batch in _batches(file):
                yield from _rows(_in_microseconds(pyarrow, batch), number, limit)
                number += batch.num_rows
        except (pyarrow.ArrowException, OSError) as error:
            raise BrokenInput(f"{_first_line(error)} (after row {number - 1:,})") from None
    finally:
        source.close()


def _batches(file: Any) -> Iterator[Any]:
    for group in range(file.metadata.num_row_groups):
        probe = next(file.iter_batches(batch_size=PROBE, row_groups=[group]), None)
        if probe is None or not probe.num_rows:
            continue
        size = max(1, probe.nbytes // probe.num_rows)
        yield from file.iter_batches(batch_size=max(1, min(MOST_ROWS, BATCH_BYTES // size)), row_groups=[group])


def _rows(batch: Any, number: int, limit: int) -> Iterator[Row | Rejected]:
    try:
        values = batch.to_pylist()
    except (ValueError, OverflowError):  # one of them is no Python value: those around it still are
        for at in range(batch.num_rows):
            yield _row_alone(batch.slice(at, 1), number + at, limit)
        return
    for value in values:
        yield _row(value, number, limit)
        number += 1


def _row_alone(batch: Any, number: int, limit: int) -> Row | Rejected:
    try:
        return _row(batch.to_pylist()[0], number, limit)
    except UnicodeDecodeError as error:
        return rejected(number, f"not UTF-8: byte 0x{error.object[error.start]:02x}", error.object)
    except (ValueError, OverflowError) as error:
        return rejected(number, f"a value has no meaning in Python: {_first_line(error)}", b"")


def _row(value: dict[str, Any], number: int, limit: int) -> Row | Rejected:
    try:
        raw = json_text(value)
    except (TypeError, ValueError) as error:
        return rejected(number, str(error), repr(value)[:200].encode())
    if len(raw) > limit:
        return rejected(number, f"the row has {len(raw):,} bytes, the limit is {limit:,}", raw)
    return Row(number, value, raw)


def _in_microseconds(pyarrow: Any, batch: Any) -> Any:
    """Cut nanoseconds, for which Python has no type, off times and durations of the first level."""
    columns: list[Any] = []
    for column in batch.columns:
        kind = column.type
        if pyarrow.types.is_timestamp(kind) and kind.unit == "ns":
            column = column.cast(pyarrow.timestamp("us", kind.tz), safe=False)
        elif pyarrow.types.is_time64(kind) and kind.unit == "ns":
            column = column.cast(pyarrow.time64("us"), safe=False)
        elif pyarrow.types.is_duration(kind) and kind.unit == "ns":
            column = column.cast(pyarrow.duration("us"), safe=False)
        columns.append(column)
    return pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
