"""A recording that goes into a file: opened on the recorder's own thread, as that may take its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import tracefile
from .chunks import Chunk, Columns, encoded
from .looks import Look
from .recorded import Beginning
from .spans import Node


class FileSink:
    """Writes a trace.

    Args:
        path: where.
        beginning: what is known of the run.
        goes_on: whether what is there stays, in front of this run.
    """

    def __init__(self, path: str, beginning: Beginning, *, goes_on: bool) -> None:
        self._path = path
        self._beginning = beginning
        self._goes_on = goes_on
        self._file: tracefile.Appender | None = None

    def begin(self) -> None:
        """Open the file and say what run it is."""
        self._opened()

    def calls(self, columns: Columns, head: Chunk) -> None:
        """Write some thousands of calls."""
        self._opened().write(tracefile.STEPS if head.path else tracefile.CALLS, encoded(columns, head))

    def look(self, look: Look) -> None:
        """Write the numbers of a moment."""
        self._opened().write_json(tracefile.LOOK, look)

    def events(self, events: Sequence[dict[str, Any]]) -> None:
        """Write what happened."""
        self._opened().write_json(tracefile.EVENTS, events)

    def nodes(self, nodes: Mapping[str, Node]) -> None:
        """Write what is known of the steps."""
        self._opened().write_json(tracefile.NODES, nodes)

    def end(self, said: dict[str, Any]) -> None:
        """Write the summary, and close."""
        file = self._opened()
        try:
            file.write_json(tracefile.END, said)
        finally:
            file.close()

    def _opened(self) -> tracefile.Appender:
        if self._file is None:
            self._file = tracefile.Appender(self._path, goes_on=self._goes_on)
            self._file.write_json(tracefile.BEGIN, self._beginning)
        return self._file
