"""A Ctrl-C at any moment of the start or the end of a plain run leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest

import whilst
from whilst import run as runs
from whilst.sinks import progress

OURS = str(Path(whilst.__file__).parent)
STRIDE = 3 if sys.version_info >= (3, 13) else 20  # of these moments: what goes wrong does for several in a row


class Interrupt:
    """Raises KeyboardInterrupt at the n-th place of ours at which the interpreter looks for signals.

    These are the beginning of each function and the end of each call of one in C.
    """

    def __init__(self, number: int) -> None:
        self.left = number
        self.at = ""

    def __enter__(self) -> Self:
        sys.setprofile(self.seen)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def seen(self, frame: FrameType, event: str, _: Any) -> None:
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(OURS):
            self.left -= 1
            if not self.left:
                sys.setprofile(None)
                self.at = f"{event} in {frame.f_code.co_qualname}, line {frame.f_lineno}"
                raise KeyboardInterrupt


def begun(function: Callable[[int], int], journal: Path) -> list[int]:
    return whilst.map(function, range(3), concurrency=2, journal=journal, progress=True).list()


def until(holds: Callable[[], bool], said: str) -> None:
    """What ends a run may do so after who was interrupted has left."""
    waits = threading.Event()
    for _ in range(5000):
        if holds():
            return
        waits.wait(0.002)
    raise AssertionError(said)


def once_free(function: Callable[[int], int], journal: Path) -> list[int] | None:
    found: list[list[int]] = []

    def is_free() -> bool:
        with contextlib.suppress(whilst.JournalLocked):
            found.append(begun(function, journal))
        return bool(found)

    until(is_free, "the journal is never free")
    return found[0]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.display, "stream", lambda: None)  # whatever is said: how it looks is tested elsewhere
    monkeypatch.setattr(progress, "_say", lambda text: None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of a file whose `open` was the last thing done
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_wherever_it_comes_the_run_ends_and_its_journal_is_free(colour: str, tmp_path: Path) -> None:
    def double(x: int) -> int:
        return 2 * x

    async def doubled(x: int) -> int:
        return 2 * x

    function: Any = double if colour == "blocking" else doubled
    begun(function, tmp_path / "first.db")  # whatever is loaded
    number, whole = 0, False
    while not whole:
        number += STRIDE
        path = tmp_path / f"{number}.db"
        with Interrupt(number) as interrupt:
            try:
                values = begun(function, path)
            except KeyboardInterrupt:
                values = None
        whole = values is not None
        assert values in (None, [0, 2, 4])
        until(lambda: all(driver.finished for driver in runs._drivers), f"goes on: {interrupt.at}")
        assert not progress.display._runs, f"shown for ever: {interrupt.at}"
        assert once_free(function, path) == [0, 2, 4], interrupt.at
        for left in tmp_path.glob(f"{number}.db*"):
            left.unlink(missing_ok=True)
    assert number > 100
    assert not [thread for thread in threading.enumerate() if thread.name == "whilst-progress"]
