"""SQLite: tables and queries as inputs, upserts as outputs, and rows that other programs left in it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sqlalchemy")

from whilst.io.database import shown
from whilst.io.open import open_input, open_output
from whilst.io.refusal import BrokenOutput, Refused
from whilst.io.rows import Rejected, Row
from whilst.io.sink import Shape, Unfit


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    monkeypatch.chdir(tmp_path)
    connection = sqlite3.connect(tmp_path / "f.db")
    yield connection
    connection.close()


def row(value: Any, number: int = 1) -> Row:
    return Row(number, value, json.dumps(value).encode())


def rows(what: str) -> list[Row | Rejected]:
    return list(open_input(f"sqlite:///f.db?{what}").rows())


def ids(what: str) -> list[Any]:
    return [it.value["id"] for it in rows(what) if isinstance(it, Row)]


@pytest.mark.parametrize(
    "declared",
    [
        "id INTEGER PRIMARY KEY, x",
        "id TEXT PRIMARY KEY NOT NULL, x",
        "id TEXT PRIMARY KEY, x",
        "id, x",
        "id NOT NULL, x NOT NULL, PRIMARY KEY (x, id)",
    ],
)
def test_a_table_is_read_whole_whatever_its_key(db: sqlite3.Connection, declared: str) -> None:
    db.execute(f"CREATE TABLE t ({declared})")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"x{n % 7}") for n in range(3000)])
    db.commit()
    assert sorted(int(it) for it in ids("table=t")) == list(range(3000))


def test_a_null_in_a_key_is_not_passed_over(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE t (id TEXT PRIMARY KEY)")
    db.executemany("INSERT INTO t VALUES (?)", [(None,), ("a",), (None,)])
    db.commit()
    assert len(rows("table=t")) == 3


@pytest.mark.parametrize("declared", ["id, x", "id, rowid", "id TEXT PRIMARY KEY, x", "rowid, oid"])
def test_who_reads_a_table_keeps_nobody_from_writing(db: sqlite3.Connection, declared: str) -> None:
    db.execute(f"CREATE TABLE t ({declared})")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(f"{n}", n % 7) for n in range(3000)])
    db.execute("DELETE FROM t WHERE rowid = 9")
    db.commit()
    db.execute("PRAGMA busy_timeout = 0")
    names = [it[1] for it in db.execute("PRAGMA table_info(t)")]
    seen: list[Any] = []
    for it in open_input("sqlite:///f.db?table=t").rows():
        assert isinstance(it, Row)
        assert list(it.value) == names
        seen.append(it.value)
        if not len(seen) % 500:
            with db:
                db.execute("CREATE TABLE IF NOT EXISTS o (n)")
                db.execute("INSERT INTO o VALUES (1)")
    assert [tuple(it.values()) for it in seen] == db.execute("SELECT * FROM t").fetchall()


def test_a_table_whose_columns_take_all_names_of_its_numbers_is_read(db: sqlite3.Connection) -> None:
    db.executescript("CREATE TABLE t (rowid, oid, _ROWID_); INSERT INTO t VALUES (1, 2, 3), (1, 2, 4)")
    assert [list(it.value.values()) for it in rows("table=t") if isinstance(it, Row)] == [[1, 2, 3], [1, 2, 4]]


def test_a_view_and_a_query_are_inputs(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"a%{n}") for n in range(10)])
    db.execute("CREATE VIEW v AS SELECT id FROM t WHERE id > 4")
    db.commit()
    assert ids("table=v") == [5, 6, 7, 8, 9]
    assert ids("query=SELECT id FROM t WHERE name LIKE 'a%' AND id <> 3 ORDER BY id DESC LIMIT 2") == [9, 8]
    assert ids("query=SELECT id FROM t WHERE name = 'a%257'") == [7]


def test_a_bad_row_fails_alone(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, at DATETIME)")
    db.execute("INSERT INTO t VALUES (1, 'ok', 'not a date'), (2, CAST(x'61ff' AS TEXT), NULL), (3, 'ok', 7)")
    db.execute("INSERT INTO t VALUES (4, ?, NULL), (5, ?, NULL)", ("x" * 17_000_000, b"\xff"))
    db.commit()
    one, two, three, four, five = rows("table=t")
    assert isinstance(one, Row)
    assert isinstance(three, Row)
    assert isinstance(five, Row)
    assert one.value["at"] == "not a date"
    assert five.raw == b'{"id":5,"text":"/w==","at":null}'
    assert isinstance(two, Rejected)
    assert (two.line, two.reason) == (2, "not UTF-8: byte 0xff in column 'text'")
    assert isinstance(four, Rejected)
    assert four.reason == "the row has 17,000,028 bytes, the limit is 16,777,216"


def test_reading_changes_and_makes_nothing(db: sqlite3.Connection, tmp_path: Path) -> None:
    db.execute("CREATE TABLE t (id)")
    db.commit()
    with pytest.raises(ValueError, match="readonly"):
        rows("query=DELETE FROM t RETURNING id")
    with pytest.raises(FileNotFoundError):
        open_input("sqlite:///g.db?table=t")
    assert sorted(it.name for it in tmp_path.iterdir()) == ["f.db"]


def test_reading_leaves_no_log_behind(db: sqlite3.Connection, tmp_path: Path) -> None:
    """SQLite makes one for who reads a database that is written with one, and it stays if he may not write."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE t (id)")
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    assert [row.value for row in rows("table=t")] == [{"id": 1}]  # beside who writes
    db.close()
    before = (tmp_path / "f.db").read_bytes()
    assert [row.value for row in rows("table=t")] == [{"id": 1}]
    with pytest.raises(ValueError, match="readonly"):
        rows("query=DELETE FROM t RETURNING id")
    assert sorted(it.name for it in tmp_path.iterdir()) == ["f.db"]
    assert (tmp_path / "f.db").read_bytes() == before


def test_a_scheme_may_be_in_capitals(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE t (id)")
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    assert [row.value for row in open_input("SQLite:///f.db?table=t").rows()] == [{"id": 1}]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sqlite:///f.db?table=hots", ["has no such table", "it has hosts", "try: sqlite:///f.db?table=hosts"]),
        ("sqlite:///f.db", ["does not say which rows", "?table=NAME"]),
        ("sqlite://?table=t", ["names no file"]),
        ("mysql+nope://h/d?table=t", ["mysql+nope:// is not a known scheme"]),
        ("sqlit:///f.db?table=t", ["is not a known scheme", "try: sqlite:///f.db?table=t"]),
        ("sqlite:f.db?table=t", ["lacks the slashes", "try: 'sqlite:///f.db?table=t'"]),
        ("sqlite://f.db?table=hosts", ["names no file", "stands a host", "try: sqlite:///f.db?table=hosts"]),
        ("sqlite://a/f.db?table=hosts", ["names no file", "stands a host", "try: sqlite:///a/f.db?table=hosts"]),
        ("sqlite:///f.db?tabel=hosts", ["parameter tabel", "try: sqlite:///f.db?table=hosts"]),
        ("sqlite:///f.db?table=hosts&kye=id", ["parameter kye", "try: sqlite:///f.db?table=hosts&key=id"]),
        ("sqlite:///in.txt?table=t", ["cannot be opened", "file is not a database"]),
    ],
)
def test_what_cannot_be_opened_says_why_and_what_would_work(
    db: sqlite3.Connection, tmp_path: Path, name: str, words: list[str]
) -> None:
    db.execute("CREATE TABLE hosts (id)")
    (tmp_path / "in.txt").write_text("no database\n" * 100)
    with pytest.raises(Refused) as caught:
        open_input(name)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_query_that_is_wrong_names_the_fault(db: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="no such column: nope"):
        rows("query=SELECT nope")
    with pytest.raises(ValueError, match="column 'a' twice"):
        rows("query=SELECT 1 AS a, 2 AS a")


@given(st.text(st.characters(exclude_characters="?#&=", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_no_password_is_shown(secret: str) -> None:
    from urllib.parse import quote

    canary = f"canary{quote(secret, safe='/@:')}"
    assert "canary" not in shown(f"postgresql://me:{canary}@host/db?table=t")
    assert "canary" not in shown(f"postgresql://me@host/db?table=t&password={canary}&sslmode=x")


# -- out ------------------------------------------------------------------------------------------------------


def write(what: str, outcomes: list[tuple[Any, Any]], shape: Shape | None = None, *, overwrite: bool = False) -> None:
    sink = open_output(f"sqlite:///f.db?{what}", overwrite=overwrite)
    sink.begin(shape or Shape())
    for number, (source, value) in enumerate(outcomes, 1):
        if isinstance(value, Exception):
            sink.failure(source if isinstance(source, Rejected) else row(source, number), str(value), 1)
        else:
            sink.write(row(source, number), sink.prepare(value))
    assert sink.waiting
    sink.finish()


def test_a_table_is_made_with_the_columns_of_its_values(db: sqlite3.Connection) -> None:
    write("table=out&key=id", [({"id": 1}, {"a": 1, "error": "mine"}), ({"id": 2}, ValueError("no"))])
    assert db.execute("SELECT * FROM out").fetchall() == [
        (1, '{"id": 1}', 1, "mine", None, None),
        (2, '{"id": 2}', None, None, "no", 1),
    ]
    (declared,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'out'").fetchone()
    assert declared == (
        "CREATE TABLE out (id INTEGER UNIQUE, input TEXT, a INTEGER, error_ TEXT, error TEXT, attempts INTEGER)"
    )


def test_a_second_run_replaces_what_it_names_and_keeps_the_rest(db: sqlite3.Connection) -> None:
    write("table=out&key=id", [({"id": 1}, "old"), ({"id": 2}, ValueError("no"))])
    with pytest.raises(Refused, match="has rows already"):
        open_output("sqlite:///f.db?table=out&key=id")
    write("table=out&key=id", [({"id": 2}, "mended"), ({"id": 3}, "new")], overwrite=True)
    found = db.execute("SELECT id, value, error FROM out ORDER BY id").fetchall()
    assert found == [(1, "old", None), (2, "mended", None), (3, "new", None)]


def test_rows_that_have_no_key_are_failures_and_not_doubled(db: sqlite3.Connection) -> None:
    outcomes: list[tuple[Any, Any]] = [(Rejected(4, "broken", "{{"), ValueError()), ({"id": 1}, 1)]
    for overwrite in (False, True, True):
        write("table=out&key=id", outcomes, overwrite=overwrite)
    assert db.execute("SELECT id, error FROM out ORDER BY id").fetchall() == [(None, "line 4: broken"), (1, None)]
    sink = open_output("sqlite:///f.db?table=out&key=id", overwrite=True)
    sink.begin(Shape())
    with pytest.raises(Unfit, match="has no 'id', which is its key"):
        sink.write(row({"other": 1}), 1)
    sink.failure(row({"other": 1}), "no key", 1)
    sink.finish()


def test_an_input_keeps_its_key_whatever_the_function_did_to_it(db: sqlite3.Connection) -> None:
    sink = open_output("sqlite:///f.db?table=out&key=id")
    sink.begin(Shape())
    given = row({"id": 1})
    given.value.pop("id")
    sink.write(given, 1)
    sink.finish()
    assert db.execute("SELECT id FROM out").fetchall() == [(1,)]


def test_a_key_must_be_a_column_of_the_input_and_unique_in_the_table(db: sqlite3.Connection) -> None:
    sink = open_output("sqlite:///f.db?table=out&key=idd")
    with pytest.raises(Refused, match="is not a column of the input") as caught:
        sink.begin(Shape(columns=["id", "name"]))
    assert caught.value.remedy == "sqlite:///f.db?table=out&key=id"
    db.execute("CREATE TABLE mine (id, name)")
    db.commit()
    with pytest.raises(Refused, match="CREATE UNIQUE INDEX"):
        open_output("sqlite:///f.db?table=mine&key=id").begin(Shape(failures_here=False))
    with pytest.raises(Refused, match="has no column 'nam'") as caught:
        open_output("sqlite:///f.db?table=mine&key=nam").begin(Shape(failures_here=False))
    assert caught.value.remedy == "sqlite:///f.db?table=mine&key=name"


def test_a_run_that_does_not_begin_makes_no_table(db: sqlite3.Connection) -> None:
    open_output("sqlite:///f.db?table=out").discard()
    assert db.execute("SELECT * FROM sqlite_master").fetchall() == []
    open_output("sqlite:///g.db?table=out").discard()
    assert not Path("g.db").exists()


def test_a_table_that_others_read_is_refused_with_words(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whilst.io.database.PATIENCE", 0.01)
    sink = open_output("sqlite:///f.db?table=out")
    sink.begin(Shape())
    sink.failure(Rejected(1, "bad", b"x"), "bad", 0)
    for number in range(3000):
        sink.write(row(number), "x" * 100)
    sink.finish()
    reader = db.execute("SELECT * FROM out")
    reader.fetchone()
    with pytest.raises(Refused, match="cannot be written to\n  database is locked\n  try: wait until"):
        open_output("sqlite:///f.db?table=out", overwrite=True).begin(Shape())
    reader.close()
    db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Refused, match="database is locked\n  try: wait until"):
        open_output("sqlite:///f.db?table=out", overwrite=True)
    with pytest.raises(Refused, match="database is locked\n  try: wait until"):
        open_input("sqlite:///f.db?table=out")
    db.rollback()


def test_a_table_that_is_locked_ends_the_run_with_words(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whilst.io.database.PATIENCE", 0.01)
    monkeypatch.setattr("whilst.io.sql_errors.PERSIST", 0.2)
    sink = open_output("sqlite:///f.db?table=out")
    sink.begin(Shape())
    db.execute("BEGIN EXCLUSIVE")
    sink.write(row(1), 1)
    with pytest.raises(BrokenOutput, match="database is locked"):
        sink.flush()
    with pytest.raises(BrokenOutput):
        sink.flush()
    assert sink.broken is not None
    db.rollback()


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.binary()


@settings(max_examples=30, deadline=None)  # each makes a file
@given(st.lists(st.tuples(st.integers(0, 5), VALUES | st.dictionaries(st.sampled_from("abE"), VALUES)), max_size=8))
def test_each_key_has_the_last_outcome_whatever_the_values(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, Any]]
) -> None:
    path = tmp_path_factory.mktemp("s") / "f.db"
    sink = open_output(f"sqlite:///{path}?table=out&key=id")
    sink.begin(Shape())
    last: dict[int, Any] = {}
    for number, (key, value) in enumerate(pairs):
        try:
            prepared = sink.prepare(value)
            json.dumps(value, default=repr).encode()
            sink.write(row({"id": key}), prepared)
            last[key] = value
        except ValueError:
            pass
        if number % 3 == 2:
            sink.flush()
    sink.finish()
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT id FROM out ORDER BY id").fetchall() if last else []
    connection.close()
    assert [it for (it,) in found] == sorted(last)


KEYED = st.tuples(st.integers(0, 5) | st.sampled_from(["a", "1", 1.0, True, None]), st.booleans())


@settings(max_examples=30, deadline=None)  # each makes two files
@given(
    st.lists(st.tuples(KEYED, st.fixed_dictionaries({"a": VALUES, "b": VALUES})), min_size=1, max_size=8),
    st.sampled_from(["key=id", "key=id&table=mine", ""]),
    st.booleans(),
    st.booleans(),
)
def test_rows_that_are_written_together_make_the_same_table_as_one_by_one(
    tmp_path_factory: pytest.TempPathFactory,
    outcomes: list[tuple[tuple[Any, bool], dict[str, Any]]],
    named: str,
    values_only: bool,
    items: bool,
) -> None:
    found: list[Any] = []
    for together in (False, True):
        path = tmp_path_factory.mktemp("s") / "f.db"
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE mine (id PRIMARY KEY, a, b)")
        connection.commit()
        sink = open_output(f"sqlite:///{path}?table=out&{named}")
        sink.begin(Shape(values_only=values_only, failures_here="mine" not in named, items=items))
        rows_, prepared = list[Row](), list[Any]()
        for number, ((key, has_key), value) in enumerate(outcomes, 1):
            rows_.append(row({"id": key}, number))
            prepared.append(sink.prepare({**value, "id": key} if has_key or items else value))
        refused = list[str]()
        for at in range(0, len(rows_), 3):
            some = rows_[at : at + 3], prepared[at : at + 3]
            try:
                if not together or sink.write_all is None:
                    raise Unfit
                sink.write_all(*some)
            except Unfit:
                for one, value in zip(*some, strict=True):
                    try:
                        sink.write(one, value)
                    except Unfit as unfit:
                        refused.append(str(unfit))
        sink.finish()
        refused += [str(refusal.error) for refusal in sink.refusals]
        tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY 1").fetchall()
        kept = [repr(connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()) for name, _ in tables]
        connection.close()
        found.append((refused, tables, kept))
    assert found[0] == found[1]


def test_large_values_wait_for_few_others(db: sqlite3.Connection) -> None:
    sink = open_output("sqlite:///f.db?table=out&key=id")
    sink.begin(Shape())
    for number in range(40):
        sink.write(row({"id": number}, number), sink.prepare({"page": ["x" * 1_000_000]}))
    written: int = db.execute("SELECT count(*) FROM out").fetchone()[0]
    assert written >= 36  # what waits is some MB, where a batch may have thousands of rows
    sink.finish()
    assert db.execute("SELECT count(*), min(length(page)) FROM out").fetchone() == (40, 1_000_004)
