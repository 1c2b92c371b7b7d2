"""What if PostgreSQL has a value that Python has not: the timestamp `infinity`, the time 24:00, JSON nested too deep?

Such a value costs its row and not the whole query. A loader that fails gives its error instead of a value, and the
row that holds one is rejected where rows are made. And what if it refuses a row: whose affair is that?
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_KINDS = ("date", "time", "timetz", "timestamp", "timestamptz", "interval", "json", "jsonb")


def forgive(connection: Any, *_: object) -> None:
    """Have a psycopg connection give errors for such values."""
    from psycopg.adapt import Loader
    from psycopg.pq import Format

    def forgiving(strict: Any, expected: Any) -> type[Loader]:
        class Forgiving(Loader):
            format = expected

            def __init__(self, oid: int, context: Any = None) -> None:
                super().__init__(oid, context)
                self._load = strict(oid, context).load

            def load(self, data: Any) -> Any:
                try:
                    return self._load(data)
                except Exception as error:
                    return error.with_traceback(None)

        return Forgiving

    adapters = connection.adapters
    for kind in _KINDS:
        oid = adapters.types[kind].oid
        for format in (Format.TEXT, Format.BINARY):
            if strict := adapters.get_loader(oid, format):
                adapters.register_loader(oid, forgiving(strict, format))


class _Told(logging.Filter):
    """Drops what psycopg says of a statement that was refused, while who wrote it gets the refusal itself."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be told."""
        return not (getattr(self.here, "writes", False) and str(record.msg).startswith("error ignored"))


_told = _Told()


@contextmanager
def refusals_untold() -> Generator[None]:
    """Have psycopg not log, on this thread, what it raises too: that is a line on stderr for each refused row."""
    logger = logging.getLogger("psycopg")
    logger.addFilter(_told)  # which is there once, however often it is added
    _told.here.writes = True
    try:
        yield
    finally:
        _told.here.writes = False
