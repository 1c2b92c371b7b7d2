"""How does a line show in a notebook? As one output of the cell that is updated, whatever else the cell prints."""

from __future__ import annotations

import importlib
import sys
import uuid
from typing import Any


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    return getattr(_shell(), "kernel", None) is not None


class Notebook:
    """Lines that are one output of a cell."""

    def __init__(self) -> None:
        self._id = f"whilst-{uuid.uuid4().hex}"
        self._shown: list[str] = []

    def draw(self, lines: list[str]) -> None:
        """Show these lines instead of those that are there."""
        if lines == self._shown:
            return
        self._show({"text/plain": "\n".join(lines)})
        self._shown = lines

    def leave(self, text: str, html: str) -> None:
        """Show the last text for good; what is drawn after it is another output."""
        self._show({"text/plain": text, "text/html": html})
        self._id, self._shown = f"whilst-{uuid.uuid4().hex}", []

    def _show(self, data: dict[str, str]) -> None:
        display: Any = importlib.import_module("IPython.display")
        show = display.update_display if self._shown else display.display
        show(data, raw=True, display_id=self._id)


def _shell() -> Any:
    ipython: Any = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
