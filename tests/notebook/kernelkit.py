"""Runs cells in a real kernel, as a notebook does, and tells what they showed."""

from __future__ import annotations

import queue
import re
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ipykernel")
jupyter_client = pytest.importorskip("jupyter_client")

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Shown:
    """What one cell showed."""

    out: str = ""  # what it printed, and its result
    err: str = ""
    displays: list[dict[str, Any]] = field(default_factory=list)
    updates: int = 0  # of displays that were there
    all_updates: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)  # of what stands last, by its kind
    error: str = ""  # the class of what it raised
    said: str = ""  # its text
    traceback: str = ""

    @property
    def last_update(self) -> dict[str, Any]:
        """What the display showed at the end."""
        return self.all_updates[-1]


class Kernel:
    """A kernel and its channels."""

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager = manager
        self._client = client

    def run(self, cell: str, *, stop_at: str = "", timeout: float = 50.0) -> Shown:
        """Run a cell; with `stop_at`, press Stop as soon as that was printed."""
        asked = self._client.execute(cell)
        shown, until = Shown(), time.monotonic() + timeout
        while time.monotonic() < until:
            try:
                message = self._client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return shown
            _take(shown, message["msg_type"], message["content"])
            if stop_at and stop_at in shown.out:
                stop_at = ""
                self._manager.interrupt_kernel()
        raise TimeoutError(f"the cell did not end: {cell}\n{shown}")


def started(folder: Path) -> Iterator[Kernel]:
    """Start a kernel in a folder, and end it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that are not under test
        manager = jupyter_client.KernelManager(
            kernel_cmd=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        )
        manager.start_kernel(cwd=str(folder))
        client = manager.blocking_client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=50)
            yield Kernel(manager, client)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


def _take(shown: Shown, kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        if content["name"] == "stdout":
            shown.out += content["text"]
        else:
            shown.err += content["text"]
    elif kind == "execute_result":
        shown.out += content["data"]["text/plain"] + "\n"
        shown.result = content["data"]
    elif kind == "display_data":
        shown.displays.append(content["data"])
    elif kind == "update_display_data":
        shown.updates += 1
        shown.all_updates.append(content["data"])
    elif kind == "error":
        shown.error, shown.said = content["ename"], COLOUR.sub("", content["evalue"])
        shown.traceback = COLOUR.sub("", "\n".join(content["traceback"]))
