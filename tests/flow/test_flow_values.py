"""What a flow returns: values passed on, joined, collected; in plain code, async code, streams, maps."""

import asyncio
import functools
import operator
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import whilst
from whilst import testing


async def double(value: int) -> int:
    await asyncio.sleep(0.01)
    return value * 2


def increase(value: int) -> int:
    return value + 1


class Adder:
    def __init__(self, by: int) -> None:
        self.by = by

    def add(self, value: int) -> int:
        return value + self.by

    async def add_later(self, value: int) -> int:
        return value + self.by

    @classmethod
    def add_one(cls, value: int) -> int:
        return value + 1

    @staticmethod
    def add_two(value: int) -> int:
        return value + 2

    def __call__(self, value: int) -> int:
        return self.add(value)


class AsyncAdder(Adder):
    async def __call__(self, value: int) -> int:  # type: ignore[override]
        return self.add(value)


def add(a: int, b: int) -> int:
    return a + b


async def add_later(a: int, b: int) -> int:
    return a + b


COLOURS = {
    "async function": double,
    "blocking function": lambda value: value * 2,
    "partial of a blocking function": functools.partial(operator.mul, 2),
    "partial of an async function": functools.partial(add_later, 4),
    "bound method": Adder(4).add,
    "async bound method": Adder(4).add_later,
    "class method": Adder.add_one,
    "static method": Adder.add_two,
    "callable object": Adder(4),
    "async callable object": AsyncAdder(4),
    "lambda that returns a coroutine": lambda value: double(value),
    "lambda that returns a future": lambda value: Done(value * 2),
    "class": str,
    "builtin": abs,
}
FOUR = {"class method": 5, "static method": 6, "class": "4", "builtin": 4}


class Done:
    def __init__(self, value: int) -> None:
        self.value = value

    def __await__(self) -> Iterator[Any]:
        yield from asyncio.sleep(0).__await__()
        return self.value


@pytest.mark.parametrize("colour", COLOURS)
def test_a_leaf_of_any_colour_gives_its_value_to_plain_and_async_callers(colour: str) -> None:
    flow = whilst.sequence(COLOURS[colour])
    expected = FOUR.get(colour, 8)
    assert flow(4) == expected
    assert testing.run(flow.aio(4)) == expected


@pytest.mark.parametrize("colour", COLOURS)
def test_a_leaf_of_any_colour_works_in_every_kind_of_node(colour: str) -> None:
    fn = COLOURS[colour]
    flow = whilst.together(
        step=whilst.step(fn),
        positional=whilst.together(fn),
        first=whilst.first(fn),
        each=whilst.sequence(lambda value: [value], whilst.each(fn)),
        thrice=whilst.sequence(lambda value: value, whilst.step(fn, timeout=9), whilst.sequence(lambda x: x)),
    )
    expected = FOUR.get(colour, 8)
    assert flow(4) == {
        "step": expected,
        "positional": (expected,),
        "first": expected,
        "each": [expected],
        "thrice": expected,
    }


def test_a_sequence_passes_each_value_to_the_next_step() -> None:
    assert whilst.sequence(double, increase, str, len)(50) == 3


def test_a_sequence_of_one_step_is_that_step() -> None:
    assert whilst.sequence(increase)(1) == 2


def test_none_is_a_value_like_any_other() -> None:
    assert whilst.sequence(lambda value: None, lambda value: [value])(1) == [None]
    assert whilst.sequence(lambda value: value)() is None


def test_a_step_whose_signature_takes_nothing_is_called_without_the_value() -> None:
    assert whilst.sequence(lambda: "fresh", str.upper)("ignored") == "FRESH"


def test_an_async_step_and_an_async_object_that_take_nothing_are_called_without_the_value() -> None:
    async def tick() -> str:
        return "tick"

    class Tock:
        async def __call__(self) -> str:
            return "tock"

    assert whilst.together(tick, Tock())("ignored") == ("tick", "tock")
    assert testing.run(whilst.together(tick, whilst.step(Tock(), timeout=1)).aio("ignored")) == ("tick", "tock")


def test_an_optional_parameter_gets_the_value() -> None:
    def greet(name: str = "nobody") -> str:
        return f"hello {name}"

    assert whilst.sequence(greet)("you") == "hello you"


def test_keyword_only_parameters_with_defaults_are_left_alone() -> None:
    def greet(name: str, *, loudly: bool = False) -> str:
        return name.upper() if loudly else name

    def now(*, zone: str = "utc") -> str:
        return zone

    assert whilst.together(greet, now)("you") == ("you", "utc")


def test_a_partial_that_has_all_it_needs_is_called_without_the_value() -> None:
    assert whilst.sequence(functools.partial(add, 1, 2))(99) == 3
    assert whilst.sequence(functools.partial(add, 1))(99) == 100


def test_a_function_with_star_args_gets_the_value() -> None:
    assert whilst.sequence(lambda *args, **kwargs: (args, kwargs))(1) == ((1,), {})


def test_builtins_without_a_signature_get_the_value() -> None:
    assert whilst.sequence(dict)([("a", 1)]) == {"a": 1}
    assert whilst.sequence(max)([3, 4]) == 4
    assert whilst.sequence(operator.itemgetter(0))([7]) == 7
    assert whilst.sequence("{}!".format)("hey") == "hey!"


def test_branches_by_position_give_a_tuple_in_their_order_however_they_finish() -> None:
    async def after(delay: float) -> float:
        await asyncio.sleep(delay)
        return delay

    flow = whilst.together(lambda _: after(3), lambda _: after(1), lambda _: after(2))
    assert testing.run(flow.aio()) == (3, 1, 2)


def test_branches_by_name_give_a_dict_in_their_order() -> None:
    result = whilst.together(zebra=double, ape=increase)(1)
    assert list(result.items()) == [("zebra", 2), ("ape", 2)]


def test_branches_run_at_the_same_time() -> None:
    async def main() -> tuple[Any, float]:
        began = asyncio.get_running_loop().time()
        result = await whilst.together(*[lambda value: asyncio.sleep(60, value)] * 20).aio("x")
        return result, asyncio.get_running_loop().time() - began

    result, took = testing.run(main())
    assert result == ("x",) * 20
    assert took == pytest.approx(60, abs=1)  # a lambda is called on a thread, whose time is real


def test_blocking_branches_run_at_the_same_time() -> None:
    barrier = threading.Barrier(5)

    def meet(value: int) -> int:
        barrier.wait(10)  # passes only if all five are here
        return value

    assert whilst.together(*[meet] * 5)(7) == (7,) * 5


def test_first_gives_the_first_success() -> None:
    async def fails(value: int) -> int:
        raise ValueError(value)

    async def slow(value: int) -> str:
        await asyncio.sleep(5)
        return "slow"

    async def fast(value: int) -> str:
        await asyncio.sleep(1)
        return "fast"

    assert testing.run(whilst.first(fails, slow, fast).aio(1)) == "fast"


def test_falsy_results_are_successes() -> None:
    assert whilst.first(lambda _: None)(1) is None
    assert whilst.sequence(lambda _: 0, lambda x: x)(1) == 0


def test_a_flow_is_a_step_of_another_flow() -> None:
    inner = whilst.sequence(increase, double)
    outer = whilst.sequence(inner, whilst.together(inner, increase))
    assert outer(1) == (10, 5)


def test_a_deep_nest_of_every_kind_gives_what_plain_calls_would() -> None:
    flow = whilst.sequence(increase)
    for _ in range(15):
        flow = whilst.sequence(increase, whilst.together(a=flow, b=double), whilst.first(lambda d: d["a"]))
    assert flow(0) == 16


def test_a_flow_can_be_mapped_and_gives_values_in_order() -> None:
    flow = whilst.sequence(double, whilst.together(increase, str))
    assert whilst.map(flow, range(50)).list() == [(2 * i + 1, str(2 * i)) for i in range(50)]


def test_a_mapped_flow_gives_outcomes() -> None:
    flow = whilst.sequence(int, whilst.together(double, increase))
    good, bad = whilst.map(flow, ["7", "x"]).outcomes()
    assert good.value == (14, 8)
    assert isinstance(bad.error, ValueError)
    assert bad.input == "x"


def test_a_failure_names_its_step_by_path_and_its_input() -> None:
    def refuse(value: int) -> int:
        raise KeyError("no")

    flow = whilst.sequence(increase, whilst.together(a=double, b=whilst.sequence(increase, refuse)))
    with pytest.raises(KeyError) as caught:
        whilst.map(flow, [5]).list()
    notes = "\n".join(caught.value.__notes__)
    assert "step sequence[1].together.b[1] (" in notes
    assert "refuse" in notes
    assert "input 0 was 5" in notes


def test_an_exception_raised_again_and_again_collects_no_notes() -> None:
    error = ValueError("always the same")

    def refuse(value: int) -> int:
        raise error

    flow = whilst.together(refuse, refuse)
    for _ in range(5):
        with pytest.raises(ValueError, match="always"):
            flow(1)
    assert len(error.__notes__) <= 3


def test_a_failure_is_the_functions_own_exception_object() -> None:
    error = ValueError("mine")

    async def refuse(value: int) -> int:
        raise error

    with pytest.raises(ValueError) as caught:  # noqa: PT011
        whilst.sequence(whilst.together(whilst.sequence(refuse)))(1)
    assert caught.value is error


def test_an_exception_that_forbids_notes_comes_out_all_the_same() -> None:
    class Frozen(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError("frozen")

    async def refuse(value: int) -> int:
        raise Frozen

    with pytest.raises(Frozen):
        whilst.together(refuse, refuse)(1)


def test_stream_gives_items_in_plain_and_async_code() -> None:
    flow = whilst.sequence(range, whilst.each(double))
    assert list(flow.stream(4)) == [0, 2, 4, 6]

    async def main() -> list[int]:
        return [item async for item in flow.stream(4)]

    assert testing.run(main()) == [0, 2, 4, 6]


def test_stream_gives_outcomes() -> None:
    flow = whilst.sequence(str.split, whilst.each(int))
    outcomes = flow.stream("1 x 3").outcomes().list()
    assert [o.value if o.ok else type(o.error).__name__ for o in outcomes] == [1, "ValueError", 3]
    assert [o.input for o in outcomes] == ["1", "x", "3"]


def test_outcomes_of_a_stream_raise_what_an_earlier_stage_raises() -> None:
    flow = whilst.sequence(str.split, whilst.each(int), whilst.each(double))
    outcomes = iter(flow.stream("1 2 x 3").outcomes())
    assert [next(outcomes).value, next(outcomes).value] == [2, 4]
    with pytest.raises(ValueError, match="x"):
        next(outcomes)


@pytest.mark.parametrize("last", [whilst.flatten(), whilst.batched(2)])
def test_stream_ends_in_any_stage(last: Any) -> None:
    flow = whilst.sequence(lambda n: [[i] for i in range(n)], whilst.each(lambda x: x), last)
    assert list(flow.stream(3)) == flow(3)


def test_a_single_stage_is_a_flow_over_the_value_itself() -> None:
    assert whilst.each(double)([1, 2]) == [2, 4]
    assert list(whilst.each(double).stream([1, 2])) == [2, 4]
    assert whilst.batched(2)([1, 2, 3]) == [[1, 2], [3]]
    assert whilst.flatten()([1, 2]) == [1, 2]


def test_stream_of_a_flow_that_gives_one_value_is_refused() -> None:
    with pytest.raises(TypeError, match=r"ends in a together.*not a stream"):
        whilst.sequence(abs, whilst.together(abs, str)).stream(1)


def test_calling_a_flow_inside_a_running_loop_works_and_warns() -> None:
    async def main() -> int:
        with pytest.warns(RuntimeWarning, match="blocks the event loop"):
            return int(whilst.sequence(double)(2))

    assert asyncio.run(main()) == 4


def test_calling_a_flow_on_the_engines_own_loop_is_refused_instead_of_waiting_for_ever() -> None:
    async def inside(value: int) -> int:
        return int(whilst.sequence(double)(value))

    with pytest.raises(RuntimeError, match="for ever"):
        whilst.sequence(inside)(1)


def test_a_blocking_step_may_call_a_flow_itself() -> None:
    inner = whilst.sequence(double)
    assert whilst.sequence(lambda value: inner(value) + 1)(1) == 3


def test_an_async_step_may_await_a_flow_itself() -> None:
    inner = whilst.sequence(increase, double)

    async def outer(value: int) -> int:
        return int(await inner.aio(value)) + 1

    assert whilst.map(whilst.sequence(outer), range(3)).list() == [3, 5, 7]


def test_a_generator_function_as_a_step_feeds_the_next_stage() -> None:
    def pages(n: int) -> Iterator[int]:
        yield from range(n)

    async def pages_later(n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i

    for source in (pages, pages_later):
        assert whilst.sequence(source, whilst.each(double))(3) == [0, 2, 4]
        assert whilst.sequence(whilst.each(source), whilst.flatten())([2, 3]) == [0, 1, 0, 1, 2]


def test_context_variables_reach_every_leaf_and_stay_within_it() -> None:
    import contextvars

    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")

    def read(_: object) -> str:
        return var.get()

    async def read_later(_: object) -> str:
        return var.get()

    async def write(_: object) -> str:
        var.set("written")
        return var.get()

    flow = whilst.together(read, read_later, write, whilst.sequence(lambda _: [1, 2], whilst.each(read_later)))
    token = var.set("mine")
    try:
        assert flow() == ("mine", "mine", "written", ["mine", "mine"])
        assert whilst.map(flow, [1, 2]).list() == [flow()] * 2
        assert var.get() == "mine"
    finally:
        var.reset(token)


class TestIdentity:
    def build(self) -> whilst.Flow[Any, Any]:
        return whilst.sequence(
            increase,
            whilst.together(a=double, b=whilst.step(increase, timeout=2.5, name="more")),
            whilst.first(str, whilst.step(whilst.sequence(abs, str), timeout=1.0)),
            whilst.each(double, concurrency=3, ordered=False),
            whilst.flatten(),
            whilst.batched(10, within=0.5),
            whilst.together(increase, whilst.step(double, executor="auto")),
        )

    def test_flows_of_the_same_shape_are_equal_and_hash_alike(self) -> None:
        assert self.build() == self.build()
        assert hash(self.build()) == hash(self.build())
        assert len({self.build(), self.build()}) == 1

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (whilst.sequence(abs), whilst.sequence(str)),
            (whilst.sequence(abs), whilst.first(abs)),
            (whilst.together(abs), whilst.together(a=abs)),
            (whilst.together(a=abs), whilst.together(b=abs)),
            (whilst.step(abs), whilst.step(abs, timeout=1)),
            (whilst.step(abs, name="a"), whilst.step(abs, name="b")),
            (whilst.each(abs), whilst.each(abs, concurrency=3)),
            (whilst.each(abs), whilst.each(abs, ordered=False)),
            (whilst.batched(1), whilst.batched(2)),
            (whilst.batched(1), whilst.batched(1, within=1)),
            (
                whilst.step(abs, limit=whilst.Limit(concurrency=1)),
                whilst.step(abs, limit=whilst.Limit(concurrency=1)),
            ),
        ],
    )
    def test_any_difference_makes_them_unequal(self, one: object, other: object) -> None:
        assert one != other

    def test_a_flow_cannot_be_changed(self) -> None:
        flow = self.build()
        with pytest.raises(AttributeError):
            flow.node = None  # type: ignore[misc, assignment]

    def test_a_flow_with_an_unhashable_function_compares_but_has_no_hash(self) -> None:
        class Odd:
            __hash__ = None  # type: ignore[assignment]

            def __call__(self, value: int) -> int:
                return value

        odd = Odd()
        assert whilst.sequence(odd) == whilst.sequence(odd)
        with pytest.raises(TypeError, match="unhashable"):
            hash(whilst.sequence(odd))

    def test_the_repr_is_the_expression_that_builds_the_flow(self) -> None:
        names = {**vars(whilst), "increase": increase, "double": double}
        flow = self.build()
        assert eval(repr(flow), names) == flow
        assert repr(flow).startswith(
            "sequence(increase, together(a=double, b=step(increase, timeout=2.5, name='more'))"
        )

    def test_the_repr_names_limits_and_resources(self) -> None:
        limit = whilst.Limit(concurrency=3)
        flow = whilst.step(lambda x, s: x, limit=limit, use={"s": whilst.resource(list)})
        assert "limit=<Limit 0/3 in flight>" in repr(flow)
        assert "use=s" in repr(flow)
