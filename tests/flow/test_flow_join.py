"""`together` and `first`: who is cancelled, what is raised, what is left; on virtual time."""

import asyncio
import copy
import pickle
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from flowkit import Gate, cancelled_at_every_round

import whilst
from whilst import testing


class Diary:
    """Async steps that write down what happens to them."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def naps(self, name: str, seconds: float, cleanup: float = 0.0) -> Callable[[Any], Awaitable[str]]:
        async def nap(_: Any) -> str:
            self.lines.append(f"{name} starts")
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                if cleanup:
                    await asyncio.sleep(cleanup)
                self.lines.append(f"{name} cancelled")
                raise
            self.lines.append(f"{name} ends")
            return name

        return nap

    def fails(self, name: str, seconds: float, error: BaseException) -> Callable[[Any], Awaitable[str]]:
        async def fail(_: Any) -> str:
            await asyncio.sleep(seconds)
            self.lines.append(f"{name} fails")
            raise error

        return fail

    def fails_when_cancelled(self, error: BaseException) -> Callable[[Any], Awaitable[str]]:
        async def fail(_: Any) -> str:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                raise error from None
            return "never"

        return fail


def test_a_failing_branch_cancels_the_others_before_its_failure_is_raised() -> None:
    diary = Diary()
    flow = whilst.together(diary.naps("a", 5, cleanup=2), diary.fails("b", 1, KeyError("b")), diary.naps("c", 9))

    async def main() -> float:
        with pytest.raises(KeyError):
            await flow.aio()
        diary.lines.append("raised")
        return asyncio.get_running_loop().time()

    assert testing.run(main()) == pytest.approx(3)
    assert diary.lines == ["a starts", "c starts", "b fails", "c cancelled", "a cancelled", "raised"]


def test_what_else_fails_meanwhile_is_in_the_notes() -> None:
    diary = Diary()
    flow = whilst.together(
        diary.fails("a", 1, KeyError("first")),
        diary.fails_when_cancelled(OSError("clean-up broke")),
        diary.naps("c", 5),
    )
    with pytest.raises(KeyError) as caught:
        testing.run(flow.aio())
    assert any("OSError" in note and "clean-up broke" in note for note in caught.value.__notes__)


def test_the_notes_of_a_failure_survive_another_whose_text_cannot_be_made() -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

        __repr__ = __str__

    diary = Diary()
    flow = whilst.together(diary.fails("a", 1, KeyError("a")), diary.fails_when_cancelled(Unspeakable()))
    with pytest.raises(KeyError):
        testing.run(flow.aio())


def test_a_nested_failure_cancels_across_all_levels() -> None:
    diary = Diary()
    flow = whilst.together(
        whilst.sequence(diary.naps("a", 5), diary.naps("never", 1)),
        whilst.together(whilst.first(diary.naps("b", 7)), whilst.sequence(diary.fails("c", 1, KeyError("c")))),
    )
    with pytest.raises(KeyError):
        testing.run(flow.aio())
    assert "a cancelled" in diary.lines
    assert "b cancelled" in diary.lines
    assert "never starts" not in diary.lines


def test_first_cancels_the_losers_before_it_returns() -> None:
    diary = Diary()
    flow = whilst.first(diary.naps("slow", 9, cleanup=1), diary.naps("fast", 1))

    async def main() -> tuple[str, float]:
        return await flow.aio(), asyncio.get_running_loop().time()

    assert testing.run(main()) == ("fast", pytest.approx(2))
    assert diary.lines[-1] == "slow cancelled"


def test_first_raises_a_group_of_all_failures_in_the_order_of_the_branches() -> None:
    diary = Diary()
    flow = whilst.sequence(
        whilst.together(
            place=whilst.first(diary.fails("a", 3, KeyError("a")), diary.fails("b", 1, OSError("b"))),
        )
    )
    with pytest.raises(ExceptionGroup, match=r"all 2 branches of sequence\[0\].together.place failed") as caught:
        testing.run(flow.aio())
    assert [type(error) for error in caught.value.exceptions] == [KeyError, OSError]


@pytest.mark.parametrize("node", [whilst.first, whilst.fallback])
def test_the_group_can_be_copied_and_sent_and_shows_what_it_holds(node: Any) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        node(int, float)("x")
    for again in (caught.value, copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):
        assert [type(error) for error in again.exceptions] == [ValueError, ValueError]
        assert repr(again).count("ValueError(") == 2


def test_first_with_one_branch_that_fails_raises_a_group_too() -> None:
    with pytest.raises(ExceptionGroup):
        whilst.first(int)("x")


def test_a_blocking_loser_is_left_behind_and_counted() -> None:
    gate = Gate()

    def wins(value: int) -> str:
        gate.wait_until_entered()
        return "won"

    run = whilst.map(whilst.first(gate, wins), [1])
    try:
        assert run.list() == ["won"]
        assert run.summary().abandoned == 1
        assert "Gate" in run.summary().left_behind[0]
    finally:
        gate.open.set()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("node", [whilst.together, whilst.first])
@pytest.mark.parametrize("colour", ["async", "blocking", "hidden"])
def test_an_exit_in_a_branch_comes_out(kind: type[BaseException], node: Any, colour: str) -> None:
    diary = Diary()

    async def stop(_: Any) -> None:
        raise kind("enough")

    def stop_on_thread(_: Any) -> None:
        raise kind("enough")

    bad = {"async": stop, "blocking": stop_on_thread, "hidden": lambda _: stop(_)}[colour]
    flow = whilst.sequence(node(diary.naps("a", 1000), bad))
    with pytest.raises(kind, match="enough"):
        flow(1)
    assert diary.lines == ["a starts", "a cancelled"]
    assert whilst.sequence(abs)(-1) == 1  # the engine lives


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_in_the_clean_up_of_a_branch_is_not_lost(kind: type[BaseException]) -> None:
    diary = Diary()
    with pytest.raises(kind):
        whilst.together(diary.fails("a", 0, KeyError("a")), diary.fails_when_cancelled(kind()))(1)
    with pytest.raises(kind):
        whilst.first(diary.naps("a", 0), diary.fails_when_cancelled(kind()))(1)


@pytest.mark.parametrize("node", [whilst.together, whilst.sequence])
def test_a_step_that_raises_cancelled_error_of_its_own_accord_fails_and_cancels_nobody(node: Any) -> None:
    async def odd(_: Any) -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        with pytest.raises(RuntimeError, match="of its own accord"):
            await node(odd).aio()
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    testing.run(main())


@pytest.mark.parametrize("node", [whilst.together, whilst.first])
def test_a_branch_that_cancels_its_own_task_fails_and_hangs_nobody(node: Any) -> None:
    async def odd(_: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises((RuntimeError, ExceptionGroup)):
        testing.run(whilst.sequence(node(odd), abs).aio())


def test_a_blocking_step_that_raises_cancelled_error_fails_like_any_other() -> None:
    def odd(_: Any) -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="of its own accord"):
        whilst.together(odd, abs)(1)
    assert whilst.first(odd, abs)(-1) == 1


def test_stop_iteration_out_of_a_step_becomes_a_runtime_error() -> None:
    async def ends(_: Any) -> None:
        raise StopIteration

    for bad in (lambda _: next(iter(())), ends):
        with pytest.raises(RuntimeError, match="StopIteration"):
            whilst.together(bad, abs)(1)


def tree(diary: Diary, limit: whilst.Limit) -> whilst.Flow[Any, Any]:
    return whilst.sequence(
        whilst.together(
            a=whilst.step(diary.naps("a", 2, cleanup=1), limit=limit),
            b=whilst.sequence(whilst.step(diary.naps("b", 1), limit=limit), diary.naps("c", 3, cleanup=2)),
            d=whilst.first(diary.naps("d", 4), diary.fails("e", 2, KeyError("e"))),
        ),
        lambda_free,
        whilst.each(whilst.step(diary.naps("item", 1, cleanup=1), limit=limit, timeout=50), concurrency=2),
        whilst.batched(2, within=0.5),
        whilst.each(diary.naps("batch", 1), concurrency=1),
    )


async def lambda_free(_: Any) -> list[int]:
    return [1, 2, 3, 4, 5]


def test_cancelled_from_outside_in_any_round_a_flow_ends_whole() -> None:
    diaries: list[Diary] = []
    limit = whilst.Limit(concurrency=2)

    async def once() -> None:
        diary = Diary()
        diaries.append(diary)
        assert await tree(diary, limit).aio(1) == ["batch"] * 3

    def check() -> None:
        lines = diaries[-1].lines if diaries else []
        for name in "abcd":
            assert lines.count(f"{name} starts") == sum(lines.count(f"{name} {w}") for w in ("ends", "cancelled"))
        now = limit.statistics()
        assert (now.in_flight, now.waiting) == (0, 0)

    rounds = cancelled_at_every_round(once, check)
    assert rounds > 30


def test_cancelled_from_outside_in_any_round_a_failing_flow_ends_whole() -> None:
    limit = whilst.Limit(concurrency=1)

    async def once() -> None:
        diary = Diary()
        flow = whilst.together(
            whilst.step(diary.naps("a", 5, cleanup=1), limit=limit),
            whilst.step(diary.naps("b", 5, cleanup=1), limit=limit),
            diary.fails("c", 1, KeyError("c")),
        )
        with pytest.raises(KeyError):
            await flow.aio(1)

    def check() -> None:
        now = limit.statistics()
        assert (now.in_flight, now.waiting) == (0, 0)

    cancelled_at_every_round(once, check)


def test_cancelled_from_outside_while_a_blocking_step_runs_it_is_left_behind() -> None:
    gate, other = Gate(), []

    async def main() -> None:
        task = asyncio.create_task(whilst.sequence(gate, other.append).aio(1))
        await gate.wait_until_entered_aio()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        asyncio.run(main())
    finally:
        gate.open.set()
    gate.wait_until_left()
    assert other == []


def test_a_branch_that_ignores_its_cancellation_is_waited_for_as_long_as_a_clean_up_may_take() -> None:
    async def stubborn(_: Any) -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await asyncio.sleep(5)
        return "anyway"

    async def fails(_: Any) -> None:
        raise KeyError("now")

    async def main() -> float:
        with pytest.raises(KeyError):
            await whilst.together(stubborn, fails).aio()
        return asyncio.get_running_loop().time()

    assert testing.run(main()) == pytest.approx(2)


def test_what_is_cancelled_may_clean_up_in_peace() -> None:
    diary = Diary()
    slow = diary.naps("slow", 100, cleanup=0.5)
    failing = diary.fails("bad", 1, KeyError("bad"))

    async def by_value(value: int) -> Any:
        return await (slow if value else failing)(value)

    flow = whilst.sequence(whilst.each(whilst.together(whilst.sequence(by_value))), whilst.batched(2, within=1))
    with pytest.raises(KeyError):
        testing.run(flow.aio([0, 1, 1]))
    assert diary.lines.count("slow starts") == diary.lines.count("slow cancelled") == 2


def test_branches_of_a_mapped_flow_hold_their_own_inputs_apart() -> None:
    async def check(value: int) -> int:
        await asyncio.sleep(value % 3)
        if value % 7 == 0:
            raise ValueError(value)
        return value

    async def main() -> list[Any]:
        run = whilst.map(whilst.together(check, check), range(100), concurrency=20)
        return [o.value if o.ok else str(o.error) async for o in run.outcomes()]

    assert testing.run(main()) == [str(i) if i % 7 == 0 else (i, i) for i in range(100)]


def test_a_flow_may_run_in_many_threads_at_once() -> None:
    flow = whilst.sequence(lambda x: x + 1, whilst.together(str, abs))
    results: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda i=i: results.setdefault(i, flow(i))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == {i: (str(i + 1), i + 1) for i in range(8)}
