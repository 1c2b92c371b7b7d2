"""What does an error of a database mean: one row is refused, wait and try again, or nothing more can be written?

Told by the standard's five characters where there are some (PostgreSQL), else by SQLite's own codes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from ..lanes.clock import monotonic

T = TypeVar("T")

PERSIST = 60.0  # seconds that something is tried again, each time after a longer pause
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 3.0

Meaning = Literal["row", "passing", "final"]

# Classes and codes of SQLSTATE. 22 data, 23 integrity, P0 and 38, 39 raised by a trigger, 44 a view's CHECK OPTION,
# 54 something is too large; a datatype that does not fit its column.
_ROW = ("22", "23", "38", "39", "44", "54", "P0", "42804", "42846")
# 08 the connection, 40 a deadlock or a serialization failure, 57014 a statement_timeout, 57P0x the server is being
# stopped, started or restarted; 55P03 a lock, 53200 memory, 53300 too many connections.
_PASSING = ("08", "40", "57014", "57P01", "57P02", "57P03", "57P05", "55P03", "53200", "53300")

_ROW_SQLITE = (18, 19, 20)  # too big, a constraint, a mismatch
_PASSING_SQLITE = (5, 6)  # busy, locked
_ROW_TEXTS = ("too many columns", "too many SQL variables", "string or blob too big")


def meaning(error: BaseException) -> Meaning:
    """Return what an error means that came out of writing or reading rows.

    >>> meaning(OverflowError("int too large to convert to SQLite INTEGER"))
    'row'
    """
    orig: Any = getattr(error, "orig", None)
    if orig is None:  # not the database's: the driver could not even send the value
        return "row" if isinstance(error, (OverflowError, ValueError, TypeError)) else "final"
    if getattr(error, "connection_invalidated", False):
        return "passing"
    if code := getattr(orig, "sqlite_errorcode", None):
        return _of_sqlite(code & 0xFF, str(orig))
    state = getattr(orig, "sqlstate", None) or getattr(orig, "pgcode", None)
    if state:
        return "row" if state.startswith(_ROW) else "passing" if state.startswith(_PASSING) else "final"
    kind = type(orig).__name__
    if kind == "OperationalError":  # without a state: the connection broke, or there was none
        return "passing" if type(orig).__module__.startswith("psycopg") else "final"
    # What the driver refuses itself: a NUL in a text, a type that it cannot bind.
    return "row" if kind in ("DataError", "ProgrammingError", "InterfaceError", "NotSupportedError") else "final"


def is_too_large(error: BaseException) -> bool:
    """Whether a row is too large, or has too many columns, for any table (class 54 of SQLSTATE)."""
    return str(getattr(getattr(error, "orig", None), "sqlstate", None)).startswith("54")


def _of_sqlite(code: int, text: str) -> Meaning:
    if code in _ROW_SQLITE or text.startswith(_ROW_TEXTS):
        return "row"
    return "passing" if code in _PASSING_SQLITE else "final"


def persist(engine: Any, work: Callable[[Any], T], at: Callable[[], object] = int) -> T:
    """Do some work with a connection, and with another where that passes; `at` changes as it gets on.

    What does not pass is raised, and what has not passed for `PERSIST` seconds.
    """
    pause, ends, last = FIRST_PAUSE, 0.0, None
    while True:
        try:
            with engine.connect() as connection:
                return work(connection)
        except Exception as error:
            now = monotonic()
            if at() != last:
                pause, ends, last = FIRST_PAUSE, now + PERSIST, at()
            if meaning(error) != "passing" or now + pause > ends:
                raise
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE, pause * 2)
