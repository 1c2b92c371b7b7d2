"""What is shown of one run leaves nothing behind for the next, wherever it was when it was told to stop."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from whilst.core.summary import Summary
from whilst.sinks import progress
from whilst.sinks.progress import Progress


def counts() -> Summary:
    return Summary("work", 9, 1, 0, 1, 0, 1.0, 2)


def shown(summary: Callable[[], Summary] = counts, **given: Any) -> Progress:
    run = Progress(summary, at_once=True, **given)
    run.start()
    return run


class Cells:
    """What outputs a notebook has, by their id; each first one is an output, the others update it."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.updated: list[str] = []
        self.begins: Callable[[], object] = lambda: None

    def display(self, data: dict[str, str], *, raw: bool, display_id: str) -> None:
        self.begins()
        self.shown.append(display_id)

    def update_display(self, data: dict[str, str], *, raw: bool, display_id: str) -> None:
        self.updated.append(display_id)


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cells]:
    found = Cells()
    monkeypatch.setattr(progress, "is_notebook", lambda: True)
    monkeypatch.setattr(progress, "REDRAW", 0.001)
    monkeypatch.setattr(progress, "REDRAW_CELL", 0.001)
    monkeypatch.setitem(sys.modules, "IPython.display", found)  # type: ignore[arg-type]
    monkeypatch.setattr(progress, "display", progress.Display())
    yield found
    assert not progress.display._runs


def until(holds: Callable[[], Any]) -> None:
    waits = threading.Event()
    for _ in range(10_000):
        if holds():
            return
        waits.wait(0.001)
    raise AssertionError("it never came to that")


def test_a_run_is_one_output_of_its_cell_and_the_next_one_another(cells: Cells) -> None:
    for number in (1, 2):
        run = shown()
        until(lambda number=number: len(cells.shown) == number)
        run.stop()
        assert cells.updated[-1] == cells.shown[-1]
    assert len({*cells.shown}) == 2


def test_a_run_that_is_drawn_so_late_that_it_is_over_takes_no_output_from_the_next(cells: Cells) -> None:
    """The thread that draws is not waited for longer than a second: a notebook, or a terminal, may be stuck."""
    drawing, go_on, here = threading.Event(), threading.Event(), threading.current_thread()

    def stuck() -> None:
        drawing.set()
        assert threading.current_thread() is here or go_on.wait(20)

    cells.begins = stuck
    late = shown()
    assert drawing.wait(20)
    thread = progress.display._thread
    assert thread is not None
    thread.join = lambda timeout=None: None  # type: ignore[method-assign]  # as if the second had passed
    late.stop()
    cells.begins = lambda: None
    go_on.set()
    threading.Thread.join(thread, 20)
    before = len(cells.shown)
    run = shown()
    until(lambda: len(cells.shown) > before)
    run.stop()
    assert cells.updated[-1] == cells.shown[-1]


def test_a_thread_that_comes_too_late_to_draw_does_not(cells: Cells) -> None:
    looking, go_on = threading.Event(), threading.Event()

    here = threading.current_thread()

    def slow() -> Summary:
        looking.set()
        assert threading.current_thread() is here or go_on.wait(20)
        return counts()

    late = shown(slow, leave=False)
    assert looking.wait(20)
    thread = progress.display._thread
    assert thread is not None
    thread.join = lambda timeout=None: None  # type: ignore[method-assign]
    late.stop()
    go_on.set()
    threading.Thread.join(thread, 20)
    assert cells.shown == []
    run = shown()
    until(lambda: len(cells.shown) == 1)
    run.stop()
    assert cells.updated[-1] == cells.shown[-1]


def test_a_stop_that_is_interrupted_takes_no_output_from_the_next(
    cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shown()
    until(lambda: cells.shown)
    with monkeypatch.context() as patched:
        patched.setattr(progress.display, "_leave", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run.stop()
    other = shown()
    until(lambda: len(cells.shown) == 2)
    other.stop()
    assert cells.updated[-1] == cells.shown[-1]
