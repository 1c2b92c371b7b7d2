"""How do answers become files? `--save 'DIR/{name}'`: streamed beside the final name, then given it; never outside DIR.

Folders and files are opened one by one, without following a link, so that what a server or a row says leads nowhere
else.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from ..http.errors import BadAnswer
from .messages import Problem, short
from .template import Unfillable, fields_of, have_ends

OWN = ("name", "host", "line")  # what a template may name beside the fields of a row
LONGEST = 200  # bytes of a name: with the ending of a part they fit every file system
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Saver:
    """Where the answers of a command are saved."""

    def __init__(self, template: str, *, overwrite: bool) -> None:
        self.template: str = template
        fixed = template.partition("{")[0]
        self._directory: str = os.path.dirname(fixed)
        self._rest: list[str] = template[len(self._directory) :].lstrip("/").split("/")
        self._overwrite = overwrite
        self._given: set[int] = set()
        better = os.path.join(self._directory, "{name}")
        if not have_ends(template):
            raise Problem(f"the braces of --save {short(template)} do not match", remedy=f"--save '{better}'")
        if not fields_of(template):
            better = os.path.join(fixed, "{name}")
            raise Problem("--save gives every answer the same name", f"it is {short(template)}", remedy=better)
        if any(part in ("", ".", "..") for part in self._rest):
            raise Problem(f"--save {short(template)} has an empty part, . or .. behind its first field")
        if self._directory and not os.path.isdir(self._directory):
            raise Problem(
                f"the directory of --save does not exist: {short(self._directory)}",
                remedy=f"mkdir -p {self._directory}",
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a row that the template names."""
        return tuple(it for it in fields_of(self.template) if it not in OWN)

    def parts_of(self, value: Any, url: str, line: int) -> list[str]:
        """Return the folders and the name of a row's file, below the directory; Unfillable if it has none."""
        row = cast("dict[str, Any]", value) if isinstance(value, dict) else {"": value}
        split = urlsplit(url)
        own = {"name": unquote(split.path.rpartition("/")[2]), "host": split.hostname or "", "line": str(line)}
        return [self._filled(part, {**own, **row}) for part in self._rest]

    def begin(self, parts: list[str]) -> Saved:
        """Begin a file; OSError, or BadAnswer if its name is that of something else."""
        folder = os.open(self._directory or ".", _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
        try:
            for part in parts[:-1]:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
                inner = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            return Saved(
                folder, parts[-1], os.path.join(self._directory, *parts), self._given, overwrite=self._overwrite
            )
        except BaseException:
            os.close(folder)
            raise

    def _filled(self, part: str, fields: dict[str, Any]) -> str:
        filled = part
        for name in fields_of(part):
            if name not in fields:
                raise Unfillable(f"the row has no field {name!r}, which --save names")
            found = fields[name]
            if isinstance(found, (dict, list)) or found is None:
                raise Unfillable(f"{name!r} is {short(f'{found!r}', 60)}, which cannot be part of a file's name")
            filled = filled.replace(f"{{{name}}}", str(found))
        if filled in ("", ".", "..") or "/" in filled or "\0" in filled or os.sep in filled:
            raise Unfillable(f"{short(repr(filled), 80)} is not the name of a file in the directory of --save")
        if len(filled.encode("utf-8", "surrogateescape")) > LONGEST:
            raise Unfillable(f"the name of its file has more than {LONGEST} bytes: {short(filled, 60)}")
        return filled


class Saved:
    """One file on its way to its name."""

    def __init__(self, folder: int, name: str, path: str, given: set[int], *, overwrite: bool) -> None:
        self.path: str = path
        self.size: int = 0
        self._given = given  # the names of this run, as a number each: there may be millions
        self._known = hash(path)
        self._folder = folder
        self._name = name
        self._part = f".{name}.{secrets.token_hex(4)}.part"
        self._overwrite = overwrite
        self._fd = os.open(self._part, _NEW, 0o666, dir_fd=folder)

    def write(self, data: bytes) -> None:
        """Write a piece."""
        self.size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def restart(self) -> None:
        """Forget what has been written: the answer begins anew."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.size = 0

    def finish(self) -> None:
        """Give the file its name, durably; BadAnswer if something else has it, and is not to be replaced."""
        os.fsync(self._fd)
        self._close_file()
        try:
            if self._overwrite and self._known not in self._given:
                os.rename(self._part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            else:
                os.link(self._part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
                os.unlink(self._part, dir_fd=self._folder)
            self._given.add(self._known)
        except FileExistsError:
            if not self._is_the_same():
                raise self._taken() from None
            self._given.add(self._known)
            os.unlink(self._part, dir_fd=self._folder)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what there is of it, unless it has its name; idempotent."""
        self._close_file()
        folder, self._folder = self._folder, -1
        if folder >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self._part, dir_fd=folder)
            os.close(folder)

    def _taken(self) -> BadAnswer:
        if self._known in self._given:
            return BadAnswer(f"{self.path} is another answer of this run (--save '…{{line}}' tells them apart)")
        return BadAnswer(f"{self.path} exists and is not replaced (--overwrite)")

    def _close_file(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _is_the_same(self) -> bool:
        """Whether the file that has the name is a regular one with this very content: an earlier run wrote it."""
        try:
            theirs, ours = (
                os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._folder)
                for name in (self._name, self._part)
            )
        except OSError:
            return False
        try:
            with open(theirs, "rb") as one, open(ours, "rb") as other:
                if os.fstat(theirs).st_size != os.fstat(ours).st_size:
                    return False
                while chunk := one.read(1 << 20):
                    if chunk != other.read(1 << 20):
                        return False
            return True
        except OSError:
            return False
