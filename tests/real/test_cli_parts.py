"""The parts of the command line on their own: calls, the feed, messages, progress, what an import may load."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import json
import operator
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst import Summary, sequence
from whilst.cli import collector
from whilst.cli.call import Call, Mode, choose_call, worker
from whilst.cli.feed import LARGE, Feed, RowRejected
from whilst.cli.main import COMMANDS, run
from whilst.cli.messages import clean, place, short
from whilst.cli.target import Target
from whilst.core.described import described
from whilst.io.jsonl import json_text
from whilst.io.rows import Rejected, Row
from whilst.sinks.extent import Extent
from whilst.sinks.line import line

BAD = Rejected(3, "broken", "{")


def row(value: Any, line: int = 1) -> Row:
    return Row(line, value, json_text(value))


def call_of(fn: Callable[..., Any], first: Any, mode: Mode | None = None) -> Call:
    return choose_call(Target(fn, "jobs:fn"), mode, row(first), "rows")


def one(x): ...
def optional(x=1, y=2): ...
def one_and_optional(x, timeout=5): ...
def several(a, b, c=0): ...
def any_name(**names): ...
def any_place(*values): ...
def placed(a, b=2, c=3, /): ...
def keyword_only(*, a): ...


class Holder:
    def __init__(self, x): ...
    def method(self, x): ...


@pytest.mark.parametrize(
    ("fn", "first", "mode"),
    [
        (one, {"x": 1}, "one"),
        (one, "text", "one"),
        (optional, {"x": 1}, "one"),
        (one_and_optional, {"x": 1}, "one"),
        (several, {"a": 1, "b": 2}, "names"),
        (any_name, {"z": 1}, "names"),
        (any_place, "text", "one"),
        (keyword_only, {"a": 1}, "names"),
        (functools.partial(several, b=1, c=2), "text", "one"),
        (functools.partial(several, 1), "text", "one"),
        (Holder, "text", "one"),
        (Holder(1).method, "text", "one"),
        (str.upper, "text", "one"),
        (int, "7", "one"),
        (print, "no signature matters", "one"),
        (operator.add, {"a": 1, "b": 2}, "names"),
        (sequence(str.upper, len), "text", "one"),
    ],
)
def test_how_a_row_is_handed_over_follows_from_the_function(fn: Any, first: Any, mode: str) -> None:
    assert call_of(fn, first).mode == mode


def test_asking_for_names_overrides() -> None:
    assert call_of(one, {"x": 1}, "names").mode == "names"
    assert call_of(one_and_optional, {"x": 1, "timeout": 2}, "names").misfit({"x": 1}) is None


def test_names_reach_parameters_that_have_only_a_place() -> None:
    def fn(a, b=2, c=3, /):
        return (a, b, c)

    assert worker(call_of(fn, {"a": 1}, "names"), tuple)(row({"b": 5, "a": 1, "c": 6})) == (1, 5, 6)
    with pytest.raises(TypeError):  # not silently (1, 6, 3)
        worker(call_of(fn, {"a": 1}, "names"), tuple)(row({"a": 1, "c": 6}))


class Async:
    async def __call__(self, x):
        return x + 1


async def plus(x):
    return x + 1


async def run_flow(fn: Any, value: Any) -> Any:
    result = fn(value)
    return await result if inspect.isawaitable(result) else result


@pytest.mark.parametrize(
    ("fn", "is_coroutine"),
    [
        (plus, True),
        (Async(), True),
        (functools.partial(plus), True),
        (lambda x: x + 1, False),
        (lambda x: plus(x), False),
    ],
)
def test_the_worker_has_the_colour_of_the_function(fn: Any, is_coroutine: bool) -> None:
    work = worker(call_of(fn, 1), json_text)
    assert inspect.iscoroutinefunction(work) is is_coroutine
    assert asyncio.run(run_flow(work, row(1))) == b"2"
    with pytest.raises(RowRejected, match="broken"):
        asyncio.run(run_flow(work, BAD))


def test_a_flow_stays_a_flow() -> None:
    work = worker(call_of(sequence(plus, plus), 1), json_text)
    assert work(row(1)) == b"3"
    with pytest.raises(RowRejected):
        work(BAD)


# -- the feed -------------------------------------------------------------------------------------------------


def test_a_row_that_does_not_fit_is_rejected_alone() -> None:
    rows = [row({"a": 1, "b": 2}, 1), BAD, row({"a": 1}, 4), row({"b": 1, "a": 2}, 5)]
    feed = Feed(iter(rows), call_of(several, {"a": 1, "b": 2}).misfit, "rows")
    assert [it.reason if isinstance(it, Rejected) else it.line for it in feed] == [
        1,
        "broken",
        "several() needs 'b', which the row does not have",
        5,
    ]


def test_large_rows_wait_for_room_and_small_ones_do_not() -> None:
    large = Row(1, None, b"x" * (LARGE + 1))
    feed = Feed(iter([large, row(1), large, row(2), large]), None, "rows", room=2 * LARGE)
    taken: list[Row | Rejected] = []
    arrived = threading.Semaphore(0)

    def read() -> None:
        for it in feed:
            taken.append(it)
            arrived.release()

    reader = threading.Thread(target=read)
    reader.start()
    assert arrived.acquire(timeout=10)
    assert arrived.acquire(timeout=10)
    assert len(taken) == 2  # the second large one is not taken while the first is held
    feed.delivered(large)
    assert arrived.acquire(timeout=10)
    assert arrived.acquire(timeout=10)
    assert len(taken) == 4
    feed.close()  # nobody will make room any more
    reader.join(10)
    assert not reader.is_alive()
    assert len(taken) == 4


def test_one_row_larger_than_the_room_passes() -> None:
    large = Row(1, None, b"x" * (3 * LARGE))
    assert list(Feed(iter([large]), None, "rows", room=LARGE)) == [large]


# -- messages -------------------------------------------------------------------------------------------------


@given(st.text())
def test_what_is_shown_holds_nothing_that_acts_on_a_terminal(text: str) -> None:
    shown = clean(text)
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in shown)
    assert not any(0x7F <= ord(letter) < 0xA0 or letter in "\u202e\u2066" for letter in shown)
    assert len(short(text, 20)) <= 20


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_exception_that_cannot_speak_is_described() -> None:
    assert described(Mute()) == "Mute: (its text cannot be made: RuntimeError)"
    assert len(described(ValueError("x" * 100_000))) == 10_000


def test_the_place_of_an_error_is_the_users_own_frame() -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")
    assert place(caught.value).startswith("test_cli_parts.py line ")
    assert place(ValueError()) == ""


def test_progress_fits_its_line() -> None:
    failures = {f"Kind{n}Error": 10**6 - n for n in range(9)}
    now = Summary("fetch", None, 10**9, 10**7, 10**4, 3, 1e5, 10**4, failures)
    assert line(now, Extent(), 0, 79) == "fetch: 1,010,000,000 done, 10,100/s"
    assert line(now, Extent(), 0, 400) == (
        "fetch: 1,010,000,000 done, 10,100/s, 10,000,000 failed (1,000,000 Kind0Error, "
        "999,999 Kind1Error, 999,998 Kind2Error, …), 10,000 in flight, 3 left behind, 28 h"
    )


# -- what is imported -----------------------------------------------------------------------------------------


@pytest.fixture
def loaded() -> Iterator[Callable[[str], set[str]]]:
    def loaded(code: str) -> set[str]:
        script = f"import sys\n{code}\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
        return set(done.stderr.split())

    return loaded


def test_help_imports_no_command_and_no_heavy_library(loaded: Callable[[str], set[str]]) -> None:
    modules = loaded("from whilst.cli.main import run; run(['--help'])")
    assert not modules & {"rich", "msgspec", "uvloop", "whilst.cli.map", "whilst.cli.demo", "whilst.io.open"}


def test_a_map_loads_nothing_that_it_does_not_use(loaded: Callable[[str], set[str]]) -> None:
    modules = loaded("import whilst; assert whilst.map(len, ['ab', 'c']).list() == [2, 1]")
    of_others = {
        "dataclasses",
        "http",
        "random",
        "datetime",
        "json",
        "email",
        "urllib.parse",
        "click",
        "msgspec",
        "rich",
    }
    of_ours = {
        "core.retry",
        "core.adaptive",
        "core.tree",
        "engine.interpret",
        "flow",
        "bridge",
        "http",
        "journal",
        "io",
    }
    assert not modules & {*of_others, *(f"whilst.{name}" for name in of_ours)}


def test_garbage_is_collected_as_ever_once_a_users_module_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "import gc\nnow = gc.get_threshold(), gc.get_freeze_count() > 0\ndef found(_):\n    return now\n"
    )
    command = [sys.executable, "-m", "whilst.cli.main", "map", "jobs:found", "--values"]
    done = subprocess.run(command, input="x", cwd=tmp_path, capture_output=True, check=True, text=True)
    assert json.loads(done.stdout) == [list(gc.get_threshold()), True]


def test_the_collector_is_left_alone_where_the_process_is_not_the_command_lines() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    collector.take_up()
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: whilst {name} ")
