"""Functions as people have them: without an argument, of several, of tuples and dicts."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import pickle
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import virtually

import whilst


def one() -> int:
    return 1


async def one_later() -> int:
    await asyncio.sleep(0)
    return 1


def rows() -> Iterator[int]:
    yield 1


def pair(left: Any, right: Any = "-") -> str:
    return f"{left}{right}"


async def pair_later(left: Any, right: Any = "-") -> str:
    await asyncio.sleep(0)
    return f"{left}{right}"


def endless(right: Any) -> Iterator[Any]:
    while True:
        yield right


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(0)
        yield number


class Client:
    def ping(self) -> str:
        return "pong"

    @whilst.spread
    def add(self, left: int, right: int) -> int:
        return left + right


# -- without an argument ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fn", [one, one_later, lambda: 1, functools.partial(lambda x: x, 1), functools.partial(one_later)]
)
@pytest.mark.parametrize("inputs", [lambda: range(5), lambda: itertools.repeat(None, 5)])
def test_a_function_without_parameters_is_called_so_often(fn: Callable[[], Any], inputs: Any) -> None:
    run = whilst.map(fn, inputs())
    assert run.list() == [1] * 5
    assert run.summary().total == 5


def test_bound_methods_builtins_and_classes_have_no_parameters_either() -> None:
    assert whilst.map(Client().ping, range(2)).list() == ["pong", "pong"]
    assert len(set(whilst.map(uuid.uuid4, range(3)).list())) == 3
    assert [type(each) for each in whilst.map(Client, range(2)).list()] == [Client, Client]


def test_what_use_gives_is_no_parameter_that_the_input_could_go_to() -> None:
    def ask(*, session: list[int]) -> int:
        return len(session)

    assert whilst.map(ask, range(3), use={"session": whilst.resource(list, per="run")}).list() == [0, 0, 0]


@virtually
async def test_outcomes_have_the_number_as_their_input() -> None:
    outcomes = await whilst.map(one_later, range(3)).outcomes()
    assert [(it.input, it.value) for it in outcomes] == [(0, 1), (1, 1), (2, 1)]


def test_an_endless_repeat_is_read_as_far_as_it_is_wanted() -> None:
    with whilst.map(one, itertools.repeat(None)) as run:
        assert run.summary().total is None
        assert list(itertools.islice(run, 4)) == [1, 1, 1, 1]


class Endless:
    def __iter__(self) -> Iterator[int]:
        return iter([1])


IGNORED: list[tuple[Any, str, str]] = [
    (list(range(312)), "so 312 inputs would be ignored", "to call it that often: whilst.map(one, range(312))"),
    (["x"], "so 1 input would be ignored", "to call it that often: whilst.map(one, range(1))"),
    (Endless(), "so its inputs would be ignored", "to call it n times: whilst.map(one, range(n))"),
    (itertools.repeat("x", 4), "so 4 inputs would be ignored", "whilst.map(one, range(4))"),
]


@pytest.mark.parametrize(("inputs", "lost", "instead"), IGNORED)
def test_other_inputs_would_be_ignored_and_are_refused(inputs: Any, lost: str, instead: str) -> None:
    with pytest.raises(TypeError) as caught:
        whilst.map(one, inputs)
    assert str(caught.value).startswith(f"one() takes no argument, {lost}\n")
    assert str(caught.value).endswith(instead)


def test_a_stage_refuses_it_too() -> None:
    with pytest.raises(TypeError, match=r"^each: one\(\) takes no argument, so the items .*\n.*lambda _: one\(\)$"):
        whilst.each(one)


def test_a_function_with_a_default_or_any_arguments_gets_the_input() -> None:
    assert whilst.map(lambda length=8: length, range(3)).list() == [0, 1, 2]
    assert whilst.map(lambda *given: given, range(2)).list() == [(0,), (1,)]


def test_a_wrapper_that_takes_the_input_for_a_function_that_takes_none_gets_it() -> None:
    @functools.wraps(one)
    def wrapper(item: int) -> int:
        return item + one()

    assert whilst.map(wrapper, [1, 2]).list() == [2, 3]


# -- several iterables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fn", [pair, pair_later, functools.partial(pair), lambda a, b: pair_later(a, b)])
def test_the_input_is_the_tuple_as_with_the_builtin(fn: Any) -> None:
    run = whilst.map(fn, ["a", "b"], (1, 2))
    assert [(it.input, it.value) for it in run.outcomes()] == [(("a", 1), "a1"), (("b", 2), "b2")]
    assert run.summary().total == 2
    assert whilst.map(max, [1, 5], [4, 2], [3, 3]).list() == [4, 5]


@virtually
async def test_sync_and_async_iterables_mix() -> None:
    assert await whilst.map(pair, numbers(3), "xyz".__iter__()) == ["0x", "1y", "2z"]
    assert await whilst.map(pair_later, ["a", "b"], numbers(9)) == ["a0", "b1"]
    assert await whilst.map(pair, numbers(2), endless("!")) == ["0!", "1!"]


def test_in_plain_code_they_mix_too() -> None:
    assert whilst.map(pair, numbers(3), endless("!")).list() == ["0!", "1!", "2!"]


def test_a_blocking_iterable_beside_an_async_one_does_not_hold_the_loop() -> None:
    threads: set[int] = set()

    def slow() -> Iterator[int]:
        for number in range(3):
            threads.add(threading.get_ident())
            time.sleep(0.001)
            yield number

    async def main() -> list[str]:
        threads.add(-threading.get_ident())
        return await whilst.map(pair_later, numbers(3), slow())

    assert asyncio.run(main()) == ["00", "11", "22"]
    assert not {-each for each in threads} & threads


def test_it_ends_with_the_shortest_where_lengths_are_not_known() -> None:
    assert whilst.map(pair, iter("abc"), [1, 2]).list() == ["a1", "b2"]
    assert whilst.map(pair, itertools.count(), [1, 2]).list() == ["01", "12"]
    run = whilst.map(pair, ["a", "b"], itertools.repeat("!"))
    assert (run.list(), run.summary().total) == (["a!", "b!"], 2)
    assert whilst.map(pair, iter("ab"), [1, 2]).summary().total is None


def test_generators_among_them_are_closed() -> None:
    closed: list[str] = []

    def source(name: str) -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(name)

    with whilst.map(pair, source("a"), source("b")) as run:
        assert next(iter(run)) == "00"
    assert sorted(closed) == ["a", "b"]

    async def main() -> None:
        async with whilst.map(pair, source("c"), numbers(10**6)) as run:
            assert await anext(aiter(run)) == "00"

    asyncio.run(main())
    assert sorted(closed) == ["a", "b", "c"]


def test_what_one_of_them_raises_comes_out() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    for other in ([1, 2], numbers(2)):
        with pytest.raises(OSError, match="the disk is gone"):
            whilst.map(pair, broken(), other).list()


def test_a_failure_names_the_tuple_and_a_journal_knows_it(tmp_path: Path) -> None:
    def divide(left: int, right: int) -> float:
        return left / right

    run = whilst.map(divide, [1, 2], [1, 0], journal=tmp_path / "run.db")
    first, second = run.outcomes()
    assert (first.value, second.input) == (1.0, (2, 0))
    again = whilst.map(divide, [1, 2], [1, 0], journal=tmp_path / "run.db")
    assert [it.recalled for it in again.outcomes()] == [True, False], "a failure is tried again"
    spread = whilst.map(whilst.spread(divide), [(1, 1), (5, 2)], journal=tmp_path / "run.db")
    assert [(it.recalled, it.value) for it in spread.outcomes()] == [(True, 1.0), (False, 2.5)]
    with pytest.raises(ZeroDivisionError) as caught:
        whilst.map(divide, [1, 2], [1, 0]).list()
    assert "input 1 was (2, 0)" in caught.value.__notes__[0]


def test_a_flow_gets_the_tuple() -> None:
    flow = whilst.sequence(whilst.spread(pair), str.upper)
    assert whilst.map(flow, ["a", "b"], ["c", "d"]).list() == ["AC", "BD"]


REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: whilst.map(pair, [1, 2, 3], [1, 2]), ValueError, "the iterables for pair() have different lengths: 3, 2"),
    (lambda: whilst.map(pair, range(3), itertools.repeat(1, 2)), ValueError, "different lengths: 3, 2"),
    (
        lambda: whilst.map(max, iter("ab"), [1, 2], [1]),
        ValueError,
        "different lengths: unknown, 2, 1\n  try: whilst.map",
    ),
    (lambda: whilst.map(pair, [1], 20), TypeError, "got 20 (int)\n  try: concurrency=20"),
    (
        lambda: whilst.map(pair, [1], [2], 20),
        TypeError,
        "iterable 3 must be iterable or async iterable, got 20 (int)\n",
    ),
    (lambda: whilst.map(pair, [1], 0), TypeError, "iterable 2 must be iterable or async iterable, got 0 (int)"),
    (lambda: whilst.map(pair, [1], True), TypeError, "got True (bool)"),
    (lambda: whilst.map(pair, [1], "a"), TypeError, "iterable 2 must be many things, got one str: 'a'"),
    (lambda: whilst.map(one, [1], [2]), TypeError, "one() -> 'int' cannot be called with 2 arguments, one of each"),
    (lambda: whilst.map(pair, [1], [2], [3]), TypeError, "cannot be called with 3 arguments"),
    (lambda: whilst.map(rows, [1]), TypeError, "rows() takes no argument"),
    (lambda: whilst.map(None, [1], [2]), TypeError, "fn must be callable, got None (NoneType)"),
    (lambda: whilst.spread(3), TypeError, "spread: fn must be callable, got 3 (int)"),
]


@pytest.mark.parametrize(("made", "kind", "text"), REFUSED)
def test_what_cannot_be_meant_is_refused(made: Callable[[], object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        made()
    assert text in str(caught.value)


# -- spread -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fn", [pair, pair_later])
def test_tuples_become_arguments_and_dicts_keywords(fn: Any) -> None:
    given = [("a", 1), ("b",), ["c", 2], {"left": "d"}, {"left": "e", "right": "f"}]
    run = whilst.map(whilst.spread(fn), given)
    assert [(it.input, it.value) for it in run.outcomes()] == list(
        zip(given, ["a1", "b-", "c2", "d-", "ef"], strict=True)
    )
    assert run.summary().name == fn.__name__


def test_what_does_not_fit_fails_its_own_input() -> None:
    outcomes = whilst.map(whilst.spread(pair), [("a", 1), 5, ("a", 1, 2), {"middle": 3}, "ab"]).outcomes().list()
    assert [it.ok for it in outcomes] == [True, False, False, False, False]
    assert "spread(pair) takes apart tuples, lists and dicts, got 5 (int)" in str(outcomes[1].error)
    assert [type(it.error) for it in outcomes[1:]] == [TypeError] * 4


def test_it_keeps_colour_name_docstring_and_signature() -> None:
    blocking, later = whilst.spread(pair), whilst.spread(pair_later)
    assert (inspect.iscoroutinefunction(blocking), inspect.iscoroutinefunction(later)) == (False, True)
    assert inspect.signature(blocking) == inspect.signature(pair)
    assert (later.__name__, later.__doc__, later.__wrapped__) == ("pair_later", None, pair_later)  # type: ignore[attr-defined]
    assert str(whilst.sequence(later).plan()) == "sequence\n└─ pair_later() · async"


def test_it_is_a_step_and_a_stage() -> None:
    flow = whilst.sequence(enumerate, whilst.each(whilst.spread(pair)), whilst.each(str.upper))
    assert flow(["a", "b"]) == ["0A", "1B"]


def test_it_may_be_a_decorator_of_functions_and_methods() -> None:
    assert decorated((3, 4)) == 12
    assert whilst.map(Client().add, [(1, 2), (3, 4)]).list() == [3, 7]


def test_a_partial_may_be_spread() -> None:
    assert whilst.map(whilst.spread(functools.partial(pair, "<")), [(1,), {"right": 2}]).list() == ["<1", "<2"]


@whilst.spread
def decorated(left: int, right: int) -> int:
    return left * right


@pytest.mark.parametrize("made", [whilst.spread(pair), decorated, whilst.spread(functools.partial(pair, "a"))])
def test_it_is_pickled_by_name(made: Any) -> None:
    again = pickle.loads(pickle.dumps(made))
    assert again((7,) if made is not decorated else (7, 1)) == made((7,) if made is not decorated else (7, 1))
    assert (again is made) == (made is decorated)
