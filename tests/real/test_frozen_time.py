"""A test of a user's that stops the clock stops no rate and no retry."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.client
import io
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import freezegun
import pytest
import time_machine

import whilst
from whilst.insight import answering, serving
from whilst.journal import read_status

FROZEN = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)

Freezer = Callable[[], AbstractContextManager[Any]]
FREEZERS: dict[str, Freezer] = {
    "freezegun": lambda: freezegun.freeze_time(FROZEN),
    "freezegun, real asyncio": lambda: freezegun.freeze_time(FROZEN, real_asyncio=True),
    "time-machine": lambda: time_machine.travel(FROZEN, tick=False),
}


class Flaky:
    """Fails at the first call for every third input."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def __call__(self, item: int) -> int:
        if item % 3 == 0 and item not in self.seen:
            self.seen.add(item)
            raise ConnectionResetError("reset")
        assert dt.datetime.now(dt.UTC) == FROZEN  # what the user has stopped stands still
        return item


class FlakyAsync(Flaky):
    async def __call__(self, item: int) -> int:  # type: ignore[override]
        return super().__call__(item)


@pytest.mark.parametrize("make", [Flaky, FlakyAsync])
@pytest.mark.parametrize("freezer", FREEZERS)
def test_rates_and_retries_go_on_in_a_run(freezer: str, make: type[Flaky]) -> None:
    with FREEZERS[freezer]():
        run = whilst.map(make(), range(10), rate="100/s", retry=whilst.Retry(base=0.01), timeout=30, progress=False)
        assert run.list() == [*range(10)]
        assert run.summary().retried == 4
    assert run.summary().elapsed > 0.05  # at 100/s


@pytest.mark.parametrize("freezer", FREEZERS)
def test_rates_and_retries_go_on_in_a_flow_and_by_hand(freezer: str) -> None:
    with FREEZERS[freezer]():
        limit = whilst.Limit(rate="100/s")
        assert whilst.step(FlakyAsync(), limit=limit, retry=whilst.Retry(base=0.01))(3) == 3
        for _ in range(3):
            with limit:
                pass
        assert limit.statistics().started == 5


@pytest.mark.parametrize("freezer", [name for name in FREEZERS if name != "freezegun"])
def test_rates_and_retries_go_on_on_a_loop_of_the_users(freezer: str) -> None:
    """With freezegun alone that loop's own timers stand still, and `asyncio.sleep` with them."""

    async def main() -> list[int]:
        return await whilst.map(FlakyAsync(), range(10), rate="100/s", retry=whilst.Retry(base=0.01))

    with FREEZERS[freezer]():
        assert asyncio.run(main()) == [*range(10)]


@pytest.mark.parametrize("freezer", FREEZERS)
def test_a_journal_is_written_and_its_status_with_it(freezer: str, tmp_path: Path) -> None:
    with FREEZERS[freezer]():
        run = whilst.map(Flaky(), range(4, 40), rate="40/s", journal=tmp_path / "run.db", retry=3, progress=False)
        seen = 0
        for _ in run:
            seen += 1
            if seen == 30:  # after three quarters of a second, a time in which it is written fifteen times
                assert read_status(tmp_path / "run.db").done >= 10
    assert seen == 36


@pytest.mark.parametrize("freezer", FREEZERS)
def test_a_line_of_progress_moves(freezer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    shown.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    with FREEZERS[freezer]():
        whilst.map(time.sleep, [0.02] * 40, concurrency=1, progress=True).list()
    assert len(set(re.findall(r"(\d+) of 40", shown.getvalue()))) > 2


@pytest.mark.parametrize("freezer", FREEZERS)
def test_a_database_that_is_away_is_given_up_when_its_time_is_over(
    freezer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whilst.io import sql_errors

    class Engine:
        def connect(self) -> None:
            raise ConnectionResetError("away")

    monkeypatch.setattr(sql_errors, "meaning", lambda error: "passing")
    monkeypatch.setattr(sql_errors, "PERSIST", 0.3)
    monkeypatch.setattr(sql_errors, "LONGEST_PAUSE", 0.1)
    with FREEZERS[freezer](), pytest.raises(ConnectionResetError):
        sql_errors.persist(Engine(), lambda connection: None)


def test_a_clock_that_was_stopped_before_anything_was_loaded_is_the_real_one_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from whilst.lanes import clock

    with freezegun.freeze_time(FROZEN):
        before = clock._real()()
        time.sleep(0.01)
        assert clock._real()() > before


@pytest.mark.parametrize("freezer", FREEZERS)
def test_who_watches_hears_that_nothing_has_happened(freezer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "SILENCE", 0.02)
    monkeypatch.setattr(answering, "LEAST", 0.01)

    class Nothing:
        def page(self, number: int | None) -> bytes:
            return b""

        def news(self, number: int | None, seen: object) -> tuple[object, None]:
            return None, None

    with FREEZERS[freezer](), closing(serving.Server(Nothing)) as server:
        url = urlsplit(server.url)
        with closing(http.client.HTTPConnection(serving.HOST, server.port, timeout=20)) as who:
            who.request("GET", f"{url.path}?{url.query}")
            cookie = who.getresponse().headers["Set-Cookie"].partition(";")[0]
        with closing(http.client.HTTPConnection(serving.HOST, server.port, timeout=20)) as who:
            who.request("GET", f"{url.path}events", headers={"Cookie": cookie})
            with who.getresponse() as answer:
                assert answer.readline() == b": still here\n"
