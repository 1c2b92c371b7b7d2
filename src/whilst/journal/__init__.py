"""The file that remembers outcomes: open, write, resume, look into, rescue.

`Journal` is what runs take; the rest is for who looks at a journal from outside. Each is loaded at its first use: a
journal is often made on a loop, and what opens the file is loaded by the thread that does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .header import Command, Header
    from .journal import Journal
    from .reading import Stored, read_header, read_outcomes, read_status
    from .rescuing import rescue
    from .status import Status

_HOMES = {
    "Command": "header",
    "Header": "header",
    "Journal": "journal",
    "Status": "status",
    "Stored": "reading",
    "read_header": "reading",
    "read_outcomes": "reading",
    "read_status": "reading",
    "rescue": "rescuing",
}

__all__ = [
    "Command",
    "Header",
    "Journal",
    "Status",
    "Stored",
    "read_header",
    "read_outcomes",
    "read_status",
    "rescue",
]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'whilst.journal' has no attribute {name!r}")
    found = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
