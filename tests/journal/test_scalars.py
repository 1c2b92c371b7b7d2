"""Scalars of NumPy and pandas are inputs and values of a journal, and values of outputs, as what they are in Python."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst.core.scalars import as_python
from whilst.io.jsonl import json_text
from whilst.journal.identity import canonical
from whilst.journal.tagged import decode, encode

np: Any = pytest.importorskip("numpy")
pd: Any = pytest.importorskip("pandas")

MOMENT = datetime.datetime(2026, 1, 5, 12, 30, 0, 5)
SCALARS = [
    (np.int64(3), 3),
    (np.uint8(255), 255),
    (np.uint64(2**63), 2**63),
    (np.float64(1.5), 1.5),
    (np.float32(0.5), 0.5),
    (np.float64("inf"), math.inf),
    (np.bool_(True), True),
    (np.str_("é"), "é"),
    (np.bytes_(b"a"), b"a"),
    (np.complex128(1 + 2j), 1 + 2j),
    (np.array(7), 7),
    (np.datetime64("2026-01-05T12:30:00.000005"), MOMENT),
    (np.datetime64("2026-01-05T12:30:00.000005000"), MOMENT),
    (np.datetime64("2026-01-05"), datetime.date(2026, 1, 5)),
    (np.timedelta64(90, "s"), datetime.timedelta(seconds=90)),
    (np.timedelta64(5000, "ns"), datetime.timedelta(microseconds=5)),
    (np.datetime64("NaT", "s"), None),
    (np.timedelta64("NaT", "s"), None),
    (pd.Timestamp(MOMENT), MOMENT),
    (pd.Timestamp("2026-01-05 12:30", tz="UTC"), datetime.datetime(2026, 1, 5, 12, 30, tzinfo=datetime.UTC)),
    (pd.Timedelta("1 days 2s"), datetime.timedelta(days=1, seconds=2)),
    (pd.NaT, None),
    (pd.NA, None),
]
REFUSED = [
    np.longdouble(1) / 3,
    np.array([1, 2]),
    np.datetime64("2026-01-05T00:00:00.000000001"),
    np.datetime64(10**15, "s"),
    np.timedelta64(1, "ns"),
    np.timedelta64(3, "Y"),
    pd.Timestamp("2026-01-05 00:00:00.000000001"),
    pd.Timedelta(1, "ns"),
    pd.Period("2026-01"),
    pd.Series([1]),
    decimal.Decimal(1),
    object(),
]


@pytest.mark.parametrize(("scalar", "plain"), SCALARS, ids=lambda it: f"{type(it).__name__}-{it}")
def test_a_scalar_is_kept_as_what_it_is_in_python(scalar: Any, plain: Any) -> None:
    assert as_python(scalar) == (plain,)
    assert type(as_python(scalar)[0]) is type(plain)  # type: ignore[index]
    back = decode(encode({"deep": [scalar]}))["deep"][0]
    assert (back, type(back)) == (plain, type(plain))
    assert canonical(scalar) == canonical(plain)


@pytest.mark.parametrize("thing", REFUSED, ids=lambda it: type(it).__name__)
def test_what_would_lose_something_is_none(thing: Any) -> None:
    assert as_python(thing) is None


def score(row: Any) -> Any:
    return np.float64(row["n"]) / 2


def when(row: Any) -> Any:
    return {"at": pd.Timestamp(row["at"]) + pd.Timedelta(days=1), "n": np.int64(row["n"])}


def table(row: Any) -> Any:
    return pd.DataFrame([row])


def array(row: Any) -> Any:
    return np.array([row["n"]])


@pytest.mark.parametrize("fn", [score, when])
def test_rows_of_a_frame_resume_and_come_back_equal(tmp_path: Path, fn: Any) -> None:
    frame = pd.DataFrame({"n": [1, 2, 2], "at": pd.to_datetime(["2026-01-05", "2026-01-06", "2026-01-06"])})
    rows = [dict(row) for _, row in frame.iterrows()]  # NumPy scalars and Timestamps
    first = whilst.map(fn, rows, journal=tmp_path / "run.db").list()
    again = whilst.map(fn, frame.to_dict("records"), journal=tmp_path / "run.db")  # Python's own numbers
    assert again.list() == first
    assert again.summary().recalled == 3


def test_a_column_and_its_plain_list_are_the_same_inputs(tmp_path: Path) -> None:
    column = pd.Series([1.5, 2.5])
    whilst.map(abs, column.to_numpy(), journal=tmp_path / "run.db").list()
    again = whilst.map(abs, [1.5, 2.5], journal=tmp_path / "run.db")
    assert (again.list(), again.summary().recalled) == ([1.5, 2.5], 2)


@pytest.mark.parametrize(("fn", "line"), [(table, 'value.to_dict("records")'), (array, "value.tolist()")])
def test_an_array_or_a_table_is_refused_with_the_line_that_works(tmp_path: Path, fn: Any, line: str) -> None:
    with pytest.raises(whilst.Unstorable, match="try: return a type that JSON has") as caught:
        whilst.map(fn, [{"n": 1}], journal=tmp_path / "run.db").list()
    assert line in str(caught.value)


def test_outputs_have_no_numbers_for_moments() -> None:
    written = json_text([np.datetime64("2026-01-05T00:00:01", "ns"), pd.Timestamp(MOMENT), pd.NaT, np.int8(3)])
    assert json.loads(written) == ["2026-01-05T00:00:01", "2026-01-05T12:30:00.000005", None, 3]
    finer = json_text([np.datetime64("2026-01-05T00:00:00.000000001"), pd.Timestamp("2026-01-05 00:00:00.000000001")])
    assert json.loads(finer) == ["2026-01-05T00:00:00.000000001"] * 2
