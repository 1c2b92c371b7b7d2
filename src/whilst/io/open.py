"""What kind of input or output does a name stand for? A new kind is one file and one line in a table here.

A name is a path or a URL. Its scheme says where the rows are (`SCHEMES`: a database, a store, a list of files), its
ending how they are written (`FORMATS`) and packed. What a kind needs is imported when it is used.
"""

from __future__ import annotations

import errno
import importlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import msgspec

from ..files import planted
from . import compression
from .device import open_device
from .endings import better_output, has_pattern, refuse_ending, refuse_home, refuse_short_url
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
        is_text: whether it may be in another encoding, and packed.
        has_delimiter: whether `read` takes what stands between fields.
    """

    endings: tuple[str, ...]
    read: str
    sink: str = ""
    is_table: bool = False
    is_text: bool = True
    has_delimiter: bool = False


FORMATS: Mapping[str, Format] = {
    "text": Format((".txt",), "text:read_text"),
    "nul": Format((), "text:read_nul"),
    "jsonl": Format((".jsonl", ".ndjson"), "jsonl:read_jsonl", "jsonl:jsonl_sink"),
    "json": Format((".json",), "json_array:read_json"),
    "csv": Format((".csv",), "csv:read_csv", "csv_sink:csv_sink", is_table=True, has_delimiter=True),
    "tsv": Format((".tsv", ".tab"), "csv:read_tsv", "csv_sink:tsv_sink", is_table=True, has_delimiter=True),
    "parquet": Format((".parquet",), "parquet:read_parquet", "parquet_sink:parquet_sink", is_table=True, is_text=False),
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
    """A name whose ending says nothing; `endings` are those that would, `better` an output that is near to it."""

    def __init__(self, name: str, *, output: bool) -> None:
        self.name: str = name
        self.endings: tuple[str, ...] = tuple(_endings(output=output))
        self.better: str = better_output(name)
        super().__init__(f"{name} has no ending that says what is in it", f"known endings: {known_endings(output)}")


class Input(msgspec.Struct, frozen=True):
    """An open input: its rows, read as they are asked for.

    Attributes:
        name: how messages call it, with passwords masked.
        is_table: whether its rows are dicts of the same columns.
        notes: what a user should know of how it is read; they come with the first row.
    """

    name: str
    format: str
    source: Progress
    read: Callable[[], Iterator[Row | Rejected]]
    is_table: bool = False
    notes: list[str] = []

    def rows(self) -> Iterator[Row | Rejected]:
        """Give the rows, once; ValueError if the whole cannot be of this format, OSError where it breaks off."""
        return self.read()


class Manner(msgspec.Struct, frozen=True):
    """How the user wants an input read: what stands between fields, in which encoding; None: as it says itself."""

    delimiter: str | None = None
    encoding: str | None = None


AS_IT_SAYS = Manner()


def open_input(name: str, format: str | None = None, manner: Manner = AS_IT_SAYS, *, stdin: int = STDIN) -> Input:
    """Open an input by its name; `-` is the descriptor `stdin`, which is text unless `format` says otherwise.

    A local file whose ending says nothing is lines of text, unless its first bytes say otherwise. OSError if it cannot
    be read, Refused if the name says too little (UnknownKind) or cannot be meant.
    """
    if name == "-":
        return _formatted(ByteSource(stdin, "standard input", owned=False), format or "text", "", manner)
    if opener := _opener(name):
        if hasattr(opener, "open_rows"):
            opened: Input = opener.open_rows(name)
            return opened
        kind, packing = _kind(name, format, output=False)
        return _formatted(opener.open_stream(name), kind, packing, manner)
    name = local_path(name)
    if format is None and not os.path.exists(name):
        if has_pattern(name):
            raise Refused(f"there is no file {name}, and it is not a list of files", remedy=f"'files:{name}'")
        raise FileNotFoundError(2, "No such file or directory", name)
    if format is None and os.path.isdir(name):
        raise Refused(f"{name} is a directory", remedy=f"'files:{os.path.join(name, '**')}', for the paths in it")
    try:
        kind, packing = _kind(name, format, output=False)
    except UnknownKind:
        stem, ending = os.path.splitext(name)
        packing = compression.ENDINGS.get(ending.lower(), "")
        inner = stem if packing else name
        if os.path.splitext(inner)[1].lower() in _endings(output=False):
            raise  # a known kind that cannot be packed
        refuse_ending(inner, _endings(output=False))
        return _formatted(_file(name), "text", packing, manner, guessed=True)
    return _formatted(_file(name), kind, packing, manner)


def given_input(values: Sequence[str]) -> Input:
    """Return an input of texts that are there already, such as arguments after `:::`."""
    from .text import Arguments

    arguments = Arguments(values)
    return Input("the arguments", "text", arguments, arguments.rows)


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
    if opener is None and os.path.isdir(local_path(name)):
        raise Refused(f"{name} is a directory", remedy=better_output(local_path(name)))
    return _kind(name, None, output=True)[0]


def open_output(name: str, *, overwrite: bool = False, run: str | None = None, place: Place | None = None) -> Sink:
    """Open an output by its name; a file is written under a name of its own until it is finished.

    `place` is where its bytes go, if that is open already; then the name says only how they are written.

    `run` names a run that can be resumed, and what it leaves unfinished when it is killed. FileExistsError if the
    output is there and not to be overwritten, OSError if it cannot be written, Refused if it cannot be meant.
    """
    if name == "-":
        return _sink(Output(place or Descriptor(STDOUT), "standard output"), "jsonl")
    opener = _opener(name)
    if opener is not None and hasattr(opener, "open_rows"):
        if not hasattr(opener, "open_sink"):
            raise Refused(f"{name} can be read, but not written to")
        opened: Sink = opener.open_sink(name, overwrite=overwrite)
        return opened
    format, packing = ("jsonl", "") if _is_device(name) else _kind(name, None, output=True)
    compressor = compression.compressor(packing) if packing else None
    if place is not None:
        target = place
    elif opener is not None:
        target = cast("Place", opener.open_place(name, overwrite=overwrite))
    else:
        name = local_path(name)
        target = _local_place(name, overwrite=overwrite, run=run)
    try:
        return _sink(Output(target, name, compressor=compressor), format)
    except BaseException:  # a package is missing: nothing is left behind
        target.discard()
        raise


def standard_error(place: Place | None = None) -> Sink:
    """Return JSON lines on standard error."""
    return _sink(Output(place or Descriptor(2), "standard error"), "jsonl")


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
    refuse_home(name)
    if name.startswith("files:"):
        return importlib.import_module(".files", __package__)
    scheme, found, _ = name.partition("://")
    if not found or not re.fullmatch(r"[a-zA-Z][\w.+-]*", scheme) or scheme.lower() == "file":
        refuse_short_url(name, SCHEMES)
        return None
    module = SCHEMES.get(scheme.lower().partition("+")[0])
    if module is None:
        rest = name.partition("://")[2]
        likely = closest(scheme.lower(), SCHEMES)
        known = f"known schemes: {listed([*dict.fromkeys(SCHEMES), 'file'], most=20)}"
        raise Refused(f"{scheme}:// is not a known scheme", known, remedy=f"{likely}://{rest}" if likely else "")
    return importlib.import_module(f".{module}", __package__)


def _kind(name: str, format: str | None, *, output: bool) -> tuple[str, str]:
    """Return format and packing by the name's endings."""
    path = name.partition("?")[0] if "://" in name else name
    stem, ending = os.path.splitext(path)
    packing = compression.ENDINGS.get(ending.lower(), "")
    if packing:
        ending = os.path.splitext(stem)[1]
    kind = format or _endings(output=output).get(ending.lower(), "")
    if not kind or (packing and not FORMATS[kind].is_text):
        raise UnknownKind(name, output=output)
    return kind, packing


def _endings(*, output: bool) -> dict[str, str]:
    return {end: kind for kind, it in FORMATS.items() if it.sink or not output for end in it.endings}


def _formatted(stream: ByteStream, kind: str, packing: str, manner: Manner, *, guessed: bool = False) -> Input:
    format, notes = FORMATS[kind], list[str]()
    given: dict[str, Any] = {}
    try:
        if format.is_text:
            from .content import Recognised

            if packing:
                compression.load_unpacker(packing)
            encoding = None if manner.encoding is None else _load("content:checked_encoding")(manner.encoding)
            stream = Recognised(stream, kind, packing, encoding, guessed=guessed, notes=notes)
        elif manner.encoding is not None:
            raise Refused(f"{stream.name} is {kind}, which has no encoding of its own", remedy="leave out --encoding")
        if format.has_delimiter:
            delimiter = None if manner.delimiter is None else _load("csv:checked_delimiter")(manner.delimiter)
            given = {"delimiter": delimiter, "notes": notes}
        elif manner.delimiter is not None:
            remedy = "leave out --delimiter, or --format csv"
            raise Refused(f"{stream.name} is {kind}, which has no delimiter", remedy=remedy)
        read = _load(format.read)
    except BaseException:  # a package is missing: nothing stays open
        stream.close()
        raise
    return Input(stream.name, kind, stream, lambda: read(stream, **given), format.is_table, notes)


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
    if (open_already := descriptor_of(name)) is not None:
        return Descriptor(os.dup(open_already), owned=True)
    if what := planted(name):
        raise OSError(errno.EPERM, f"it is {what} that somebody else made, in a directory where anybody can", name)
    if _is_device(name):
        return Descriptor(open_device(name), owned=True)
    if os.path.isdir(name):
        raise IsADirectoryError(21, "Is a directory", name)
    if os.path.exists(name) and not overwrite:
        raise FileExistsError(17, "File exists", name)
    return UnfinishedFile(name, overwrite=overwrite, run=run).open()


def descriptor_of(name: str) -> int | None:
    """Return which descriptor of this process a name stands for; it is written to as it is, whatever it leads to.

    >>> descriptor_of("/dev/stdout"), descriptor_of("/dev/fd/7"), descriptor_of("out.jsonl")
    (1, 7, None)
    """
    found = re.fullmatch(r"/dev/(?:std(out|err)|fd/(\d{1,9}))|/proc/self/fd/(\d{1,9})", name)
    if found is None:
        return None
    return {"out": 1, "err": 2}.get(found[1] or "") or int(found[2] or found[3])


def _is_device(name: str) -> bool:
    if descriptor_of(name) is not None:
        return True
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
