"""What a run needs is loaded on a thread, and the loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextvars import copy_context
from types import ModuleType

import pytest

import whilst
from whilst import testing
from whilst.arguments import callers_context
from whilst.engine import background


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Give what is imported from now on, and whether the main thread does so; nothing was loaded before."""
    seen: list[tuple[str, bool]] = []

    def note(name: str, package: str | None = None) -> None:
        assert package == "whilst.engine"
        seen.append((name, threading.current_thread() is threading.main_thread()))

    monkeypatch.setattr(background, "import_module", note)
    monkeypatch.setattr(background, "_loaded", set())
    return seen


def test_it_is_loaded_elsewhere_before_it_is_said_to_be_once(imported: list[tuple[str, bool]]) -> None:
    async def main() -> None:
        await background.loaded(".driver", ".gate")
        assert imported == [(".driver", False), (".gate", False)]
        await background.loaded(".gate")

    asyncio.run(main())
    assert len(imported) == 2


def test_on_virtual_time_it_is_loaded_here(imported: list[tuple[str, bool]]) -> None:
    testing.run(background.loaded(".driver"))
    assert imported == [(".driver", True)]


def test_what_cannot_be_loaded_is_told_by_whoever_imports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_loaded", set())
    asyncio.run(asyncio.wait_for(background.loaded(".not_there"), 20))


def test_a_run_can_be_made_while_another_thread_loads_what_knows_who_holds_permits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("whilst.limit.holders", "whilst.flow"):  # begun, and not at its end
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert len(callers_context()) == len(copy_context())
    assert whilst.Retry(2)(abs)(-1) == 1
    assert whilst.map(abs, [-1]).list() == [1]
