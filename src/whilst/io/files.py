"""Which files does `files:dir/**/*.txt` name? Each is an input: its path.

The path and not the content: the function opens it, so files are read many at a time, may be of any size and hold
anything. One folder at a time is listed and sorted, so a tree of millions needs no memory. `**` stands for folders
of any depth and does not follow symbolic links, which could lead in a circle; names that begin with a dot are given
only to patterns that begin with one, as in a shell.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .jsonl import json_text
from .refusal import Refused
from .rows import Rejected, Row, rejected

if TYPE_CHECKING:
    from .open import Input

_MAGIC = re.compile(r"[*?\[]")


class Listing:
    """The files that a pattern names, as far as they have been listed."""

    size: int | None = None

    def __init__(self, pattern: str) -> None:
        self.consumed: int = 0
        self._pattern = pattern

    def rows(self) -> Iterator[Row | Rejected]:
        """Give a row for each; one that cannot be opened, or a folder that cannot be listed, is rejected."""
        number = 0
        for number, found in enumerate(matching(self._pattern), 1):
            self.consumed = number
            path, error = (found, None) if isinstance(found, str) else (str(found.filename), found)
            raw = os.fsencode(path)
            if error is None and not os.access(path, os.R_OK):
                error = PermissionError(13, "Permission denied", path)
            if error is not None:
                yield rejected(number, f"{path} cannot be read: {error.strerror}", raw)
                continue
            try:
                yield Row(number, path, json_text(path))
            except ValueError:
                yield rejected(number, "the name of the file is not UTF-8", raw)
        if not number:
            raise Refused(f"files:{self._pattern} names no file", remedy=_wider(self._pattern))

    def close(self) -> None:
        """Do nothing: nothing is open."""


def open_rows(name: str) -> Input:
    """Open `files:PATTERN`; Refused if the folder that it begins with is not there."""
    from .open import Input

    pattern = name.removeprefix("files:")
    fixed = _fixed_part(pattern)
    if not pattern or not os.path.exists(fixed or "."):
        raise Refused(f"{name} names no files: there is no {fixed or 'pattern'}", remedy="files:folder/**/*.txt")
    listing = Listing(pattern)
    return Input(name, "files", listing, listing.rows)


def matching(pattern: str) -> Iterator[str | OSError]:
    """Give the path of each file that fits, folder after folder, and an OSError for a folder that cannot be read.

    >>> here = os.path.dirname(__file__)
    >>> [os.path.basename(str(path)) for path in matching(f"{here}/**/file?.py")]
    ['files.py']
    """
    start = "/" if pattern.startswith("/") else ""
    parts = [part for part in pattern.split("/") if part]
    return _walk(start, parts)


def _walk(folder: str, parts: list[str]) -> Iterator[str | OSError]:
    if not parts:
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _walk_deep(folder, rest or ["*"])
    elif not _MAGIC.search(part):
        path = os.path.join(folder, part)
        if rest:
            yield from _walk(path, rest)
        elif os.path.isfile(path):
            yield path
    else:
        for entry in _listed(folder):
            if isinstance(entry, OSError):
                yield entry
            elif not _fits(entry.name, part):
                continue
            elif rest and _is_folder(entry, follow=True):
                yield from _walk(os.path.join(folder, entry.name), rest)
            elif not rest and _is_file(entry):
                yield os.path.join(folder, entry.name)


def _walk_deep(folder: str, rest: list[str]) -> Iterator[str | OSError]:
    """Match `rest` here, then in each folder below."""
    while rest[0] == "**" and len(rest) > 1:
        rest = rest[1:]
    yield from _walk(folder, ["*"] if rest == ["**"] else rest)
    for entry in _listed(folder):
        if not isinstance(entry, OSError) and _is_folder(entry, follow=False) and not entry.name.startswith("."):
            yield from _walk_deep(os.path.join(folder, entry.name), rest)


def _listed(folder: str) -> list[os.DirEntry[str]] | list[OSError]:
    try:
        with os.scandir(folder or ".") as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):  # it never was, or has just gone: nothing in it fits
        return []
    except OSError as error:
        return [error]


def _fits(name: str, part: str) -> bool:
    return fnmatch.fnmatchcase(name, part) and (not name.startswith(".") or part.startswith("."))


def _is_folder(entry: os.DirEntry[str], *, follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is no folder: what is no file either, or points nowhere, is rejected when it cannot be opened."""
    try:
        return not entry.is_dir() and (entry.is_symlink() or entry.is_file())
    except OSError:
        return True


def _fixed_part(pattern: str) -> str:
    """Return the folders before the first wildcard."""
    fixed: list[Any] = []
    for part in pattern.split("/")[:-1]:
        if _MAGIC.search(part):
            break
        fixed.append(part)
    return "/".join(fixed) or ("/" if pattern.startswith("/") else "")


def _wider(pattern: str) -> str:
    """Return a pattern that may name more."""
    folder, base = os.path.split(pattern)
    if os.path.isdir(pattern):
        return f"'files:{os.path.join(pattern, '**')}'"
    return f"'files:{os.path.join(folder, '**', base)}'" if "**" not in pattern else "ls, to see what is there"
