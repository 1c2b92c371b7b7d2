"""What PostgreSQL refuses is a failure of its own input; what passes is tried again: a real server and its outages."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("sqlalchemy")

import postgres  # noqa: E402 - beside this file
from commandkit import run  # noqa: E402

from whilst.io.open import open_output  # noqa: E402
from whilst.io.refusal import BrokenOutput, Refused  # noqa: E402
from whilst.io.rows import Row  # noqa: E402
from whilst.io.sink import Misfit, Shape, Sink  # noqa: E402

Sql = Callable[..., list[tuple[Any, ...]]]
APART = Shape(failures_here=False)


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.running() as server:
        yield server


@pytest.fixture
def url(server: postgres.Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)
    return f"postgresql://me@127.0.0.1:{server.port}/data"


@pytest.fixture
def sql(url: str) -> Sql:
    def execute(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    execute("DROP SCHEMA public CASCADE")
    execute("CREATE SCHEMA public")
    return execute


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text("def out(row):\n    return row['out']\n")
    return tmp_path


def opened(name: str, shape: Shape = APART) -> Sink:
    sink = open_output(name, overwrite=True)
    sink.begin(shape)
    return sink


def put(sink: Sink, *pairs: tuple[int, Any]) -> None:
    for key, value in pairs:
        given = {"id": key}
        sink.write(Row(key, given, json.dumps(given).encode()), sink.prepare(value))


def refused(sink: Sink) -> dict[int, str]:
    found = {it.row.value["id"]: str(it.error) for it in sink.refusals}
    sink.refusals.clear()
    return found


@pytest.mark.parametrize(
    ("schema", "good", "bad", "reason"),
    [
        ("a text NOT NULL", "x", None, 'null value in column "a"'),
        ("a int CHECK (a > 0)", 1, -1, "violates check constraint"),
        ("a text UNIQUE", None, "same", "duplicate key value violates unique constraint"),
        ("a int REFERENCES other (id)", 7, 8, "violates foreign key constraint"),
        ("a int REFERENCES other (id) DEFERRABLE INITIALLY DEFERRED", 7, 8, "violates foreign key constraint"),
        ("a int", 1, 2**40, "out of range"),
        ("a bigint", 1, 2**80, "out of range"),
        ("a int", 1, "x", "invalid input syntax for type integer"),
        ("a varchar(3)", "abc", "abcd", "value too long"),
        ("a numeric(4,2)", "1.5", "12345", "numeric field overflow"),
        ("a date", "2026-01-02", "2026-02-30", "out of range"),
        ("a xml", "<a/>", "<a", "invalid XML"),
        ("a int", 2.0, 2.5, "invalid input syntax for type integer"),
        ("a text", "x", "nul \0 inside", "NUL"),
        ("a jsonb", {"b": 1}, {"b": "\0"}, "unsupported Unicode escape sequence"),
        ("a uuid", "6ccd780c-baba-1026-9564-5b8c656024db", "6ccd", "invalid input syntax for type uuid"),
        ("a text, UNIQUE (a), EXCLUDE USING btree (a WITH =)", None, "same", "conflicting key|duplicate key"),
        ("a int CHECK (raising(a))", 1, -7, "no negatives"),
    ],
)
def test_a_row_that_is_refused_fails_alone(url: str, sql: Sql, schema: str, good: Any, bad: Any, reason: str) -> None:
    sql("CREATE TABLE other (id int PRIMARY KEY)")
    sql("INSERT INTO other VALUES (7)")
    sql(
        "CREATE FUNCTION raising(a int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS"
        " $$ BEGIN IF a < 0 THEN RAISE EXCEPTION 'no negatives'; END IF; RETURN true; END $$"
    )
    sql(f"CREATE TABLE t (id int PRIMARY KEY, {schema})")
    if "UNIQUE" in schema:
        sql("INSERT INTO t VALUES (1000, 'same')")
    sink = opened(f"{url}?table=t&key=id")
    put(sink, *[(number, {"a": bad if number in (0, 3, 11) else good}) for number in range(12)])
    sink.finish()
    failed = refused(sink)
    assert sorted(failed) == [0, 3, 11]
    for text in failed.values():
        assert text.startswith("the database refused the value: ")
        assert re.search(reason, text), text
        assert "Failing row" not in text
    assert sql("SELECT count(*) FROM t WHERE id < 1000") == [(9,)]


def test_a_text_with_nul_is_a_failure_in_our_own_table(here: Path, url: str, sql: Sql) -> None:
    rows = [{"id": 1, "out": "a"}, {"id": 2, "out": "nul \0 inside"}, {"id": "k\0", "out": "\0"}, {"id": 4, "out": "d"}]
    Path("in.jsonl").write_text("".join(json.dumps(it) + "\n" for it in rows))
    code, _, err = run("map", "jobs.py:out", "in.jsonl", "-o", f"{url}?table=t&key=id", "-q")
    assert code == 1, err
    assert b"done: 2 ok, 2 failed (2 refused by the output)" in err
    found = sql("SELECT id, value, error FROM t ORDER BY id")
    assert [it[:2] for it in found] == [("1", "a"), ("2", None), ("4", "d"), ("k\\u0000", None)]
    assert "nul \\u0000 inside" in found[1][2]


def test_half_of_a_character_costs_its_row_alone_and_refusals_are_said_once(here: Path, url: str, sql: Sql) -> None:
    Path("halves.py").write_text(
        "def f(row):\n    return {'a': {1: 'x\\ud83d', 2: ['\\ud83d'], 3: 2**70}.get(row['id'], 'x'), 'n': row['id']}\n"
    )
    sql("CREATE TABLE theirs (id INT PRIMARY KEY, a TEXT CHECK (length(a) < 9), n INT)")
    Path("in.jsonl").write_text("".join(json.dumps({"id": number}) + "\n" for number in range(6)))
    for table in ("t", "theirs"):
        given = ["-o", f"{url}?table={table}&key=id", "--failed", "failed.jsonl", "--overwrite", "--values"]
        code, _, err = run("map", "halves.py:f", "in.jsonl", *given)
        refused = 2 if table == "t" else 3
        assert (code, f"done: {6 - refused} ok, {refused} failed" in err.decode()) == (1, True), err
        assert b"Pipeline" not in err  # which the driver logs of each refused row
        assert len(Path("failed.jsonl").read_text().splitlines()) == refused
        assert sql(f"SELECT count(*) FROM {table}") == [(6 - refused,)]


# -- what passes ----------------------------------------------------------------------------------------------


def test_a_restarted_server_costs_nothing(url: str, sql: Sql, server: postgres.Server) -> None:
    sink = opened(f"{url}?table=t&key=id", Shape())
    put(sink, *[(number, number) for number in range(1500)])
    server.stop()
    later = threading.Timer(1.0, server.start)
    later.start()
    put(sink, *[(number, number) for number in range(1500, 3000)])
    sink.finish()
    later.join()
    assert sink.broken is None
    assert sql("SELECT count(*), sum(value) FROM t") == [(3000, sum(range(3000)))]


def test_a_killed_connection_costs_nothing(url: str, sql: Sql) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, a int)")
    sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.002); RETURN new; END $$"
    )
    sql("CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow()")
    sink = opened(f"{url}?table=t&key=id")
    killed: list[int] = []

    def kill() -> None:
        for _ in range(200):
            if found := sql(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE 'INSERT INTO t%' AND state = 'active'"
                " AND pg_terminate_backend(pid)"
            ):
                killed.append(found[0][0])
                return
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    put(sink, *[(number, {"a": number}) for number in range(900)])
    sink.finish()
    killer.join()
    assert killed
    assert sink.broken is None
    assert sql("SELECT count(*) FROM t") == [(900,)]


def test_a_deadlock_and_a_lock_timeout_are_tried_again(url: str, sql: Sql) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, a int)")
    sql("INSERT INTO t SELECT n, 0 FROM generate_series(0, 99) n")
    sink = opened(f"{url}?table=t&key=id&options=-c%20lock_timeout%3D200ms")
    put(sink, (0, {"a": 1}))
    with psycopg.connect(url) as other:
        other.execute("UPDATE t SET a = -1 WHERE id = 50")
        release = threading.Timer(1.0, other.commit)
        release.start()
        put(sink, *[(number, {"a": 1}) for number in range(1, 100)])
        sink.finish()
        release.join()
    assert sql("SELECT sum(a) FROM t") == [(100,)]


def test_a_server_that_stays_away_ends_the_run_with_words(
    url: str, sql: Sql, server: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whilst.io.sql_errors.PERSIST", 0.5)
    sink = opened(f"{url}?table=t&key=id", Shape())
    put(sink, (1, 1))
    server.stop("immediate")
    try:
        with pytest.raises(BrokenOutput, match=r"refused|server closed the connection"):
            sink.flush()
    finally:
        server.start()
    assert sink.broken is not None


def test_a_table_is_read_on_after_a_restart(url: str, sql: Sql, server: postgres.Server) -> None:
    from whilst.io.open import open_input

    sql("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 5000) n")
    sql("ALTER TABLE t ADD PRIMARY KEY (id)")
    rows = open_input(f"{url}?table=t").rows()
    got = [next(rows).line for _ in range(100)]
    server.stop()
    later = threading.Timer(0.5, server.start)
    later.start()
    got += [it.line for it in rows]
    later.join()
    assert got == list(range(1, 5001))


# -- what is final --------------------------------------------------------------------------------------------


def test_a_table_that_is_dropped_meanwhile_ends_the_run(url: str, sql: Sql) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, a int)")
    sink = opened(f"{url}?table=t&key=id")
    put(sink, (1, {"a": 1}))
    sql("DROP TABLE t")
    put(sink, (2, {"a": 1}))
    with pytest.raises(BrokenOutput, match='relation "t" does not exist'):
        sink.flush()


@pytest.mark.parametrize(
    ("grant", "lacking"),
    [
        ("SELECT", "its user has no right to INSERT there"),
        ("SELECT, INSERT", "its user has no right to UPDATE there"),
        ("", "its user has no right to INSERT there"),
    ],
)
def test_a_role_that_may_not_write_is_refused_before_the_first_call(
    url: str, sql: Sql, server: postgres.Server, grant: str, lacking: str
) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, a int)")
    sql("DROP ROLE IF EXISTS reader")
    sql("CREATE ROLE reader LOGIN PASSWORD 'x'")
    sql("GRANT USAGE ON SCHEMA public TO reader")
    if grant:
        sql(f"GRANT {grant} ON t TO reader")
    try:
        with pytest.raises(Refused, match=lacking):
            opened(f"postgresql://reader:x@127.0.0.1:{server.port}/data?table=t&key=id")
        with pytest.raises(Refused, match="no right to CREATE one in public"):
            opened(f"postgresql://reader:x@127.0.0.1:{server.port}/data?table=new&key=id")
        with pytest.raises(Refused, match="there is no schema 'nope'"):
            opened(f"{url}?table=nope.new&key=id")
        with pytest.raises(Refused, match="its transactions are read-only"):
            opened(f"{url}?table=t&key=id&options=-c%20default_transaction_read_only%3Don")
    finally:
        sql("DROP OWNED BY reader")
        sql("DROP ROLE reader")


def test_a_table_in_another_case_is_not_made_beside_it(url: str, sql: Sql) -> None:
    sql("CREATE TABLE users (id int PRIMARY KEY)")
    with pytest.raises(Refused, match="one that is called 'users'") as caught:
        opened(f"{url}?table=Users&key=id")
    assert caught.value.remedy.endswith("?table=users&key=id")


@pytest.mark.parametrize("name", ["", "x" * 100, "ż" * 50, "nu\0l", 'q"uote', "%s", "%(a)s", ":p", "select", "a b"])
def test_any_field_is_a_column_also_of_the_next_run(url: str, sql: Sql, name: str) -> None:
    for key in (1, 2):
        sink = opened(f"{url}?table=t&key=id", Shape())
        put(sink, (key, {name: key, f"{name}2": 3}))
        sink.finish()
    assert len(sql("SELECT * FROM t")[0]) == 6
    assert [it[2] for it in sql("SELECT * FROM t ORDER BY id")] == [1, 2]


@pytest.mark.parametrize(("table", "key"), [("t" * 70, "id"), ("é" * 40, "id"), ("t", "k" * 70), ("t", "é" * 40)])
def test_a_name_longer_than_postgres_keeps_is_the_same_name_in_the_next_run(
    url: str, sql: Sql, table: str, key: str
) -> None:
    for value in (1, 2):
        sink = opened(f"{url}?table={table}&key={key}")
        given = {key: 7}
        sink.write(Row(1, given, json.dumps(given).encode()), sink.prepare({"a": value}))
        sink.finish()
        kept = table.encode()[:63].decode(errors="ignore")
        assert sql(f'SELECT a FROM "{kept}"') == [(value,)]


def test_more_columns_than_a_table_has_are_refused_at_the_first_row(url: str, sql: Sql) -> None:
    sink = opened(f"{url}?table=t&key=id")
    with pytest.raises(Misfit, match="a table of PostgreSQL has 1,600 columns at most, 1,597 do not fit beside 4 oth"):
        put(sink, (1, {f"f{it}": it for it in range(1597)}))


def test_a_table_of_a_thousand_columns_is_not_made_again_for_each_row_that_is_too_large(url: str, sql: Sql) -> None:
    made: list[str] = []
    sink: Any = opened(f"{url}?table=t&key=id")
    make_room = sink._table.make_room
    sink._table.make_room = lambda *given, **options: made.append("") or make_room(*given, **options)
    put(sink, *((it, {f"f{n}": n for n in range(1200)}) for it in range(200)))
    sink.flush()
    found = refused(sink)
    assert len(found) == 200
    assert all("row is too big" in it and "write to a file such as out.jsonl" in it for it in found.values())
    assert len(made) < 30


def test_a_row_with_its_own_key_fills_a_table_with_defaults(url: str, sql: Sql) -> None:
    sql(
        "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, made timestamptz NOT NULL DEFAULT now(),"
        " n bigint GENERATED ALWAYS AS IDENTITY, long int GENERATED ALWAYS AS (length(name)) STORED)"
    )
    sink = opened(f"{url}?table=t&key=id")
    put(sink, (1, {"id": 1, "name": "abc"}), (2, {"id": 2, "name": "d"}))
    sink.finish()
    assert sql("SELECT id, name, n, long FROM t ORDER BY id") == [(1, "abc", 1, 3), (2, "d", 2, 1)]


def test_what_is_no_number_is_null(url: str, sql: Sql) -> None:
    sink = opened(f"{url}?table=t&key=id", Shape())
    put(sink, (1, float("nan")), (2, 3), (3, float("inf")), (4, 4))
    sink.finish()
    assert sql("SELECT value FROM t ORDER BY id") == [(None,), (3,), (None,), (4,)]
    assert sql("SELECT data_type FROM information_schema.columns WHERE column_name = 'value'") == [("bigint",)]


def test_a_column_has_the_type_of_its_first_values_however_late_they_come(url: str, sql: Sql) -> None:
    sink = opened(f"{url}?table=t&key=id", Shape())
    put(sink, *[(number, {"a": None, "b": None}) for number in range(1500)], (1500, {"a": 7, "b": None}))
    sink.finish()
    assert sql("SELECT a, b FROM t WHERE id = 1500") == [(7, None)]


def test_values_of_any_kind_go_into_columns_of_text_and_json(url: str, sql: Sql) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, a varchar(20), b jsonb, c json, d char(4), e timestamptz)")
    sink = opened(f"{url}?table=t&key=id")
    when = "2026-01-02T03:04:05Z"
    put(
        sink,
        (1, {"a": 7, "b": "text", "c": 7, "d": True, "e": when}),
        (2, {"a": [1], "b": None, "c": [None], "d": 1.5}),
    )
    sink.finish()
    assert not refused(sink)
    assert sql("SELECT a, b, c, d, e FROM t ORDER BY id")[0][:4] == ("7", "text", 7, "true")
    assert sql("SELECT a, b, c, d FROM t ORDER BY id")[1] == ("[1]", None, [None], "1.5 ")


@pytest.mark.parametrize("flushed", [False, True])
def test_what_a_row_does_not_give_keeps_its_value_whatever_the_batch(url: str, sql: Sql, flushed: bool) -> None:
    sql('CREATE TABLE t ("userId" int PRIMARY KEY, a int, b int DEFAULT 7 NOT NULL)')
    sql("INSERT INTO t VALUES (1, 10, 100), (2, 20, 200)")
    sink = opened(f"{url}?table=t&key=userId")
    for key, value in ((1, {"a": 11}), (2, {"b": 201}), (3, {"a": 30}), (4, {"a": 40, "b": 400})):
        given = {"userId": key}
        sink.write(Row(key, given, json.dumps(given).encode()), sink.prepare(value))
        if flushed:
            sink.flush()
    sink.finish()
    assert sql('SELECT * FROM t ORDER BY "userId"') == [(1, 11, 100), (2, 20, 201), (3, 30, 7), (4, 40, 400)]


def test_rows_that_are_there_can_be_filled_without_all_their_columns(url: str, sql: Sql) -> None:
    """An upsert would fail at the column that it does not give, though the row is there."""
    sql("CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, score int)")
    sql("INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', NULL)")
    sink = opened(f"{url}?table=t&key=id")
    put(sink, (1, {"score": 5}), (9, {"score": 6}), (2, {"score": 7}))
    sink.finish()
    (text,) = refused(sink).values()
    assert "there is no row with this key, and a new one needs name" in text
    assert sql("SELECT * FROM t ORDER BY id") == [(1, "a", 5), (2, "b", 7)]
