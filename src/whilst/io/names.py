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


def is_same_table(one: str, other: str) -> bool:
    """Whether two names stand for the same table of the same database.

    >>> is_same_table("sqlite:///a.db?table=t", "sqlite:///./a.db?table=T&key=id")
    True
    """
    if "://" not in one or "://" not in other:
        return False
    from .database import table_of  # loaded when used

    ours, theirs = table_of(one), table_of(other)
    if ours is None or theirs is None or ours[1:] != theirs[1:]:
        return False
    return ours[0] == theirs[0] or (
        len(files_of(one)) > 1 and clash({"": files_of(one), " ": files_of(other)}) is not None
    )


def another(name: str) -> str:
    """Return the name of a file, or of a table in one, beside one that is taken.

    >>> another("in/rows.jsonl"), another("sqlite:///a.db?table=t")
    ('in/rows-out.jsonl', 'sqlite:///a-out.db?table=t')
    """
    place, mark, rest = name.partition("?")
    stem, ending = os.path.splitext(place)
    return f"{stem}-out{ending}{mark}{rest}"


def another_table(name: str) -> str:
    """Return the name of another table of the same database.

    >>> another_table("sqlite:///a.db?table=t&key=id")
    'sqlite:///a.db?table=t_out&key=id'
    """
    return re.sub(r"([?&]table=[^&]*)", r"\1_out", name, count=1)


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
