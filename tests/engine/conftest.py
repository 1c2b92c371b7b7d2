"""For every test of the engine: nothing goes wrong in silence."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest
from checked import CheckedBook

from whilst.engine import driver


@pytest.fixture(autouse=True)
def no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Asyncio logs what nobody retrieves: a task that died, a callback that raised, a task destroyed pending."""
    yield
    if any(name in str(caplog.get_records("call")) for name in ("Task", "callback")):
        gc.collect()
    errors = [r.getMessage() for r in caplog.get_records("call") if r.name == "asyncio" and r.levelno >= logging.ERROR]
    assert errors == []


@pytest.fixture
def checked_book(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have runs keep their inputs in a book that looks at itself."""
    monkeypatch.setattr(driver, "Book", CheckedBook)
    before = CheckedBook.looks
    yield
    assert CheckedBook.looks > before
