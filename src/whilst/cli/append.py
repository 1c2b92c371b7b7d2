"""How does an output grow a file that is there, so that neither is lost? The new rows are put behind a copy of it.

The copy takes the old file's name when it is whole, as any output does. So who reads the file, or kills the run, meets
either the old rows or all of them, and never half a line.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import NoReturn

from ..io.open import is_local, local_path
from ..io.output import UnfinishedFile
from .messages import Problem
from .options import RunOptions
from .streams import plain_name

PIECE = 1024 * 1024  # bytes copied at once
_DELIMITERS = {"csv": ",", "tsv": "\t"}  # of the tables that can grow


class OtherColumns(OSError):
    """A file of other columns than those of the rows that were to be put behind it."""


class Appended:
    """A place behind what a file holds."""

    def __init__(self, path: str, delimiter: str | None) -> None:
        self._place = UnfinishedFile(path, overwrite=True).open()
        self.header: list[str] = _header(path, delimiter) if delimiter else []
        """The columns of a table that is there."""
        self._delimiter = delimiter or ","
        self._head = b"" if self.header else None  # the line of names that comes, as to any table
        try:
            self._copy(path)
        except BaseException:  # whatever it is, nothing of ours stays
            self._place.discard()
            raise

    def write(self, data: bytes) -> None:
        """Write all of it, but a line of names that the file begins with."""
        if self._head is not None:
            self._head += data
            end = self._head.find(b"\n") + 1
            if not end:
                return
            data, self._head = self._head, None
            if (names := _names(data[:end], self._delimiter)) != self.header:
                self._mix(data, names)
            data = data[end:]
        if data:
            self._place.write(data)

    def finish(self) -> str | None:
        """Give the copy the name of the file."""
        return self._place.finish()

    def discard(self) -> None:
        """Leave the file as it is."""
        self._place.discard()

    def _mix(self, data: bytes, names: list[str]) -> NoReturn:
        """Keep rows of other columns under the working name, and say why."""
        self._place.write(data)
        self._place.give_up()
        ours, theirs = (",".join(it) for it in (names, self.header))
        raise OtherColumns(errno.EINVAL, f"its columns are {theirs}, and those of the new rows {ours}")

    def _copy(self, path: str) -> None:
        last = b"\n"
        with open(path, "rb") as old:
            while piece := old.read(PIECE):
                self._place.write(piece)
                last = piece[-1:]
        if last != b"\n" and not path.endswith((".gz", ".zst")):
            self._place.write(b"\n")  # its last line had no end


def check_append(options: RunOptions, format_of: Callable[[str], str]) -> None:
    """Refuse outputs that cannot grow; Problem says what can be done instead."""
    if not options.append:
        return
    if options.overwrite:
        raise Problem("--append keeps the old file, --overwrite replaces it", remedy="one of the two")
    if options.journal is not None:
        raise Problem(
            "--append and --journal cannot be given together",
            "a run with a journal writes its outputs anew, complete, each time it continues",
            remedy="leave out --append",
        )
    if options.failed is None and plain_name(options.out) == "-":
        raise Problem("--append has no file to grow: outcomes go to standard output", remedy="-o out.jsonl --append")
    for name in filter(None, (options.out, options.failed)):
        format = format_of(name)
        is_packed_table = format in _DELIMITERS and name.endswith((".gz", ".zst"))
        if format == "sql":
            raise Problem(
                f"{name} keeps its old rows without --append",
                "a row is replaced only by a row with the same key",
                remedy="--overwrite for --append",
            )
        if not is_local(name) or format not in ("jsonl", *_DELIMITERS) or is_packed_table:
            raise Problem(f"{name} cannot be appended to", "only .jsonl, .csv and .tsv files can", remedy="another -o")


def appended(name: str, format: str) -> Appended | None:
    """Return the place behind what a file holds; None where there is no file yet."""
    path = local_path(name)
    return Appended(path, _DELIMITERS.get(format)) if os.path.isfile(path) else None


def header_of(name: str, format: str) -> list[str] | None:
    """Return the columns of a table that will grow; None where there are none yet."""
    path, delimiter = local_path(name), _DELIMITERS.get(format)
    return _header(path, delimiter) or None if delimiter and os.path.isfile(path) else None


def _header(path: str, delimiter: str) -> list[str]:
    with open(path, "rb") as file:
        return _names(file.readline().removeprefix(b"\xef\xbb\xbf"), delimiter)


def _names(line: bytes, delimiter: str) -> list[str]:
    """Return the names in a line of a table, however they are quoted."""
    import csv  # loaded when used

    text = line.decode("utf-8", "replace").rstrip("\r\n")
    return next(csv.reader([text], delimiter=delimiter), list[str]())
