"""PostgreSQL for real: a server of our own, read by key and by cursor, written by upsert."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("sqlalchemy")

import postgres  # noqa: E402 - beside this file

from whilst.io.open import open_input, open_output  # noqa: E402
from whilst.io.refusal import Refused  # noqa: E402
from whilst.io.rows import Rejected, Row  # noqa: E402
from whilst.io.sink import Shape, Unfit  # noqa: E402

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with postgres.server() as port:
        yield port


@pytest.fixture
def url(port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)
    return f"postgresql://me@127.0.0.1:{port}/data"


@pytest.fixture
def sql(url: str) -> Iterator[Sql]:
    with psycopg.connect(url, autocommit=True) as connection:

        def run(statement: str) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

        run("DROP SCHEMA public CASCADE")
        run("CREATE SCHEMA public")
        yield run


def row(value: Any, number: int = 1) -> Row:
    return Row(number, value, json.dumps(value).encode())


def values(name: str) -> list[Any]:
    return [it.value if isinstance(it, Row) else it for it in open_input(name).rows()]


def test_a_table_is_read_by_its_key_in_batches(url: str, sql: Sql) -> None:
    sql("CREATE TABLE t AS SELECT n AS id, 'row ' || n AS text FROM generate_series(1, 5000) n ORDER BY random()")
    sql("ALTER TABLE t ADD PRIMARY KEY (id)")
    found = values(f"{url}?table=t")
    assert [it["id"] for it in found] == list(range(1, 5001))
    assert found[7] == {"id": 8, "text": "row 8"}


def test_no_transaction_lasts_longer_than_a_batch(url: str, sql: Sql) -> None:
    sql("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 5000) n")
    sql("ALTER TABLE t ADD PRIMARY KEY (id)")
    rows = open_input(f"{url}?table=t").rows()
    next(rows)
    others = sql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE '%transaction%' AND datname = 'data'")
    assert others == [(0,)]
    assert sum(1 for _ in rows) == 4999


def test_a_key_of_several_columns_is_read_whole(url: str, sql: Sql) -> None:
    sql("CREATE TABLE t (a text, b uuid DEFAULT gen_random_uuid(), c date DEFAULT '2026-01-02', PRIMARY KEY (a, c, b))")
    sql("INSERT INTO t (a) SELECT 'x' || n % 3 FROM generate_series(1, 200) n")
    assert len({str(it["b"]) for it in values(f"{url}?table=t")}) == 200


@pytest.mark.parametrize(
    "what", ["table=v", "table=other.t", "query=SELECT * FROM v WHERE text LIKE 'row %' LIMIT 3000"]
)
def test_a_view_a_schema_and_a_query_are_read_by_a_cursor(url: str, sql: Sql, what: str) -> None:
    sql("DROP SCHEMA IF EXISTS other CASCADE")
    sql("CREATE SCHEMA other")
    sql("CREATE TABLE other.t AS SELECT n AS id, 'row ' || n AS text FROM generate_series(1, 3000) n")
    sql("CREATE VIEW v AS SELECT * FROM other.t")
    assert len(values(f"{url}?{what}")) == 3000


def test_values_are_what_the_driver_gives_and_json_has_a_form_for_each(url: str, sql: Sql) -> None:
    sql(
        "CREATE TABLE t AS SELECT 1.50::numeric AS n, '2026-01-02 03:04:05+00'::timestamptz AS at,"
        " '{\"a\": [1]}'::jsonb AS j, 'ab'::bytea AS b,"
        " '10.0.0.1'::inet AS ip, int4range(1, 5) AS r, ARRAY[1, 2] AS many, NULL::text AS none"
    )
    (only,) = open_input(f"{url}?table=t").rows()
    assert isinstance(only, Row)
    assert only.value["j"] == {"a": [1]}
    assert only.value["at"] == datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert json.loads(only.raw) == {
        "n": "1.50", "at": "2026-01-02T03:04:05Z", "j": {"a": [1]}, "b": "YWI=", "ip": "10.0.0.1", "r": "[1, 5)",
        "many": [1, 2], "none": None,
    }  # fmt: skip


def test_a_query_can_read_only(url: str, sql: Sql) -> None:
    sql("CREATE TABLE t (id int)")
    with pytest.raises(ValueError, match="syntax error"):
        values(f"{url}?query=DELETE FROM t RETURNING id")


def write(name: str, outcomes: list[tuple[Any, Any]], *, overwrite: bool = False, shape: Shape | None = None) -> None:
    """Write `(input, value)`, and `(input, Exception)` as failures."""
    sink = open_output(name, overwrite=overwrite)
    sink.begin(shape or Shape())
    for number, (given, value) in enumerate(outcomes, 1):
        if isinstance(value, Exception):
            sink.failure(row(given, number) if not isinstance(given, Rejected) else given, str(value), 1)
        else:
            sink.write(row(given, number), sink.prepare(value))
    sink.finish()


def test_outcomes_become_rows_and_writing_them_again_changes_nothing(url: str, sql: Sql) -> None:
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    outcomes: list[tuple[Any, Any]] = [
        ({"id": n}, {"score": n / 2, "ok": True, "at": when, "tags": ["a"]}) for n in range(2500)
    ]
    outcomes += [({"id": 9000}, ValueError("no")), (Rejected(7, "broken", "{{"), ValueError(""))]
    for overwrite in (False, True):
        write(f"{url}?table=out&key=id", outcomes, overwrite=overwrite)
        assert sql("SELECT count(*), count(DISTINCT id), sum(score), bool_and(ok) FROM out") == [
            (2502, 2501, 1561875.0, True)
        ]
        assert sql("SELECT id, error, attempts FROM out WHERE error IS NOT NULL ORDER BY id") == [
            (9000, "no", 1),
            (None, "line 7: broken", None),
        ]
    types = dict(sql("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'out'"))
    assert types == {
        "id": "bigint", "input": "text", "score": "double precision", "ok": "boolean",
        "at": "timestamp with time zone", "tags": "text", "error": "text", "attempts": "bigint",
    }  # fmt: skip
    assert sql("SELECT tags, at FROM out WHERE id = 3") == [('["a"]', when)]


def test_the_same_key_twice_is_one_row_the_last_one(url: str, sql: Sql) -> None:
    write(f"{url}?table=out&key=id", [({"id": 1}, "a"), ({"id": 2}, "b"), ({"id": 1}, "c")])
    assert sorted(sql("SELECT id, value FROM out")) == [(1, "c"), (2, "b")]


def test_without_a_key_the_input_is_its_own(url: str, sql: Sql) -> None:
    write(f"{url}?table=out", [("a", 1), ({"x": 1, "y": 2}, 2), ({"y": 2, "x": 1}, 3)])
    assert sorted(sql("SELECT input, value FROM out")) == [('"a"', 1), ('{"y": 2, "x": 1}', 3)]


def test_a_column_that_values_outgrow_is_widened(url: str, sql: Sql) -> None:
    sink = open_output(f"{url}?table=out&key=id")
    sink.begin(Shape())
    given: list[Any] = [1, 2.5, None, "x", [1], {"a": 1}]
    for number, value in enumerate(given):
        sink.write(row({"id": number}), sink.prepare(value))
        sink.flush()  # each is a batch
    sink.write(row({"id": "seven"}), 7)
    sink.finish()
    found = sql("SELECT id, value, a FROM out ORDER BY id")
    assert found == [
        ("0", "1", None), ("1", "2.5", None), ("2", None, None), ("3", "x", None), ("4", "[1]", None), ("5", None, 1),
        ("seven", "7", None),
    ]  # fmt: skip


def test_somebody_elses_table_is_filled_and_never_altered(url: str, sql: Sql) -> None:
    sql("CREATE TABLE people (id int PRIMARY KEY, name text, age int, extra jsonb)")
    apart = Shape(failures_here=False)
    name = f"{url}?table=people&key=id"
    write(name, [({"id": 1}, {"name": "A", "age": 3, "extra": {"x": 1}})], shape=apart)
    assert sql("SELECT * FROM people") == [(1, "A", 3, {"x": 1})]
    with pytest.raises(Unfit, match="'agee' is not a column of people; 'age' is"):
        write(name, [({"id": 1}, {"agee": 3})], overwrite=True, shape=apart)
    with pytest.raises(Refused, match="no place for failures"):
        write(name, [], overwrite=True)
    write(name, [({"id": 3}, {"age": 4})], overwrite=True, shape=apart)
    assert sql("SELECT id, age FROM people ORDER BY id") == [(1, 3), (3, 4)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{url}?table=peple", ["has no such table", "it has people", "?table=people"]),
        ("{url}", ["does not say which rows", "?table=NAME"]),
        (
            "postgresql://me:wrong%2Fcanary@127.0.0.1:{port}/data?table=people",
            ["password authentication failed", "PGPASSWORD"],
        ),
        ("postgresql://me@127.0.0.1:1/data?table=people", ["refused", "check host and port"]),
        ("postgresql://me@127.0.0.1:{port}/nope?table=people", ['database "nope" does not exist', "psql -l"]),
        ("postgresql://me:a@b/c@127.0.0.1/data?table=people", ["is not a URL of a database", "%40"]),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_says_why_and_what_would_work(
    url: str, port: int, sql: Sql, name: str, words: list[str]
) -> None:
    sql("CREATE TABLE people (id int)")
    with pytest.raises(Refused) as caught:
        open_input(name.format(url=url, port=port))
    for word in words:
        assert word in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_query_that_is_wrong_names_the_fault(url: str, sql: Sql) -> None:
    with pytest.raises(ValueError, match='column "nope" does not exist'):
        values(f"{url}?query=SELECT nope FROM pg_class")
    sql("CREATE TABLE t (id int)")
    sql("INSERT INTO t VALUES (1)")
    with pytest.raises(Refused, match="has rows already"):
        open_output(f"{url}?table=t&key=id")
    sink = open_output(f"{url}?table=t&key=id", overwrite=True)
    with pytest.raises(Refused, match="CREATE UNIQUE INDEX ON t"):
        sink.begin(Shape())


def test_from_a_table_through_a_function_into_another(url: str, port: int, sql: Sql, tmp_path: Path) -> None:
    sql("CREATE TABLE t AS SELECT n AS id, 'a' || n AS name FROM generate_series(1, 300) n")
    sql("ALTER TABLE t ADD PRIMARY KEY (id)")
    (tmp_path / "jobs.py").write_text(
        "def up(id, name):\n    if id == 7: raise ValueError('seven')\n"
        "    return {'big': name.upper(), 'half': id / 2}\n"
    )
    from urllib.parse import quote

    secret = f"postgresql://me:{quote(postgres.PASSWORD, safe='')}@127.0.0.1:{port}/data"
    command = [sys.executable, "-W", "error", "-m", "whilst.cli.main", "map", "jobs:up", f"{secret}?table=t"]
    environment = {key: value for key, value in os.environ.items() if key != "PGPASSWORD"}
    done = subprocess.run(
        [*command, "-o", f"{secret}?table=out&key=id"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "299 ok, 1 failed (1 ValueError)" in done.stderr
    assert "canary" not in done.stderr
    assert sql("SELECT count(*), count(big), sum(half) FROM out") == [(300, 299, 22571.5)]
    assert sql("SELECT error FROM out WHERE id = 7") == [("ValueError: seven",)]


def test_the_example_of_a_driver_runs_on_this_server(url: str) -> None:
    example = Path(__file__).parents[2] / "examples" / "10_database_and_files.py"
    environment = {**os.environ, "DATABASE": url}
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, env=environment, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "driver: psycopg" in done.stdout
    assert "same: True" in done.stdout


@pytest.mark.parametrize("by_key", [True, False])
def test_a_value_that_python_has_not_costs_its_row_alone(url: str, sql: Sql, by_key: bool) -> None:
    sql(f"CREATE TABLE t (id int {'PRIMARY KEY' if by_key else ''}, at timestamptz, many date[], long interval)")
    sql("INSERT INTO t VALUES (1, 'now', NULL, NULL), (2, 'infinity', NULL, NULL), (3, NULL, '{-infinity}', NULL)")
    sql("INSERT INTO t VALUES (4, NULL, NULL, '100000000 years'), (5, NULL, '{2026-01-02}', '1 day')")
    first, *bad, last = values(f"{url}?table=t")
    assert first["id"] == 1
    assert last == {"id": 5, "at": None, "many": [datetime.date(2026, 1, 2)], "long": datetime.timedelta(1)}
    assert [it.line for it in bad] == [2, 3, 4]
    assert all(it.reason.startswith("a value has no meaning in Python: ") for it in bad)


def test_json_nested_too_deep_costs_its_row_alone(url: str, sql: Sql) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, tree json)")
    for number, deep in ((1, 1), (2, 3000), (3, 2)):
        sql(f"INSERT INTO t VALUES ({number}, (repeat('[', {deep}) || repeat(']', {deep}))::json)")
    name = f"{url}?table=t"
    before, found = sys.getrecursionlimit(), open_input(name)
    sys.setrecursionlimit(1000)
    try:
        first, second, third = found.rows()
    finally:
        sys.setrecursionlimit(before)
    assert isinstance(first, Row)
    assert isinstance(second, (Row, Rejected))  # how deep is too deep is the interpreter's to say
    assert isinstance(third, Row)
