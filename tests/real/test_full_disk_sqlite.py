"""A full disk under a database ends the run with words, and loses nothing of what was written before."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from whilst.io.open import open_output
from whilst.io.refusal import BrokenOutput
from whilst.io.rows import Row
from whilst.io.sink import Shape, Sink


def test_a_full_database_is_the_end_and_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    connect = sqlite3.connect

    def small(*arguments: object, **given: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **given)  # type: ignore[call-overload]
        connection.execute("PRAGMA max_page_count = 40")  # of 4 KiB, as a disk of 160 KiB
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    sink = open_output("sqlite:///f.db?table=t&key=id")
    sink.begin(Shape())
    with pytest.raises(BrokenOutput, match="database or disk is full"):
        fill(sink)
    assert sink.broken is not None
    with pytest.raises(BrokenOutput):
        sink.flush()
    monkeypatch.undo()
    with closing(connect(tmp_path / "f.db")) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM t").fetchone()
    assert kept >= 50
    assert kept % 10 == 0, "a batch is whole or not there"


def fill(sink: Sink) -> None:
    for number in range(500):
        given = {"id": number}
        sink.write(Row(number, given, json.dumps(given).encode()), "x" * 1000)
        if number % 10 == 9:
            sink.flush()
