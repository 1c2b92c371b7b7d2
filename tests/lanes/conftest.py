"""For every test of the lanes: nothing goes wrong in silence."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Asyncio logs what nobody retrieves: a task that died, a callback that raised, a task destroyed pending."""
    yield
    errors = [r.getMessage() for r in caplog.get_records("call") if r.name == "asyncio" and r.levelno >= logging.ERROR]
    assert errors == []


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is to be freed must be freed by its reference count."""
    gc.disable()
    yield
    gc.enable()
