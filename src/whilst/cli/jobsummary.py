"""What does `--summary FILE` say? How a command ended, as one JSON object, for the program that started it.

It is written whatever the end is, also where the command could not even begin. FILE is replaced if it is empty or such
a summary; anything else that stands there was not meant.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ..core.secrets import without_secrets
from ..files import create_beside
from ..io.device import open_device
from .beside import utc
from .messages import DISK, FAILED, OK, STOPPED, Problem, say
from .options import RunOptions

if TYPE_CHECKING:
    from ..core.summary import Summary
    from .deliver import Tally

Ending = Literal["done", "stopped", "interrupted", "error"]
LARGEST = 64 * 1024  # bytes of a summary


class JobSummary:
    """The summary of one command."""

    def __init__(self, options: RunOptions) -> None:
        self._path = options.summary
        self._options = options
        self._began = time.time()
        self._told: dict[str, Any] = {}
        self._broke = False
        if self._path is not None:
            _check(self._path)

    def tell(self, now: Summary, tally: Tally, text: str, *, broke: bool = False) -> None:
        """Say what became of the run; `text` is what was said of it. `broke` is as in `Verdict`."""
        if self._path is None:
            return
        self._broke = broke
        failures = dict(now.failures)
        self._told = {
            **now.to_dict(),
            "name": now.name,
            "total": now.total,
            "ok": tally.ok,
            "failed": tally.failed,
            "rejected": tally.rejected,
            **({"items": tally.items} if tally.items is not None else {}),
            "failures": failures,
            "first_failure": tally.first or None,
            "recalled": now.recalled,
            "retried": now.retried,
            "abandoned": now.abandoned,
            "elapsed": round(now.elapsed, 3),
            "message": without_secrets(text),
        }

    def write(self, code: int, text: str = "") -> int:
        """Write it and return the exit code: that of the command, unless all is well but for the summary itself."""
        if self._path is None:
            return code
        ended = time.time()
        found = {
            "exit_code": code,
            "ended": _ending(code, self._broke),
            "started_at": utc(self._began),
            "ended_at": utc(ended),
            "out": without_secrets(self._options.out),
            "journal": self._options.journal,
            **self._told,
            **({"message": without_secrets(text)} if text else {}),
        }
        try:
            _put(self._path, _written(found) + b"\n")
        except OSError as error:
            say(f"error: the summary {self._path} cannot be written: {error.strerror or error}")
            return DISK if code in (OK, FAILED) else code
        return code


def _written(found: dict[str, Any]) -> bytes:
    """Return it as JSON; the name of a file that is no text is written as Python reads it, `"a\\udcff.csv"`."""
    try:
        return msgspec.json.encode(found)
    except UnicodeEncodeError:
        import json

        return json.dumps(found, ensure_ascii=False, default=msgspec.to_builtins).encode("utf-8", "backslashreplace")


def _ending(code: int, broke: bool) -> Ending:
    if code in (OK, FAILED):
        return "error" if code == FAILED and broke else "done"
    if code == STOPPED:
        return "stopped"
    return "interrupted" if code > 128 else "error"


def _check(path: str) -> None:
    """Problem if there is something at the path that is no summary, or that cannot be replaced."""
    if os.path.isdir(path):
        raise Problem(f"--summary {path} is a directory", remedy=f"--summary {os.path.join(path, 'summary.json')}")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise Problem(f"--summary {path}: there is no directory {folder}", remedy=f"mkdir -p {folder}")
    goes_beside = os.path.isfile(path) or not os.path.exists(path)
    if goes_beside and not os.access(os.path.dirname(os.path.realpath(path)), os.W_OK):
        raise Problem(
            f"--summary {path} cannot be written: nothing can be made in {folder}", remedy="another directory"
        )
    if not os.path.isfile(path) or not os.path.getsize(path):
        return
    import json  # which reads what `_written` makes of the name of a file that is no text

    with suppress(OSError, ValueError):
        with open(path, "rb") as file:
            text = file.read(LARGEST)
        found = json.loads(text)
        if isinstance(found, dict) and "exit_code" in found and "ended" in found:
            return
    raise Problem(f"--summary {path} is there, and is not a summary", "it is not replaced", remedy="another name")


def _put(path: str, line: bytes) -> None:
    """Write a line: to a file as a whole, to anything else as it is."""
    if os.path.exists(path) and not os.path.isfile(path):
        with os.fdopen(open_device(path), "wb") as device:
            device.write(line)
        return
    path = os.path.realpath(path)
    descriptor, working = create_beside(path, mode=0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(line)
        os.replace(working, path)
    except BaseException:  # whatever it is, nothing of ours stays
        with suppress(OSError):
            os.unlink(working)
        raise
