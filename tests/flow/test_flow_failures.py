"""Items of a stage that fail: they end it, are left out, or go on as outcomes; and are counted."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

import whilst
from whilst import testing


async def picky(item: int) -> int:
    await asyncio.sleep(1)
    if item % 3 == 0:
        raise ValueError(f"not {item}")
    if item % 7 == 0:
        raise LookupError(f"no {item}")
    return item * 10


async def describe(outcome: "whilst.Outcome[int, int]") -> str:
    return str(outcome.value) if outcome.ok else f"{type(outcome.error).__name__} for {outcome.input}"


async def _all(run: Any) -> list[Any]:
    return [item async for item in run]


def test_a_failure_ends_the_stage_unless_it_is_told_otherwise() -> None:
    with pytest.raises(ValueError, match="not 0"):
        testing.run(whilst.sequence(range, whilst.each(picky)).aio(5))
    with pytest.raises(ValueError, match="not 0"):
        testing.run(whilst.sequence(range, whilst.each(picky, failures="raise")).aio(5))


@pytest.mark.parametrize("ordered", [True, False])
def test_skipped_items_are_left_out_and_counted_by_kind(ordered: bool) -> None:
    flow = whilst.sequence(range, whilst.each(picky, ordered=ordered, failures="skip"))
    run = flow.stream(15)
    assert sorted(testing.run(_all(run))) == [10, 20, 40, 50, 80, 100, 110, 130]
    assert run.summary().notes == ("sequence[1].each skipped 7 items that failed (5 ValueError, 2 LookupError)",)
    assert run.summary().failed == 0, "the run gave what it had to give"


def test_passed_on_outcomes_have_what_the_next_stage_needs() -> None:
    seen: list[whilst.Outcome[int, int]] = []

    async def note(outcome: "whilst.Outcome[int, int]") -> str:
        seen.append(outcome)
        return await describe(outcome)

    tries: dict[int, int] = {}

    async def flaky(item: int) -> int:
        tries[item] = tries.get(item, 0) + 1
        if item == 1 and tries[item] < 3:
            raise ConnectionError("try again")
        return await picky(item)

    retry = whilst.Retry(attempts=4, base=0.5)
    flow = whilst.sequence(range, whilst.each(flaky, concurrency=1, failures="pass", retry=retry), whilst.each(note))
    run = flow.stream(4)
    assert testing.run(_all(run)) == ["ValueError for 0", "10", "20", "ValueError for 3"]
    assert [one.index for one in seen] == [0, 1, 2, 3]
    assert [one.attempts for one in seen] == [1, 3, 1, 1]
    assert [seen[place].took for place in (0, 2, 3)] == pytest.approx([1, 1, 1])
    assert seen[1].took > 1.2, "what an item took in the stage: all its attempts, and the waits between them"
    assert seen[0].started == pytest.approx(0)
    assert seen[2].started is not None
    assert seen[2].started > 0
    assert "whilst: item of sequence[1].each was 0" in seen[0].error.__notes__  # type: ignore[union-attr]
    assert run.summary().notes == ("sequence[1].each passed on 2 items that failed (2 ValueError)",)


def test_counts_of_a_mapped_flow_are_those_of_all_its_inputs() -> None:
    run = whilst.map(whilst.each(picky, failures="skip"), [[1, 3], [6, 7, 8]])

    async def main() -> list[Any]:
        return await run

    assert testing.run(main()) == [[10], [80]]
    assert run.summary().notes == ("each skipped 3 items that failed (2 ValueError, 1 LookupError)",)


def test_a_last_stage_that_passes_failures_on_gives_outcomes_as_values() -> None:
    outcomes = testing.run(_all(whilst.sequence(range, whilst.each(picky, failures="pass")).stream(3)))
    assert [one.ok for one in outcomes] == [False, True, True]


def test_what_fails_before_the_stage_is_not_the_stages_to_skip() -> None:
    def source(_: Any) -> Iterator[int]:
        yield 1
        raise OSError("the source broke")

    for failures in ("skip", "pass"):
        flow = whilst.sequence(source, whilst.each(picky, failures=failures))  # type: ignore[arg-type]
        given = iter(flow.stream(0))
        next(given)
        with pytest.raises(OSError, match="the source broke"):
            next(given)


def test_skipping_everything_for_one_wrong_password_stops_and_says_how_to_go_on() -> None:
    async def refused(_: int) -> int:
        raise TypeError("this is no input's fault")

    flow = whilst.sequence(itertools.count, whilst.each(refused, failures="skip", concurrency=4))
    with pytest.raises(whilst.Stopped, match=r'failures="pass" would have the next stage decide'):
        testing.run(flow.aio(0))

    async def kind(outcome: "whilst.Outcome[int, int]") -> str:
        return type(outcome.error).__name__

    handed_on = whilst.sequence(range, whilst.each(refused, failures="pass"), whilst.each(kind))
    assert testing.run(handed_on.aio(200)) == ["TypeError"] * 200


def test_a_deadline_and_a_cancellation_are_nobodys_to_skip() -> None:
    flow = whilst.sequence(itertools.count, whilst.each(picky, failures="skip"), whilst.each(picky, failures="pass"))

    async def main() -> None:
        async with asyncio.timeout(30):
            await flow.aio(0)

    with pytest.raises(TimeoutError):
        testing.run(main())


def test_a_word_that_is_none_of_the_three_is_answered_with_them() -> None:
    with pytest.raises(ValueError, match='try: failures="raise"'):
        whilst.each(picky, failures="ignore")  # type: ignore[arg-type]


def test_plans_and_reprs_say_so() -> None:
    assert str(whilst.each(picky, failures="skip").plan()) == "each picky() · 32 at once, failures skipped, async"
    assert str(whilst.each(picky, failures="pass").plan()) == "each picky() · 32 at once, failures passed on, async"
    assert repr(whilst.each(picky, failures="pass")) == 'each(picky, concurrency=32, failures="pass")'


class TestFallback:
    def test_the_next_branch_begins_when_the_one_before_has_failed(self) -> None:
        log: list[str] = []

        def branch(name: str, *, fails: bool) -> Any:
            async def call(value: int) -> str:
                log.append(f"{name} begins")
                await asyncio.sleep(1)
                log.append(f"{name} ends")
                if fails:
                    raise ConnectionError(name)
                return f"{name}{value}"

            return call

        flow = whilst.fallback(branch("a", fails=True), branch("b", fails=False), branch("c", fails=False))
        assert testing.run(flow.aio(7)) == "b7"
        assert log == ["a begins", "a ends", "b begins", "b ends"]

    def test_all_failures_come_out_together(self) -> None:
        with pytest.raises(ExceptionGroup, match="all 2 branches of fallback failed") as caught:
            whilst.fallback(int, float)("x")
        assert [type(one) for one in caught.value.exceptions] == [ValueError, ValueError]

    def test_a_branch_has_its_attempts_before_the_next_one(self) -> None:
        calls: list[str] = []

        async def weak(_: int) -> int:
            calls.append("weak")
            raise ConnectionError

        async def strong(_: int) -> int:
            calls.append("strong")
            return 1

        flow = whilst.fallback(whilst.step(weak, retry=3), strong)
        assert testing.run(flow.aio(0)) == 1
        assert calls == ["weak", "weak", "weak", "strong"]

    def test_a_cancelled_branch_is_no_reason_for_the_next(self) -> None:
        begun: list[str] = []

        async def slow(_: int) -> None:
            begun.append("slow")
            await asyncio.sleep(100)

        async def next_one(_: int) -> None:
            begun.append("next")

        async def main() -> None:
            async with asyncio.timeout(1):
                await whilst.fallback(slow, next_one).aio(0)

        with pytest.raises(TimeoutError):
            testing.run(main())
        assert begun == ["slow"]

    def test_it_is_drawn_and_written_like_the_others(self) -> None:
        flow = whilst.sequence(str, whilst.fallback(int, whilst.together(a=len, b=str)))
        assert repr(flow) == "sequence(str, fallback(int, together(a=len, b=str)))"
        assert "└─ fallback\n   ├─ int() · blocking, thread" in str(flow.plan())
        with pytest.raises(TypeError, match="at least one branch"):
            whilst.fallback()
