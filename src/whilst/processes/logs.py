"""What is logged in a worker is handled by the loggers of its parent, which has the handlers that a program sets up."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable


class Forwarding(logging.Handler):
    """Gives each record, without what cannot be sent, to `send`."""

    def __init__(self, send: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record as text: its arguments and its exception may be anything."""
        try:
            record.message = record.msg = record.getMessage()
            record.args = None
            if record.exc_info:
                record.exc_text = record.exc_text or logging.Formatter().formatException(record.exc_info)
                record.exc_info = None
            try:
                pickle.dumps(record.__dict__, 5)
            except Exception:  # `extra` may be anything
                record.__dict__ = {key: value for key, value in record.__dict__.items() if _is_plain(value)}
            self._send(record)
        except Exception:  # as every handler does
            self.handleError(record)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float))


def handle(data: bytes | memoryview) -> None:
    """Handle a record of a worker here, as if it had been logged in this process."""
    try:
        record = logging.makeLogRecord(pickle.loads(data))
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    except Exception as error:  # of a filter, or of a class of the user's that cannot be made here
        logging.getLogger("whilst").warning("what a worker has logged is lost: %s: %s", type(error).__name__, error)
