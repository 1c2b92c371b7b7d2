"""What kind of input or output does a name stand for? A new kind is one line in a table here."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .csv import CsvWriter, read_csv
from .jsonl import JsonlWriter, read_jsonl
from .lines import ByteSource
from .output import Output, UnfinishedFile
from .rows import Rejected, Row
from .text import read_text

STDIN, STDOUT = 0, 1

READERS: Mapping[str, Callable[[ByteSource], Iterator[Row | Rejected]]] = {
    "text": read_text,
    "jsonl": read_jsonl,
    "csv": read_csv,
}
INPUT_ENDINGS: Mapping[str, str] = {".txt": "text", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
OUTPUT_ENDINGS: Mapping[str, str] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}


class Writer(Protocol):
    """Makes lines of an output format; see `JsonlWriter`."""

    def head(self) -> bytes:
        """Return what stands before the first row."""
        ...

    def prepare(self, value: object) -> Any:
        """Turn a value into what `value` takes; TypeError or ValueError if it cannot be written."""
        ...

    def value(self, row: Row, prepared: Any) -> bytes:
        """Return the line of a success."""
        ...

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> bytes:
        """Return the line of a failure or of a rejected row."""
        ...


class UnknownKind(ValueError):
    """A name whose ending says nothing; `endings` are those that would."""

    def __init__(self, name: str, endings: Mapping[str, str]) -> None:
        super().__init__(f"{name} has no ending that says what is in it")
        self.name: str = name
        self.endings: tuple[str, ...] = tuple(endings)


@dataclass(frozen=True, slots=True)
class Input:
    """An open input: its rows, read as they are asked for."""

    name: str
    format: str
    source: ByteSource

    def rows(self) -> Iterator[Row | Rejected]:
        """Give the rows, once; ValueError if the whole cannot be of this format."""
        return READERS[self.format](self.source)


def open_input(name: str, format: str | None = None) -> Input:
    """Open an input by its name; `-` is standard input, which is text unless `format` says otherwise.

    OSError if it cannot be read, UnknownKind if neither `format` nor its ending says what it holds.
    """
    if name == "-":
        return Input("standard input", format or "text", ByteSource(STDIN, "standard input", owned=False))
    kind = format or INPUT_ENDINGS.get(_ending(name), "")
    if not kind:
        if not os.path.exists(name):
            raise FileNotFoundError(2, "No such file or directory", name)
        if not os.path.isdir(name):
            raise UnknownKind(name, INPUT_ENDINGS)
    descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        os.close(descriptor)
        raise IsADirectoryError(21, "Is a directory", name)
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    return Input(name, kind, ByteSource(descriptor, name, size=size))


def output_format(name: str) -> str:
    """Return the format of an output by its name: JSONL for `-` and for devices; UnknownKind if nothing says."""
    if name == "-" or _is_device(name):
        return "jsonl"
    try:
        return OUTPUT_ENDINGS[_ending(name)]
    except KeyError:
        raise UnknownKind(name, OUTPUT_ENDINGS) from None


def open_output(name: str, *, overwrite: bool = False) -> Output:
    """Open an output by its name; a file is written under a name of its own until it is finished.

    FileExistsError if it is there and not to be overwritten, OSError if it cannot be written.
    """
    if name == "-":
        return Output(STDOUT, "standard output")
    if _is_device(name):
        return Output(os.open(name, os.O_WRONLY), name)
    if os.path.isdir(name):
        raise IsADirectoryError(21, "Is a directory", name)
    if os.path.exists(name) and not overwrite:
        raise FileExistsError(17, "File exists", name)
    file = UnfinishedFile(name, overwrite=overwrite)
    return Output(file.open(), name, file=file)


def make_writer(format: str, *, columns: list[str] | None, values_only: bool, failures_here: bool) -> Writer:
    """Return the writer of a format; `columns` are those of an input that is a table."""
    if format == "csv":
        return CsvWriter(columns=columns, values_only=values_only, failures=failures_here)
    return JsonlWriter(values_only=values_only)


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _is_device(name: str) -> bool:
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
