"""Do two names of one command stand for the same file, so that one would destroy the other?

Links of both kinds are resolved, and the files that belong to another (SQLite's log, a journal's lock) count with it.
Devices, pipes and standard streams can be named twice.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from .open import descriptor_of, is_local, local_path

Identity: TypeAlias = tuple[object, ...]

OF_SQLITE = ("", "-wal", "-shm", "-journal")
OF_JOURNAL = (*OF_SQLITE, ".lock", ".tail", ".status.json", ".rescue.jsonl")


def clash(names: Mapping[str, Iterable[str]]) -> tuple[str, str] | None:
    """Return the first two keys whose names stand for the same file; None if all are apart.

    >>> clash({"-o": ["a.jsonl"], "--failed": ["./b.jsonl"], "--journal": ["./a.jsonl"]})
    ('-o', '--journal')
    """
    seen: dict[Identity, str] = {}
    for flag, its_names in names.items():
        for it in [found for name in its_names if (found := identity(name)) is not None]:
            if (other := seen.setdefault(it, flag)) != flag:
                return other, flag
    return None


def files_of(name: str) -> list[str]:
    """Name the files that an input or output writes or reads as one.

    >>> files_of("sqlite:///a.db?table=t")[:2], files_of("out.csv")
    (['a.db', 'a.db-wal'], ['out.csv'])
    """
    if found := re.match(r"sqlite(?:\+\w+)?:///([^?#]+)", name, re.IGNORECASE):
        from urllib.parse import unquote  # loaded when used

        return [unquote(found[1]) + ending for ending in OF_SQLITE]
    return [name]


def identity(name: str) -> Identity | None:
    """Return what a name stands for, the same for each of its names; None for what is no file of its own."""
    if name == "-" or name.startswith("files:") or descriptor_of(name) is not None:
        return None
    if not is_local(name):
        return ("remote", name)
    path = local_path(name)
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        folder, base = os.path.split(os.path.realpath(path))
        return ("new", _place(folder), base)
    is_one = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return ("there", found.st_dev, found.st_ino) if is_one else None


def _place(folder: str) -> object:
    try:
        found = os.stat(folder)
    except (OSError, ValueError):
        return folder
    return found.st_dev, found.st_ino
