"""Whatever a blocking function raises or returns, its lane goes on; and debuggers see what happens there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import whilst


def refuse(*_: Any, **__: Any) -> Any:
    raise RuntimeError("hostile")


def hostile(*names: str, base: type[BaseException] = Exception) -> type[BaseException]:
    """Return a class of exceptions some of whose methods raise."""
    body: dict[str, Any] = {
        name: property(refuse) if name in ("__class__", "__traceback__", "__notes__", "__cause__") else refuse
        for name in names
    }
    if "__eq__" in names and "__hash__" not in names:
        body["__hash__"] = base.__hash__
    return type("Hostile", (base,), body)


METHODS = (
    *("__str__", "__repr__", "__reduce__", "__reduce_ex__", "add_note", "with_traceback", "__eq__", "__hash__"),
    *("__class__", "__traceback__", "__notes__", "__cause__", "__getattribute__", "__setattr__", "__bool__", "__len__"),
)
KINDS = [(name,) for name in METHODS] + [METHODS, ("__init__",)]


def make(kind: type[BaseException]) -> BaseException:
    return kind.__new__(kind)


@pytest.mark.parametrize("names", KINDS, ids=[name[0] if len(name) == 1 else "all" for name in KINDS])
@pytest.mark.parametrize("way", ["plain", "async", "flow", "unblock", "awaitable", "retry"])
def test_a_hostile_exception_is_the_failure_of_its_own_input(names: tuple[str, ...], way: str) -> None:
    kind = hostile(*names)

    def work(x: int) -> int:
        if x == 1:
            raise make(kind)
        return x

    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return work(x)

    def outcomes(fn: Any, **policies: Any) -> list[bool]:
        run = whilst.map(fn, range(4), concurrency=2, **policies)
        return [outcome.ok for outcome in run.outcomes()]

    async def aio() -> list[bool]:
        return [o.ok for o in await whilst.map(work, range(4), concurrency=2).outcomes()]

    async def unblocked() -> list[bool]:
        unblock = whilst.unblock(work)
        found = await asyncio.wait_for(asyncio.gather(*(unblock(x) for x in range(4)), return_exceptions=True), 20)
        return [type(one) is int for one in found]

    ways: dict[str, Callable[[], list[bool]]] = {
        "plain": lambda: outcomes(work),
        "async": lambda: asyncio.run(aio()),
        "flow": lambda: outcomes(whilst.sequence(work, work)),
        "unblock": lambda: asyncio.run(unblocked()),
        "awaitable": lambda: outcomes(lambda x: later(x)),
        "retry": lambda: outcomes(work, retry=whilst.Retry(attempts=2, base=0.001)),
    }
    came_out = ""
    try:
        found = ways[way]()
    except BaseException as error:  # all of them: pytest itself does not survive every one
        found, came_out = [], f"{type(error).__name__} came out, at {_where(error)}"
    assert (found, came_out) == ([True, False, True, True], "")


def _where(error: BaseException) -> list[tuple[str, int]]:
    trace = BaseException.__traceback__.__get__(error)  # type: ignore[attr-defined]
    return [(frame.f_code.co_name, line) for frame, line in traceback.walk_tb(trace)]


@pytest.mark.parametrize("kind", [StopIteration, asyncio.CancelledError, StopAsyncIteration, GeneratorExit])
def test_what_means_something_else_to_a_loop_is_a_failure(kind: type[BaseException]) -> None:
    def work(x: int) -> int:
        if x == 1:
            raise kind
        return x

    if kind is GeneratorExit:  # no Exception: it ends the run, and comes out
        with pytest.raises(GeneratorExit):
            whilst.map(work, range(4)).list()
    else:
        assert [o.ok for o in whilst.map(work, range(4)).outcomes()] == [True, False, True, True]


class Hostile:
    """A value of which every question raises."""

    __eq__ = __bool__ = __len__ = __repr__ = __iter__ = refuse  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


def test_a_hostile_value_is_a_value() -> None:
    values = [Hostile() for _ in range(3)]
    assert all(a is b for a, b in zip(whilst.map(lambda x: x, values).list(), values, strict=True))
    assert all(a is b for a, b in zip(whilst.map(whilst.sequence(lambda x: x), values).list(), values, strict=True))


# -- debuggers, profilers, coverage -------------------------------------------------------------------------------


def traced(x: int) -> int:
    if x >= 0:
        x += 1
    return x


@pytest.mark.parametrize("way", ["map", "flow", "unblock"])
def test_what_threading_settrace_sets_sees_calls_on_lanes(way: str) -> None:
    lines: list[int] = []

    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code is traced.__code__ and event == "line":
            lines.append(frame.f_lineno)
        return trace

    previous = threading.gettrace()
    threading.settrace(trace)
    try:
        if way == "map":
            assert whilst.map(traced, range(20), concurrency=3).list() == [*range(1, 21)]
        elif way == "flow":
            assert whilst.map(whilst.sequence(traced), range(20), concurrency=3).list() == [*range(1, 21)]
        else:
            assert asyncio.run(_unblocked()) == [*range(1, 21)]
    finally:
        threading.settrace(previous)  # type: ignore[arg-type]
    first = traced.__code__.co_firstlineno
    assert lines.count(first + 1) == lines.count(first + 3) == 20


async def _unblocked() -> list[int]:
    unblocked = whilst.unblock(traced)
    return [await unblocked(x) for x in range(20)]


def test_what_threading_setprofile_sets_sees_calls_on_lanes() -> None:
    calls: list[str] = []

    def profile(frame: Any, event: str, _: Any) -> None:
        if frame.f_code is traced.__code__:
            calls.append(event)

    threading.setprofile(profile)
    try:
        whilst.map(traced, range(20), concurrency=3).list()
    finally:
        threading.setprofile(None)  # type: ignore[arg-type]
    assert calls.count("call") == calls.count("return") == 20


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")
def test_sys_monitoring_sees_calls_on_lanes() -> None:
    monitoring, seen = sys.monitoring, []  # type: ignore[attr-defined,unused-ignore]
    tool = 4
    monitoring.use_tool_id(tool, "test")
    try:
        monitoring.register_callback(tool, monitoring.events.LINE, lambda code, line: seen.append(line))
        monitoring.set_local_events(tool, traced.__code__, monitoring.events.LINE)
        whilst.map(traced, range(20), concurrency=3).list()
    finally:
        monitoring.set_local_events(tool, traced.__code__, 0)
        monitoring.register_callback(tool, monitoring.events.LINE, None)
        monitoring.free_tool_id(tool)
    assert seen.count(traced.__code__.co_firstlineno + 1) == 20


def test_coverage_sees_what_runs_on_lanes(tmp_path: Path) -> None:
    pytest.importorskip("coverage")
    script = tmp_path / "job.py"
    script.write_text(
        "import whilst\n"
        "def work(x):\n"
        "    if x == 5:\n"
        "        return -1\n"
        "    return x\n"
        "def never(x):\n"
        "    return x\n"
        "print(sum(whilst.map(work, range(10), concurrency=3)), sum(whilst.map(whilst.sequence(work), range(3))))\n"
    )
    run = {"check": True, "capture_output": True, "text": True, "cwd": tmp_path, "timeout": 50}
    found: Any = subprocess.run([sys.executable, "-m", "coverage", "run", "--include=job.py", "job.py"], **run)
    assert found.stdout == "39 3\n"
    report: Any = subprocess.run([sys.executable, "-m", "coverage", "report", "-m"], **run)
    assert report.stdout.splitlines()[2].split()[1:] == ["8", "1", "88%", "7"]
