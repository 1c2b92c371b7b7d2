"""What does a journal say of the run that made it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from .fingerprint import Fingerprint


class Command(msgspec.Struct, frozen=True):
    """The command line that started a run, and where."""

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


def command_of(argv: Sequence[str], cwd: str) -> Command:
    """Return a command that can be written down."""
    return Command(tuple(map(_text, argv)), _text(cwd))


def _text(text: str) -> str:
    """Return text that can be written: an argument may be a file name that is none."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


header_of: Callable[[bytes | str], Header] = msgspec.json.Decoder(Header).decode
