"""How many files does a reader need to follow one input? As few as a change can leave; these bounds only go down."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import whilst
from whilst.lanes.calling import wanted

SOURCE = str(Path(whilst.__file__).parent)
NO_WAY = {
    "/core/frozen.py",
    "/lanes/port.py",
}  # of an input: what plans are made of; that lanes do nothing at a run's end


def plain(x: int) -> int:
    return x


async def of_loop(x: int) -> int:
    return x


@contextmanager
def files_entered(found: set[str]) -> Iterator[None]:
    """Collect the files of the library in which a function is called, on any thread."""

    def see(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(SOURCE):
            found.add(name.removeprefix(SOURCE))

    threading.setprofile_all_threads(see)  # type: ignore[attr-defined]  # from 3.12 on
    sys.setprofile(see)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile_all_threads(None)  # type: ignore[attr-defined]


@pytest.mark.once
@pytest.mark.skipif(sys.version_info < (3, 12), reason="only from 3.12 on are threads followed that run already")
@pytest.mark.parametrize(
    ("fn", "policies", "most"),
    [
        pytest.param(plain, {}, 30, id="bare, on threads"),
        pytest.param(of_loop, {}, 27, id="bare, on the loop"),
        pytest.param(plain, {"retry": 3, "rate": "1000/s", "journal": "kept"}, 78, id="retry, rate, journal"),
    ],
)
def test_an_input_is_followed_through_so_many_files_at_most(
    fn: Callable[[int], Any], policies: dict[str, Any], most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wanted, "is_asked", False)  # as in a process in which nobody has asked which call it is

    def run(journal: str) -> None:
        given = {**policies, **({"journal": journal} if "journal" in policies else {})}
        assert whilst.map(fn, range(50), **given).list() == [*range(50)]

    run("first")  # what is loaded and made once is not counted
    found: set[str] | None = None
    for journal in ("second", "third", "fourth"):  # a finalizer or a thread of another test is not there each time
        entered: set[str] = set()
        with files_entered(entered):
            run(journal)
        found = entered if found is None else found & entered
    assert found is not None
    found -= NO_WAY
    assert "/engine/driver.py" in found
    assert len(found) <= most, " ".join(sorted(found))
