"""Can a journal live at this path, and what is there now?"""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
from typing import NoReturn

from ..errors import JournalDamaged, JournalError
from ..files import NO_HOME, open_regular, planted
from .frame import MAGIC

# File systems that other machines may write to as well: locks and syncs mean less there than a journal needs. 9p is
# not among them, though it can be one: it is the root of sandboxed containers.
NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "gpfs", "beegfs"),
        *("orangefs", "pvfs2", "ocfs2", "gfs", "gfs2", "davfs", "coda", "fuse.sshfs", "fuse.s3fs", "fuse.rclone"),
        *("fuse.gcsfuse", "fuse.goofys", "fuse.glusterfs", "fuse.davfs2", "fuse.ceph", "fuse.juicefs"),
    }
)
SQLITE_HEAD = b"SQLite format 3\x00"
_OCTAL = re.compile(r"\\([0-7]{3})")


def checked_place(path: str, given: str = "") -> bool:
    """Check that a journal can be at an absolute path; return whether one is there (or something that may be one).

    `given` is how it was named, before links were resolved.

    Raises:
        JournalError: a directory that is missing or cannot be written, a file system of the network, a foreign file.
        JournalDamaged: there was a journal, and SQLite cannot open it.
    """
    directory = os.path.dirname(path)
    if given and (found := planted(given)):
        raise JournalError(f"{given} cannot be a journal: {found}", remedy="another path")
    if not _is_text(path):
        raise JournalError(
            f"{path!a} cannot be a journal: that is no text, and SQLite takes no other name",
            remedy="another path, all of whose folders have names in UTF-8",
        )
    if not os.path.isdir(directory) and given.startswith("~"):
        raise JournalError(
            f"{given} cannot be a journal: {NO_HOME[0]}",
            NO_HOME[1],
            remedy=f"os.path.expanduser({given!r})",
        )
    if not os.path.isdir(directory) and given.startswith("sqlite:"):
        raise JournalError(
            f"{given} cannot be a journal: that is a URL, and a journal is a file",
            remedy=f"journal={os.path.basename(given)!r}",
        )
    if not os.path.isdir(directory):
        raise JournalError(
            f"{path} cannot be a journal: its directory does not exist", remedy=f"mkdir -p {shlex.quote(directory)}"
        )
    if kind := network_filesystem(directory):
        raise JournalError(
            f"{path} cannot be a journal: it is on a network file system",
            f"{kind}, where locks and syncs are not reliable",
            remedy="a path on a disk of this machine, and copy it when the run has ended",
        )
    if os.path.isdir(path):
        raise JournalError(
            f"{path} cannot be a journal: it is a directory", remedy=f"a file in it: {os.path.join(path, 'run.db')}"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise JournalError(
            f"{path} cannot be a journal: its directory cannot be written",
            "files beside it are needed: a write-ahead log, a lock, a status",
            remedy=f"chmod u+w {shlex.quote(directory)}, or another path",
        )
    if not os.path.exists(path):
        return False
    if not os.access(path, os.R_OK | os.W_OK):
        raise JournalError(f"{path} cannot be written", remedy=f"chmod u+rw {shlex.quote(path)}, or another path")
    return _holds_something(path)


def network_filesystem(directory: str, mounts: str | None = None) -> str:
    """Return the kind of network file system that a directory is on, or "" (also where that cannot be known).

    >>> network_filesystem("/mnt/a b/c", "30 22 0:50 / /mnt/a\\\\040b rw - nfs4 host:/x rw")
    'nfs4'
    """
    if sys.platform == "win32":
        return "a network drive" if directory.startswith("\\\\") else ""
    if mounts is None:
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
                mounts = table.read()
        except OSError:  # not Linux
            return ""
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) < 5 or not rest[0]:
            continue
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4])
        under = directory == point or directory.startswith(point.rstrip("/") + "/")
        if under and len(point) >= len(best):  # of several mounts on one point the last is seen
            best, kind = point, rest[0]
    return kind if kind in NETWORK else ""


def cannot(path: str, error: OSError) -> NoReturn:
    """Raise what an OSError means for a journal at this path."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    raise JournalError(
        f"{path} cannot be a journal: {error.strerror or error}",
        remedy="free some space on the disk, or use another path" if full else "another path",
    ) from None


def cannot_beside(path: str, beside: str, error: OSError) -> NoReturn:
    """Raise what an OSError means for a file that a journal needs beside it, where somebody may have put something."""
    if error.errno not in (errno.ELOOP, errno.EMLINK, errno.EINVAL, errno.EISDIR):
        cannot(path, error)
    raise JournalError(
        f"{path} cannot be a journal: {beside} is needed beside it, and cannot be used",
        error.strerror or str(error),
        remedy=f"ls -l {shlex.quote(beside)}, and remove it if nobody needs it; or another path",
    ) from None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _holds_something(path: str) -> bool:
    """Whether the file is an SQLite database; an empty file is like none."""
    try:
        with open(open_regular(path), "rb") as file:
            head = file.read(100)
            if not head:
                return False
            if head.startswith(SQLITE_HEAD):
                return True
            ours = MAGIC in head or MAGIC in file.read(1 << 20)
    except OSError as error:
        cannot(path, error)
    if ours or head[68:72] == b"whil":
        raise damaged(path, "its first bytes are not those of an SQLite database any more")
    raise JournalError(
        f"{path} is not a journal, and is not changed", f"it starts with {head[:24]!r}", remedy="another path"
    )


def damaged(path: str, evidence: str) -> JournalDamaged:
    """Return the error that names the way to what is whole."""
    return JournalDamaged(
        f"{path} is damaged",
        evidence,
        remedy=f"whilst.journal.rescue({path!r}, 'rescued.db'), then go on with rescued.db",
        path=path,
    )
