"""The file that remembers outcomes: open, write, resume, look into, rescue.

`Journal` is what runs take; the rest is for who looks at a journal from outside.
"""

from .header import Command, Header
from .journal import Journal
from .reading import Stored, read_header, read_outcomes, read_status
from .salvage import rescue
from .status import Status

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
