"""A run and the same run again, from outside: functions and flows, and each argument of a journal."""

import dataclasses
import datetime
import decimal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import whilst

called: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_was_called() -> Iterator[None]:
    called.clear()
    yield
    called.clear()


@dataclasses.dataclass
class Paid:
    by: uuid.UUID
    amount: decimal.Decimal
    receipt: bytes
    at: datetime.datetime


@dataclasses.dataclass
class User:
    name: str
    paid: list[Paid]
    more: dict[str, tuple[int, decimal.Decimal]]


UTC = datetime.timezone.utc  # noqa: UP017 - 3.11 has both names


def load(n: int) -> User:
    called.append(n)
    at = datetime.datetime(2026, 11, 1, 12, 30, tzinfo=UTC) + datetime.timedelta(microseconds=n)
    paid = Paid(uuid.UUID(int=n), decimal.Decimal("1.50"), b"\xff\x00", at)
    return User(f"u{n}", [paid], {"n": (n, decimal.Decimal(n))})


async def greeted(user: User) -> User:
    return dataclasses.replace(user, name=f"hello {user.name}")


def first_paid(user: User) -> Paid:
    return user.paid[0]


def unnamed(user):  # type: ignore[no-untyped-def]
    return user.name


def untyped(user):  # type: ignore[no-untyped-def]
    return {"by": user.paid[0].by, "all": [(user.paid[0].at, user.paid[0].receipt, user.paid[0].amount)]}


def broken(n: int) -> User:
    raise OSError("down")


FLOWS = {
    "a function": load,
    "a step": whilst.step(load, retry=2, timeout=30.0),
    "a sequence": whilst.sequence(load, greeted),
    "sequences in each other": whilst.sequence(load, whilst.sequence(greeted, greeted)),
    "a part under a policy": whilst.step(whilst.sequence(load, greeted), timeout=30.0),
    "branches with names": whilst.sequence(load, whilst.together(user=greeted, paid=first_paid, name=unnamed)),
    "branches without": whilst.sequence(load, whilst.together(greeted, first_paid)),
    "the first": whilst.sequence(whilst.first(load, broken), greeted),
    "the first at the end": whilst.first(load, load),
    "a stage": whilst.sequence(lambda n: [n, n + 100], whilst.each(load, concurrency=2)),
    "what needs no type": whilst.sequence(load, untyped),
}


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_values_of_a_flow_come_back_as_what_they_were_and_nothing_is_called(flow: Any, tmp_path: Path) -> None:
    first = whilst.map(flow, range(5), journal=tmp_path / "run.db").list()
    assert called
    called.clear()
    run = whilst.map(flow, range(6), journal=tmp_path / "run.db")
    again = run.list()
    assert again[:5] == first
    assert repr(again[:5]) == repr(first)
    assert set(called) in ({5}, {5, 105})
    assert run.summary().recalled == 5


def test_a_value_of_a_flow_that_needs_a_type_says_which_annotation(tmp_path: Path) -> None:
    flow = whilst.sequence(load, lambda user: user.paid[0])
    with pytest.raises(whilst.Unstorable, match=r"an annotation of its last step, f\(…\) -> Paid, or .*codec=Paid"):
        whilst.map(flow, [1], journal=tmp_path / "run.db").list()
    journal = whilst.Journal(tmp_path / "run.db", codec=Paid)
    assert whilst.map(flow, [1], journal=journal).list() == whilst.map(flow, [1], journal=journal).list()
    assert called == [1, 1]


def test_a_flow_with_another_step_is_noticed_and_old_or_fresh_go_on(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    before = whilst.map(whilst.sequence(load, greeted), [1, 2], journal=path).list()
    changed = whilst.sequence(load, greeted, greeted)
    called.clear()
    with pytest.raises(whilst.JournalChanged) as caught:
        whilst.map(changed, [1, 2], journal=path).list()
    assert caught.value.results == 2
    assert called == []
    assert whilst.map(changed, [1, 2], journal=whilst.Journal(path, accept="old")).list() == before
    assert called == []
    assert whilst.map(changed, [1, 2], journal=path).list() == before  # it is the journal's from then on
    fresh = whilst.Journal(path, accept="fresh")
    again = whilst.map(whilst.sequence(load, greeted), [1, 2], journal=fresh).list()
    assert again == before
    assert sorted(called) == [1, 2]
    assert path.with_name("run.db.old-1").exists()


@pytest.mark.parametrize("commit", ["buffered", "strict"])
def test_failures_of_a_flow_are_kept_or_tried_again(commit: Any, tmp_path: Path) -> None:
    def odd(n: int) -> int:
        called.append(n)
        if n % 2:
            raise ValueError(f"{n} is odd")
        return n

    def go(**options: Any) -> list[whilst.Outcome[int, Any]]:
        called.clear()
        journal = whilst.Journal(tmp_path / "run.db", commit=commit, **options)
        return list(whilst.map(whilst.sequence(odd, abs), range(6), journal=journal).outcomes())

    go()
    kept = go(retry_failed=False)
    assert called == []
    assert [outcome.ok for outcome in kept] == [True, False] * 3
    assert all(isinstance(outcome.error, whilst.Recorded) for outcome in kept[1::2])
    assert [str(outcome.error) for outcome in kept[1::2]] == [f"ValueError: {n} is odd" for n in (1, 3, 5)]
    go()
    assert sorted(called) == [1, 3, 5]


def test_a_key_tells_inputs_of_a_flow_apart(tmp_path: Path) -> None:
    def go(day: str) -> tuple[list[Any], int]:
        rows = [{"id": uuid.UUID(int=n), "seen": day} for n in range(4)]
        journal = whilst.Journal(tmp_path / "run.db", key=lambda row: (row["id"], "v1"))
        run = whilst.map(whilst.sequence(lambda row: row["seen"], str.upper), rows, journal=journal)
        return run.list(), run.summary().recalled

    assert go("Monday") == (["MONDAY"] * 4, 0)
    assert go("Friday") == (["MONDAY"] * 4, 4)


ROWS = {
    "numbers": [0, 1, -1, 1, 2**40],
    "text": ["a", "é", "$", "null", "a", '","'],
    "rows": [{"b": 1, "a": None}, {"a": None, "b": 1}, {"a": "null"}, {"a": ["$"]}, {"b": 1.0, "a": None}],
    "lists": [[1], [1.0], ["1"], [True], [[1]], [None]],
    "a NaN among rows": [{"a": float("nan")}, {"a": None}, {"a": float("inf")}],
    "keys that look like tags": [{"$": "tuple", "v": [1]}, (1,), [1]],
    "of all kinds": [1, "1", 1.0, True, None, b"1", decimal.Decimal(1), uuid.UUID(int=1), {"a": 1}, [1]],
    "keys that are no text": [{1: 2}, {"1": 2}, {None: 2}],
    "text that is none": ["a", "\ud800", {"\ud800": 1}, ["\udfff"]],
    "wide numbers": [2**63, -(2**63), 2**200, 2**59, -(2**59) - 1],
}


@pytest.mark.parametrize("items", ROWS.values(), ids=ROWS)
def test_inputs_are_known_again_in_whatever_company_they_come(items: list[Any], tmp_path: Path) -> None:
    """Inputs of one kind are identified many at once; what each is known by must not depend on that."""

    def numbered(item: Any) -> int:
        called.append(item)
        return len(called)

    first = whilst.map(numbered, items, concurrency=1, journal=tmp_path / "run.db").list()
    called.clear()
    assert whilst.map(numbered, items, journal=tmp_path / "run.db").list() == first
    mixed = [*items, b"of another kind"]
    found = whilst.map(numbered, mixed, concurrency=1, journal=tmp_path / "run.db").list()
    assert found[: len(items)] == first
    for place, item in enumerate(items):
        if items.index(item) == place and [repr(each) for each in items].count(repr(item)) == 1:
            alone = list(whilst.map(numbered, [item], journal=tmp_path / "run.db"))
            assert alone == [first[place]]
