"""For every test of limits: nothing goes wrong in silence, and nobody is left untold or uncollected."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from whilst.limit.queue import circles, told, uncollected


@pytest.fixture(autouse=True)
def nothing_is_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not told
    assert not uncollected
    assert not circles
    errors = [r.getMessage() for r in caplog.get_records("call") if r.name == "asyncio" and r.levelno >= logging.ERROR]
    assert errors == []
