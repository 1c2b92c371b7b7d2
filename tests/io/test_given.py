"""What a function does to its input changes no column of an output."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pytest

from whilst.io.given import Given
from whilst.io.jsonl import json_text
from whilst.io.rows import Row

pq: Any = pytest.importorskip("pyarrow.parquet")
pa: Any = pytest.importorskip("pyarrow")
DAY = datetime.date(2026, 1, 5)
MOMENT = datetime.datetime(2026, 1, 5, 12, 30, tzinfo=datetime.UTC)
TYPED = {"at": MOMENT, "day": DAY, "price": decimal.Decimal("1.50"), "raw": b"ab", "tags": ["x"], "deep": {"a": [1]}}


def row(value: dict[str, Any]) -> Row:
    return Row(1, value, json_text(value))


def test_what_was_not_changed_keeps_its_types() -> None:
    assert Given().of(row(dict(TYPED))) == TYPED


@pytest.mark.parametrize("name", list(TYPED))
def test_what_was_changed_is_made_anew_as_what_its_column_holds(name: str) -> None:
    given = Given()
    given.of(row(dict(TYPED)))
    changed = row({**TYPED, "tags": ["x"], "deep": {"a": [1]}})
    changed.value[name] = object()
    assert given.of(changed) == TYPED
    del changed.value[name]
    assert given.of(changed) == TYPED


def test_nested_values_are_as_they_came() -> None:
    changed = row({"deep": {"a": [1]}, "n": 1})
    changed.value["deep"]["a"].append(2)
    changed.value["n"] += 1
    changed.value["new"] = 1
    assert Given().of(changed) == {"deep": {"a": [1]}, "n": 1}


def test_parquet_has_the_input_as_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from whilst.cli.main import run

    monkeypatch.chdir(tmp_path)
    Path("jobs_given.py").write_text(
        "def spoil(row):\n    row['id'] = 'spoilt'\n    row['deep'].append(9)\n    row.pop('at', None)\n    return 1\n"
    )
    rows = [{"id": n, "deep": [n], "at": MOMENT} for n in range(5)]
    Path("in.jsonl").write_text("".join(json.dumps({"id": n, "deep": [n]}) + "\n" for n in range(5)))
    pq.write_table(pa.Table.from_pylist(rows), "in.parquet")
    assert run(["map", "jobs_given.py:spoil", "in.jsonl", "-o", "a.parquet", "-q", "--call", "one"]) == 0
    assert pq.read_table("a.parquet")["input"].to_pylist() == [{"id": n, "deep": [n]} for n in range(5)]
    assert run(["map", "jobs_given.py:spoil", "in.parquet", "-o", "b.parquet", "-q", "--call", "one"]) == 0
    written = pq.read_table("b.parquet").select(["id", "deep"]).to_pylist()
    assert written == [{"id": n, "deep": [n]} for n in range(5)]
