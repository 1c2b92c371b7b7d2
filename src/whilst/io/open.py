"""What kind of input or output does a name stand for? A new kind is one file and one line in a table here.

A name is a path or a URL. Its scheme says where the rows are (`SCHEMES`: a database, a store, a list of files), its
ending how they are written (`FORMATS`) and packed. What a kind needs is imported when it is used.
"""

from __future__ import annotations

import importlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from . import compression
from .lines import ByteSource, ByteStream
from .output import Descriptor, Output, Place, UnfinishedFile
from .refusal import Refused, closest, listed
from .rows import Rejected, Row
from .sink import Sink

STDIN, STDOUT = 0, 1


class Format(msgspec.Struct, frozen=True):
    """How rows are written in bytes; `read` and `sink` are `module:function` of this package.

    Attributes:
        read: a function of a `ByteStream` that gives rows.
        sink: a function of an `Output` that returns a `Sink`; empty where the format is read only.
        is_table: whether rows are dicts of the same columns.
        packable: whether it makes sense inside gzip or Zstandard.
    """

    endings: tuple[str, ...]
    read: str
    sink: str = ""
    is_table: bool = False
    packable: bool = True


FORMATS: Mapping[str, Format] = {
    "text": Format((".txt",), "text:read_text"),
    "jsonl": Format((".jsonl", ".ndjson"), "jsonl:read_jsonl", "jsonl:jsonl_sink"),
    "csv": Format((".csv",), "csv:read_csv", "csv:csv_sink", is_table=True),
    "parquet": Format(
        (".parquet",), "parquet:read_parquet", "parquet_sink:parquet_sink", is_table=True, packable=False
    ),
}

# Modules that open a URL: `open_rows` and `open_sink` where it names rows, `open_stream` and `open_place` where it
# names bytes in one of the formats above.
SCHEMES: Mapping[str, str] = {
    "sqlite": "sql",
    "postgresql": "sql",
    "postgres": "sql",
    "files": "files",
    **dict.fromkeys(("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "http", "https"), "store"),
}


class Progress(Protocol):
    """How far an input was read, in units of its own."""

    @property
    def size(self) -> int | None:
        """How many there are in all, where that is known."""
        ...

    @property
    def consumed(self) -> int:
        """How many were read."""
        ...

    def close(self) -> None:
        """Let go of what is open, when nobody began to read."""
        ...


class UnknownKind(Refused):
    """A name whose ending says nothing; `endings` are those that would."""

    def __init__(self, name: str, *, output: bool) -> None:
        self.name: str = name
        self.endings: tuple[str, ...] = tuple(_endings(output=output))
        super().__init__(f"{name} has no ending that says what is in it", f"known endings: {known_endings(output)}")


class Input(msgspec.Struct, frozen=True):
    """An open input: its rows, read as they are asked for.

    Attributes:
        name: how messages call it, with passwords masked.
        is_table: whether its rows are dicts of the same columns.
    """

    name: str
    format: str
    source: Progress
    read: Callable[[], Iterator[Row | Rejected]]
    is_table: bool = False

    def rows(self) -> Iterator[Row | Rejected]:
        """Give the rows, once; ValueError if the whole cannot be of this format, OSError where it breaks off."""
        return self.read()


def open_input(name: str, format: str | None = None) -> Input:
    """Open an input by its name; `-` is standard input, which is text unless `format` says otherwise.

    OSError if it cannot be read, Refused if the name says too little (UnknownKind) or cannot be meant.
    """
    if name == "-":
        return _formatted(ByteSource(STDIN, "standard input", owned=False), format or "text")
    if opener := _opener(name):
        if hasattr(opener, "open_rows"):
            opened: Input = opener.open_rows(name)
            return opened
        kind, packing = _kind(name, format, output=False)
        return _formatted(opener.open_stream(name), kind, packing)
    name = local_path(name)
    if format is None and not os.path.exists(name):
        raise FileNotFoundError(2, "No such file or directory", name)
    if format is None and os.path.isdir(name):
        raise IsADirectoryError(21, "Is a directory", name)
    kind, packing = _kind(name, format, output=False)
    return _formatted(_file(name), kind, packing)


def output_format(name: str) -> str:
    """Return the format of an output by its name: JSONL for `-` and for devices; UnknownKind if nothing says.

    >>> output_format("rows.jsonl.gz"), output_format("sqlite:///f.db?table=t")
    ('jsonl', 'sql')
    """
    if name == "-" or _is_device(name):
        return "jsonl"
    opener = _opener(name)
    if opener is not None and hasattr(opener, "open_rows"):
        return str(opener.__name__.rpartition(".")[2])
    return _kind(name, None, output=True)[0]


def open_output(name: str, *, overwrite: bool = False, run: str | None = None) -> Sink:
    """Open an output by its name; a file is written under a name of its own until it is finished.

    `run` names a run that can be resumed, and what it leaves unfinished when it is killed. FileExistsError if the
    output is there and not to be overwritten, OSError if it cannot be written, Refused if it cannot be meant.
    """
    if name == "-":
        return _sink(Output(Descriptor(STDOUT), "standard output"), "jsonl")
    opener = _opener(name)
    if opener is not None and hasattr(opener, "open_rows"):
        if not hasattr(opener, "open_sink"):
            raise Refused(f"{name} can be read, but not written to")
        opened: Sink = opener.open_sink(name, overwrite=overwrite)
        return opened
    format, packing = ("jsonl", "") if _is_device(name) else _kind(name, None, output=True)
    compressor = compression.compressor(packing) if packing else None
    if opener is not None:
        place: Place = opener.open_place(name, overwrite=overwrite)
    else:
        name = local_path(name)
        place = _local_place(name, overwrite=overwrite, run=run)
    try:
        return _sink(Output(place, name, compressor=compressor), format)
    except BaseException:  # a package is missing: nothing is left behind
        place.discard()
        raise


def standard_error() -> Sink:
    """Return JSON lines on standard error."""
    return _sink(Output(Descriptor(2), "standard error"), "jsonl")


def known_endings(output: bool = False) -> str:
    """Name the endings that say what is in a file."""
    return f"{', '.join(_endings(output=output))}, each but .parquet also with {' or '.join(compression.ENDINGS)}"


def local_path(name: str) -> str:
    """Return the path that a `file://` URL stands for; any other name as it is.

    >>> local_path("file:///data/a%20b.jsonl"), local_path("a.jsonl")
    ('/data/a b.jsonl', 'a.jsonl')
    """
    if not name.startswith("file://"):
        return name
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(name)
    if parts.netloc not in ("", "localhost"):
        raise Refused(f"{name} names the host {parts.netloc!r}", remedy=f"file:///{parts.netloc}{parts.path}")
    return unquote(parts.path)


def is_local(name: str) -> bool:
    """Whether a name is that of a file here."""
    return "://" not in name or name.startswith("file://")


def _opener(name: str) -> Any:
    """Return the module for the name's scheme; None for a path."""
    if name.startswith("files:"):
        return importlib.import_module(".files", __package__)
    scheme, found, _ = name.partition("://")
    if not found or not re.fullmatch(r"[a-zA-Z][\w.+-]*", scheme) or scheme.lower() == "file":
        return None
    module = SCHEMES.get(scheme.lower().partition("+")[0])
    if module is None:
        rest = name.partition("://")[2]
        likely = closest(scheme.lower(), SCHEMES)
        known = f"known schemes: {listed([*dict.fromkeys(SCHEMES), 'file'], most=20)}"
        raise Refused(f"{scheme}:// is no known scheme", known, remedy=f"{likely}://{rest}" if likely else "")
    return importlib.import_module(f".{module}", __package__)


def _kind(name: str, format: str | None, *, output: bool) -> tuple[str, str]:
    """Return format and packing by the name's endings."""
    path = name.partition("?")[0] if "://" in name else name
    stem, ending = os.path.splitext(path)
    packing = compression.ENDINGS.get(ending.lower(), "")
    if packing:
        ending = os.path.splitext(stem)[1]
    kind = format or _endings(output=output).get(ending.lower(), "")
    if not kind or (packing and not FORMATS[kind].packable):
        raise UnknownKind(name, output=output)
    return kind, packing


def _endings(*, output: bool) -> dict[str, str]:
    return {end: kind for kind, it in FORMATS.items() if it.sink or not output for end in it.endings}


def _formatted(stream: ByteStream, kind: str, packing: str = "") -> Input:
    try:
        if packing:
            stream = compression.Unpacked(stream, packing)
        format = FORMATS[kind]
        read = _load(format.read)
    except BaseException:  # a package is missing: nothing stays open
        stream.close()
        raise
    return Input(stream.name, kind, stream, lambda: read(stream), format.is_table)


def _sink(output: Output, kind: str) -> Sink:
    made: Sink = _load(FORMATS[kind].sink)(output)
    return made


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)


def _file(name: str) -> ByteSource:
    descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        os.close(descriptor)
        raise IsADirectoryError(21, "Is a directory", name)
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    return ByteSource(descriptor, name, size=size)


def _local_place(name: str, *, overwrite: bool, run: str | None) -> Place:
    if _is_device(name):
        return Descriptor(os.open(name, os.O_WRONLY), owned=True)
    if os.path.isdir(name):
        raise IsADirectoryError(21, "Is a directory", name)
    if os.path.exists(name) and not overwrite:
        raise FileExistsError(17, "File exists", name)
    return UnfinishedFile(name, overwrite=overwrite, run=run).open()


def _is_device(name: str) -> bool:
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
