"""Values come back as what they were, inputs are told apart, and what cannot be is refused at once."""

import asyncio
import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journalkit import admitted, drive, opened, record

import whilst
from whilst.io.jsonl import json_text
from whilst.journal.codec import Values
from whilst.journal.frame import OUTCOMES, Batch, Columns, Item, Last, checked, framed, packed
from whilst.journal.identity import Identity, canonical
from whilst.journal.tagged import decode, encode, natural, plain_json


@dataclasses.dataclass
class Point:
    x: float
    y: float
    seen: datetime.datetime | None = None


@dataclasses.dataclass(eq=False)
class Nameless:
    x: int


class Place(msgspec.Struct):
    name: str
    at: Point | None = None


class Pair(NamedTuple):
    a: int
    b: str


class Colour(enum.Enum):
    RED = "red"


UTC = datetime.timezone.utc  # noqa: UP017 - both names are meant
VALUES = [
    0, -1, 2**63, 2**200, True, False, None, 1.0, -0.0, 1e300, float("inf"), float("-inf"), "", "é", "\ud800", "a\0b",
    b"", b"\xff", bytearray(b"x"), [], {}, (), (1,), [(1, 2), [3]], {"a": {"b": [None]}}, {1: 2, (1, 2): "x"}, {"$": 1},
    {"$": "bytes", "v": "eA=="}, {None: 1}, set(), {1, 2}, frozenset({"a"}), {"s": {(1, 2)}}, 1 + 2j,
    datetime.datetime(2026, 11, 1, 12, 30, 0, 5), datetime.datetime(2026, 11, 1, tzinfo=UTC), datetime.date(2026, 1, 1),
    datetime.time(1, 2, 3), datetime.timedelta(days=-1, microseconds=7), decimal.Decimal("1.50"),
    decimal.Decimal("Infinity"), uuid.UUID(int=7), [{"deep": [float("inf"), None]}],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_of_the_known_types_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    back = decode(encode(value))
    assert back == value
    assert repr(back) == repr(value)
    assert type(back) is type(value)


def test_a_nan_comes_back_as_one_and_not_as_null() -> None:
    assert math.isnan(decode(encode(float("nan"))))
    assert math.isnan(decode(encode({"a": [float("nan"), None]}))["a"][0])


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
known = scalars | st.datetimes() | st.dates() | st.timedeltas() | st.decimals(allow_nan=False) | st.uuids()
trees = st.recursive(
    known,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.just("$"), inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=12,
)


@given(trees)
def test_any_tree_of_known_types_comes_back(value: Any) -> None:
    back = decode(encode(value))
    assert repr(back) == repr(value)
    msgspec.json.decode(natural(encode(value)))  # what other programs get is plain JSON


hostile = st.text(alphabet='a,\n"$[]{}\\é\ud800', max_size=5)
of_one_kind = st.lists(st.integers()) | st.lists(hostile) | st.lists(st.dictionaries(hostile, st.none() | st.floats()))


@given(st.lists(trees | hostile, max_size=6) | of_one_kind)
def test_inputs_are_known_by_the_same_at_once_and_one_by_one(items: list[Any]) -> None:
    with mock.patch("whilst.journal.identity.MOMENT", 60.0):
        together, alone = Identity().of_some(items), Identity(key=lambda item: item).of_some(items)
    assert together[:2] == alone[:2]
    assert [canonical(decode(text)) for text in together.texts] == list(map(canonical, items))


@given(st.lists(trees | hostile, min_size=1, max_size=6) | of_one_kind.filter(len))
def test_values_of_every_kind_come_back_out_of_one_frame(values: list[Any]) -> None:
    kept = [value if plain_json(value) and type(value) not in (dict, list) else encode(value) for value in values]
    batch = Batch.of([Item(place, 0, b"0", value, 1, 0.0, 0.0) for place, value in enumerate(kept)])
    pieces, _ = framed(b"12345678", Last(), OUTCOMES, len(kept), packed(batch))
    head = checked(frame := b"".join(pieces))
    assert head is not None
    columns = Columns(frame, head)
    assert repr(list(map(decode, columns.values()))) == repr(values)
    assert [columns.value(place) for place in range(len(kept))] == columns.values()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"), (1, 1.0), (1, True), (0, False), (None, "null"), (b"x", "eA=="), ([1], (1,)), ({1}, [1]),
        ({"1": 2}, {1: 2}), (decimal.Decimal("1.5"), "1.5"), (uuid.UUID(int=1), str(uuid.UUID(int=1))),
        (datetime.date(2026, 1, 1), "2026-01-01"), (Point(1, 2), {"x": 1, "y": 2}), (Point(1, 2), Point(1, 3)),
        (float("nan"), None), (Pair(1, "a"), (1, "a")), (Colour.RED, "red"), ({"a": None}, {}),
    ],
)  # fmt: skip
def test_inputs_that_json_would_merge_differ(one: Any, other: Any) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({1: 1, 2: 2}, {2: 2, 1: 1}), ({"a", "b", "c"}, {"c", "b", "a"}),
        (Place("x", Point(1.0, 2.0)), Place("x", Point(1.0, 2.0))), (float("nan"), float("nan")),
        ([{"z": (1,), "a": 2}], [{"a": 2, "z": (1,)}]),
    ],
)  # fmt: skip
def test_what_does_not_matter_does_not_tell_inputs_apart(one: Any, other: Any) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize("item", [Point(1, 2), Place("x"), Pair(1, "a"), Colour.RED, OrderedDict(a=1), Path("/a/b")])
def test_objects_that_are_data_can_be_inputs(item: Any) -> None:
    _, _, texts, failed = Identity().of_some([item])
    assert not failed
    assert "$" not in natural(texts[0]).decode()


def point(x: float) -> Point:
    return Point(x, -x, datetime.datetime(2026, 1, 1, tzinfo=UTC))


def points(x: float) -> list[Point | None]:
    return [Point(x, 1.0), None]


async def place(x: float) -> Place:
    return Place("here", Point(x, x))


def pair(x: float) -> Pair:
    return Pair(int(x), "b")


def colour(x: float) -> "Colour":
    return Colour.RED


def nameless(x: float) -> Nameless:
    return Nameless(int(x))


@pytest.mark.parametrize("fn", [point, points, pair, colour])
def test_the_annotation_tells_what_comes_back(fn: Any, tmp_path: Path) -> None:
    first = drive(tmp_path / "run.db", [1.0, 2.5], fn)
    again = drive(tmp_path / "run.db", [1.0, 2.5], fn)
    assert again.called == []
    assert again.values == first.values
    assert [type(value) for value in again.values] == [type(value) for value in first.values]


def test_a_class_without_equality_comes_back_as_well() -> None:
    values = Values(None, nameless, "nameless")
    assert values.decode(values.encode(Nameless(3))).x == 3


def test_a_type_given_as_codec_does_what_an_annotation_does(tmp_path: Path) -> None:
    made = lambda x: {"p": [Point(x, x)]}  # noqa: E731
    drive(tmp_path / "run.db", [1.0], made, codec=dict[str, list[Point]])
    again = drive(tmp_path / "run.db", [1.0], made, codec=dict[str, list[Point]])
    assert again.values == [{"p": [Point(1.0, 1.0)]}]
    assert again.called == []


class Rot13:
    def encode(self, value: str) -> Any:
        return {"secret": value[::-1].encode()}

    def decode(self, stored: Any) -> str:
        text: bytes = stored["secret"]
        return text.decode()[::-1]


def test_a_codec_of_the_users_own_has_the_last_word(tmp_path: Path) -> None:
    first = drive(tmp_path / "run.db", ["ab", "cd"], str.upper, codec=Rot13())
    again = drive(tmp_path / "run.db", ["ab", "cd"], str.upper, codec=Rot13())
    assert first.values == again.values == ["AB", "CD"]
    assert again.called == []


def test_an_annotation_that_lies_does_no_harm_to_what_json_knows() -> None:
    values = Values(None, point, "point")
    assert values.decode(values.encode({"not": ("a", "point")})) == {"not": ("a", "point")}
    assert values.decode(values.encode(Point(1.0, 2.0))) == Point(1.0, 2.0)


class Raising:
    """A key, or a codec that fails where it is told to."""

    def __init__(self, error: type[BaseException], where: str = "") -> None:
        self.error, self.where = error, where

    def encode(self, value: Any) -> Any:
        return self(value) if self.where == "encode" else value

    def decode(self, stored: Any) -> Any:
        return self(stored) if self.where == "decode" else stored

    def __call__(self, item: Any) -> Any:
        raise self.error("no")


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("where", ["key", "encode", "decode"])
def test_a_key_or_a_codec_that_ends_the_program_ends_the_run(
    error: type[BaseException], where: str, tmp_path: Path
) -> None:
    """On the loop nobody else would hear of it, and the run would wait for ever."""
    path = tmp_path / "run.db"
    if where == "decode":
        whilst.map(abs, range(3), journal=path).list()
    raising = Raising(error, where)
    journal = whilst.Journal(path, key=raising) if where == "key" else whilst.Journal(path, codec=raising)
    with pytest.raises(RuntimeError if error is asyncio.CancelledError else error, match=r"of its own accord|^no\b"):
        whilst.map(abs, range(3), journal=journal).list()


class Loose(msgspec.Struct):
    anything: Any


LOOPED: list[Any] = []
LOOPED.append(LOOPED)
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "codec", "evidence", "remedy"),
    [
        (object(), None, "its type is object", "an encode and a decode"),
        ({"a": [lambda: 1]}, None, "a function is in it", "an encode and a decode"),
        (Point(1, 2), None, "its type is Point", "codec=Point"),
        ([Place("x")], None, "a Place is in it", "codec=Place"),
        (Colour.RED, None, "its type is Colour", "codec=Colour"),
        (namedtuple("Row", "a")(1), None, "its type is Row", "codec=Row"),
        (OrderedDict(a=1), None, "its type is OrderedDict", "an encode and a decode"),
        (LOOPED, None, "contains itself", "a type that JSON has"),
        (DEEP, None, "nested too deep", "a type that JSON has"),
        (Loose(datetime.date(2026, 1, 1)), Loose, "does not come back equal", "really returns"),
        (Point(float("nan"), 1), Place, "does not come back equal", "really returns"),
    ],
    ids=lambda it: type(it).__name__,
)
def test_a_value_that_would_not_come_back_is_refused_at_once(
    value: Any, codec: Any, evidence: str, remedy: str
) -> None:
    with pytest.raises(whilst.Unstorable) as caught:
        Values(codec, None, "ask").encode(value)
    text = str(caught.value)
    assert text.startswith("ask() returned what the journal cannot store: ")
    assert evidence in text
    assert remedy in text.splitlines()[-1]
    assert text.splitlines()[-1].startswith("  try: ")


def test_the_first_value_that_cannot_be_stored_raises_when_it_is_added(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = opened(tmp_path / "run.db")
        try:
            await admitted(ledger, [(0, 1), (1, 2)])
            ledger.add(record(0, 1, str))
            with pytest.raises(whilst.Unstorable):
                ledger.add(record(1, 2, lambda x: object()))
        finally:
            await ledger.close()

    asyncio.run(main())
    assert drive(tmp_path / "run.db", [1, 2]).called == [2]


def test_what_is_changed_after_it_was_given_is_stored_as_it_was(tmp_path: Path) -> None:
    """The consumer has an outcome before the writer does, and the function has its input before it is done."""

    async def main() -> None:
        ledger = opened(tmp_path / "run.db", name="f")
        item, value = {"id": 1}, {"n": [1]}
        await admitted(ledger, [(0, item)])
        item["id"] = 99
        ledger.add((0, item, value, None, 0.0, 0.0, 1))
        value["n"].append(2)
        await ledger.close()

    asyncio.run(main())
    again = drive(tmp_path / "run.db", [{"id": 1}], name="f")
    assert again.values == [{"n": [1]}]
    assert again.called == []


def test_an_input_that_cannot_be_told_from_others_fails_alone(tmp_path: Path) -> None:
    ran = drive(tmp_path / "run.db", [1, object(), 2])
    assert [ran.outcomes[0], ran.outcomes[2]] == [2, 4]
    error = ran.outcomes[1]
    assert isinstance(error, whilst.Unstorable)
    assert "key=lambda" in error.remedy
    assert ran.called == [1, 2]


def test_an_input_whose_key_raises_fails_alone_with_that_error(tmp_path: Path) -> None:
    rows = [{"id": 1}, {}, {"id": [object()]}, {"id": 2}]
    ran = drive(tmp_path / "run.db", rows, len, key=lambda row: row["id"])
    assert isinstance(ran.outcomes[1], KeyError)
    assert isinstance(ran.outcomes[2], whilst.Unstorable)
    assert "key=… gave" in str(ran.outcomes[2])
    assert ran.called == [{"id": 1}, {"id": 2}]


def test_with_a_key_an_input_may_be_anything(tmp_path: Path) -> None:
    class Row:
        def __init__(self, number: int) -> None:
            self.number = number

    def number(row: Row) -> int:
        return row.number

    drive(tmp_path / "run.db", [Row(1), Row(2)], number, key=number)
    assert drive(tmp_path / "run.db", [Row(2), Row(1)], number, key=number).values == [2, 1]


@pytest.mark.parametrize("bad", [3, b"x", None])
def test_a_path_that_is_none_is_a_type_error(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="path must be the name of a file"):
        whilst.Journal(bad)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"commit": "lazy"}, ValueError, 'commit must be "buffered" or "strict", got \'lazy\''),
        ({"accept": "new"}, ValueError, 'accept must be "old", "fresh" or None'),
        ({"key": "id"}, TypeError, "key must be callable, got 'id'\n  try: key=lambda item: item['id']"),
        ({"retry_failed": 1}, TypeError, "retry_failed must be True or False"),
    ],
)
def test_arguments_are_checked_where_they_are_given(options: dict[str, Any], error: type, text: str) -> None:
    with pytest.raises(error) as caught:
        whilst.Journal("run.db", **options)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [math.inf, -math.inf],
        datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        datetime.datetime(2026, 1, 2, 3, 4, 5, fold=1),
        datetime.date(2026, 1, 2),
        datetime.time(3, 4, fold=1),
        datetime.timedelta(days=1.5),
        {"a": (1, b"x")},
    ],
    ids=repr,
)
def test_what_is_exported_is_what_the_run_itself_writes(value: object) -> None:
    assert natural(encode(value)) == json_text(value)
