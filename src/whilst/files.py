"""How does the project open a file of its own, whatever somebody may have put in its place?

In a folder that others can write to, a symbolic link, a second name (a hard link) or a FIFO may wait under any name
that can be guessed. So nothing here follows a link, waits for a FIFO, or truncates before it has looked; what is new is
made exclusively, under a random name, and then takes the place of what was there. Only the last part of a path is
looked at: who can replace a folder above can do anything.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

_ALWAYS = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO is not waited for; it means nothing to a regular file
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
NO_HOME = ("there is no folder ~", "a shell makes a home of ~ where a word begins, and nobody else does")
TRIES = 100  # random names that may be taken; one is enough unless somebody can guess them


def open_regular(path: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Open a file that must be a regular one, and return its descriptor; `flags` and `mode` as in `os.open`.

    OSError, whose text says what is there instead, for a link, a FIFO, a socket, a device or a folder, and where a file
    that is to be written has a second name. `O_TRUNC` takes effect only after that.

    >>> descriptor = open_regular(__file__)
    >>> os.close(descriptor)
    """
    if not hasattr(os, "O_NOFOLLOW") and os.path.islink(path):
        raise _refused(errno.ELOOP, "a symbolic link", path)
    try:
        descriptor = os.open(path, flags & ~os.O_TRUNC | _ALWAYS, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK) and os.path.islink(path):
            raise _refused(errno.ELOOP, "a symbolic link", path) from None
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):
            raise _refused(errno.EINVAL, "a FIFO, a socket or a device", path) from None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _refused(errno.EINVAL, _KINDS.get(stat.S_IFMT(found.st_mode), "no regular file"), path)
        if flags & (os.O_WRONLY | os.O_RDWR) and found.st_nlink > 1:
            raise _refused(errno.EMLINK, "a file with a second name (a hard link)", path)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def create_beside(path: str, ending: str = ".new", mode: int = 0o600) -> tuple[int, str]:
    """Make a file in the folder of `path` that was not there before; return its descriptor and its name.

    The name is that of `path`, something random, and `ending`. OSError as from `os.open`.
    """
    for _ in range(TRIES):
        name = f"{path}.{os.urandom(4).hex()}{ending}"
        try:
            return open_regular(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), name
        except FileExistsError:
            continue
        except OSError as error:  # of a name that nobody gave
            raise OSError(error.errno, error.strerror, path) from None
    raise FileExistsError(errno.EEXIST, "no name is free", path)


def replace_file(path: str, data: bytes, mode: int = 0o600) -> None:
    """Put `data` at `path` in one step: who reads there sees the old or the new, whole. A link there is replaced.

    It is not made durable. OSError, and nothing has changed.
    """
    descriptor, beside = create_beside(path, mode=mode)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def planted(path: str) -> str:
    """Say what somebody else may have put at a path that a user named, for us to follow or to write into; or nothing.

    As Linux has it where it is set to (`fs.protected_symlinks`, `fs.protected_fifos`): in a folder like `/tmp`, where
    anybody may make files, a link or a FIFO must be ours, or of the owner of the folder.
    """
    try:
        found, folder = os.lstat(path), os.stat(os.path.dirname(os.path.abspath(path)))
    except (OSError, ValueError):
        return ""
    is_shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if not is_shared or found.st_uid in (os.geteuid(), folder.st_uid):
        return ""
    kind = stat.S_IFMT(found.st_mode)
    return "" if kind in (stat.S_IFREG, stat.S_IFDIR) else _KINDS.get(kind, "a device")


_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory",
}


def _refused(number: int, what: str, path: str) -> OSError:
    return OSError(number, f"it is {what}, which is not opened in place of a file", path)


def at_home(name: str) -> str:
    """Return a name with a home in place of its `~`; as it is, if it has none, or if a folder is called so.

    >>> at_home("out.jsonl"), at_home("~nobody-of-that-name/out.jsonl")
    ('out.jsonl', '~nobody-of-that-name/out.jsonl')
    """
    start = next((it for it in ("files:", "sqlite:///") if name.startswith(it)), "")
    path = name.removeprefix(start)
    if not path.startswith("~") or os.path.exists(path.partition("/")[0]):
        return name
    return start + os.path.expanduser(path)
