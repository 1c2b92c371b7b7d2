"""What does `--log` do? It says on stderr what happens in the run, a line an event, as text or as JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ..core.secrets import without_secrets
from .messages import clean, emit
from .options import RunOptions


class Lines(logging.Handler):
    """Writes a line for each event: when, how much it matters, what it was."""

    def __init__(self, form: str) -> None:
        from ..core.events import as_json

        super().__init__()
        self._as_json = as_json
        self._is_json = form == "json"

    def emit(self, record: logging.LogRecord) -> None:
        """Write one; a stderr that is closed harms nothing."""
        event: Any = getattr(record, "whilst_event", None)
        when = datetime.fromtimestamp(record.created, UTC)
        if self._is_json:
            told = self._as_json(event) if event is not None else {"event": "message", "text": record.getMessage()}
            line = json.dumps({"time": when.isoformat(), "level": record.levelname.lower(), **told}, ensure_ascii=False)
        else:
            line = f"{when:%H:%M:%SZ} {record.levelname.lower()} {record.getMessage()}"
        emit(clean(without_secrets(line)) + "\n")


@contextmanager
def logged(options: RunOptions) -> Generator[None]:
    """Say what happens to runs that go on in this block, if that is wanted."""
    if options.log is None:
        yield
        return
    logger = logging.getLogger("whilst")
    handler, level = Lines(options.log), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
