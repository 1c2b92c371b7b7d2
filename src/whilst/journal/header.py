"""What does a journal say of the run that made it?"""

from __future__ import annotations

import os

import msgspec

from .fingerprint import Fingerprint
from .names import in_text

_BYTES = "\0"  # begins a word that is no text, before its bytes in hex: no argument and no path has one


class Command(msgspec.Struct, frozen=True):
    """The command line that started a run, and where; a name of a file that is no text stands as in `sys.argv`."""

    argv: tuple[str, ...]
    cwd: str


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was run: written at the start of a run that differs from the one before."""

    name: str
    place: str
    fingerprint: Fingerprint
    key: str = ""
    """Of the function that `key=` gave; inputs are told by their content if there is none."""
    command: Command | None = None
    created: float = 0.0
    lost: int = 0
    broken: int = 0
    """Outcomes and rows that were damaged when the run began, as was reported then."""

    def _same_run(self, other: Header) -> bool:
        """Whether nothing but the time differs."""
        return msgspec.structs.replace(self, created=0.0) == msgspec.structs.replace(other, created=0.0)


def header_bytes(header: Header) -> bytes:
    """Return how a header is written; `header_of` reads it.

    >>> header = Header("f", "", Fingerprint("", ""), command=Command(("-o", "a\\udcff.csv"), "/tmp"))
    >>> header_of(header_bytes(header)) == header
    True
    """
    if (command := header.command) is not None:
        command = Command(tuple(map(_written, command.argv)), _written(command.cwd))
    return msgspec.json.encode(msgspec.structs.replace(header, command=command))


def header_of(written: bytes | str) -> Header:
    """Read a header."""
    header = _read(written)
    command = header.command
    if command is None or not any(word.startswith(_BYTES) for word in (*command.argv, command.cwd)):
        return header
    return msgspec.structs.replace(
        header, command=Command(tuple(map(_as_it_was, command.argv)), _as_it_was(command.cwd))
    )


def _written(word: str) -> str:
    return word if in_text(word) == word else f"{_BYTES}{os.fsencode(word).hex()}"


def _as_it_was(word: str) -> str:
    return os.fsdecode(bytes.fromhex(word[1:])) if word.startswith(_BYTES) else word


_read = msgspec.json.Decoder(Header).decode
