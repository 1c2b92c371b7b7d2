"""What SQLite refuses is a failure of its own input: through the command, in our table and in somebody else's."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from commandkit import run

from whilst.cli.spread import Spread
from whilst.io.open import open_output
from whilst.io.rows import Row
from whilst.io.sink import Shape, Unfit

JOBS = """\
import time
def out(row):
    return row["out"]
def counted(row):
    with open("called", "a") as file:
        file.write("x")
    time.sleep(0.005)
    return row["out"]
def pages(row):
    return row["out"]
"""
Table = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(JOBS)
    return tmp_path


@pytest.fixture
def sql(here: Path) -> Iterator[Table]:
    connection = sqlite3.connect(here / "f.db", isolation_level=None)

    def execute(statement: str) -> list[tuple[Any, ...]]:
        return connection.execute(statement).fetchall()

    yield execute
    connection.close()


def call(*arguments: str, rows: list[Any], job: str = "out") -> tuple[int, list[Any], str]:
    """Map over `{"id": …, "out": …}`; return the code, the failures and what was said."""
    Path("in.jsonl").write_text("".join(json.dumps(it) + "\n" for it in rows))
    Path("failed.jsonl").unlink(missing_ok=True)
    code, _, err = run("map", f"jobs.py:{job}", "in.jsonl", "--failed", "failed.jsonl", "-q", *arguments)
    failed = Path("failed.jsonl")
    return code, [json.loads(it) for it in failed.read_text().split("\n")[:-1]] if failed.exists() else [], err.decode()


def of(outs: list[Any]) -> list[Any]:
    return [{"id": number, "out": out} for number, out in enumerate(outs)]


@pytest.mark.parametrize(
    ("schema", "good", "bad", "reason"),
    [
        ("id INTEGER PRIMARY KEY, a TEXT NOT NULL", {"a": "x"}, {"a": None}, "NOT NULL constraint failed"),
        ("id INTEGER PRIMARY KEY, a INT CHECK (a > 0)", {"a": 1}, {"a": -1}, "CHECK constraint failed"),
        ("id INTEGER PRIMARY KEY, a INT, CHECK (a > 0) ON CONFLICT ROLLBACK", {"a": 1}, {"a": -1}, "CHECK"),
        ("id INTEGER PRIMARY KEY, a INT, b TEXT UNIQUE", {"b": None}, {"b": "same"}, "UNIQUE constraint failed"),
        ("id INTEGER PRIMARY KEY, a INT", {"a": 1}, {"a": 2**63}, "too large"),
        ("id INTEGER PRIMARY KEY, a INT) STRICT; --", {"a": 1}, {"a": "x"}, "cannot store TEXT value in INT column"),
        ("id INTEGER PRIMARY KEY, a INT REFERENCES other (id)", {"a": 1}, {"a": {"b": 7}}, ""),
    ],
)
def test_a_row_that_is_refused_fails_alone_in_somebody_elses_table(
    here: Path, sql: Table, schema: str, good: Any, bad: Any, reason: str
) -> None:
    sql(f"CREATE TABLE t ({schema})" if "STRICT" not in schema else f"CREATE TABLE t ({schema}")
    sql("INSERT INTO t (id, b) VALUES (1000, 'same')" if "UNIQUE" in schema else "SELECT 1")
    outs = [good] * 40
    outs[3] = outs[17] = outs[39] = bad
    code, failed, said = call("-o", "sqlite:///f.db?table=t&key=id", "--overwrite", rows=of(outs))
    kept = [it for (it,) in sql("SELECT id FROM t WHERE id < 1000 ORDER BY id")]
    if not reason:  # SQLite does not look at foreign keys unless it is told to
        assert (code, failed, len(kept)) == (0, [], 40)
        return
    assert kept == [it for it in range(40) if it not in (3, 17, 39)]
    assert [it["input"]["id"] for it in failed] == [3, 17, 39]
    for it in failed:
        assert it["error"].startswith("Unfit: the database refused the value: ")
        assert reason in it["error"]
        assert it["error"].endswith(json.dumps(bad, separators=(",", ":")))
    assert code == 1
    assert "done: 37 ok, 3 failed (3 refused by the output)" in said


def test_a_trigger_that_raises_fails_its_row_alone(here: Path, sql: Table) -> None:
    sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT)")
    for number, action in enumerate(("ABORT", "FAIL", "ROLLBACK")):
        body = f"SELECT RAISE({action}, 'no {action}')"
        sql(f"CREATE TRIGGER t{number} BEFORE INSERT ON t WHEN new.a = {number} BEGIN {body}; END")
    code, failed, _ = call("-o", "sqlite:///f.db?table=t&key=id", rows=of([{"a": it % 5} for it in range(20)]))
    assert code == 1
    assert {it["input"]["out"]["a"] for it in failed} == {0, 1, 2}
    assert len(failed) == 12
    assert sql("SELECT count(*), min(a) FROM t") == [(8, 3)]


def test_in_our_own_table_the_failure_is_kept_there_and_counted(here: Path, sql: Table) -> None:
    Path("in.jsonl").write_text("".join(json.dumps(it) + "\n" for it in of([1, 2, 3])))
    command = ("map", "jobs.py:out", "in.jsonl", "-o", "sqlite:///f.db?table=t&key=id", "-q", "--overwrite")
    assert run(*command)[0] == 0
    sql("UPDATE t SET value = 0")
    sql("CREATE TRIGGER no BEFORE UPDATE ON t WHEN new.value = 2 BEGIN SELECT RAISE(ABORT, 'no 2'); END")
    code, _, err = run(*command)
    assert code == 1
    assert b"done: 2 ok, 1 failed (1 refused by the output)" in err
    good, bad, after = sql("SELECT id, value, error FROM t ORDER BY id")
    assert (good, after) == ((0, 1, None), (2, 3, None))
    assert bad == (1, None, 'Unfit: the database refused the value: no 2; {"value":2}')


def test_the_same_key_twice_keeps_the_one_that_was_taken(here: Path, sql: Table) -> None:
    sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT CHECK (a > 0))")
    rows = [{"id": 1, "out": {"a": 5}}, {"id": 1, "out": {"a": -5}}, {"id": 2, "out": {"a": 6}}]
    code, failed, _ = call("-o", "sqlite:///f.db?table=t&key=id", rows=rows)
    assert (code, len(failed)) == (1, 1)
    assert sql("SELECT * FROM t ORDER BY id") == [(1, 5), (2, 6)]


# -- what is wrong for all ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "out", "said"),
    [
        ("id INTEGER PRIMARY KEY, name TEXT", {"nam": "x"}, "'nam' is not a column of t; 'name' is"),
        ("id INTEGER PRIMARY KEY, name TEXT", "x", "'value' is not a column of t, which has id, name"),
        ("id INTEGER PRIMARY KEY, a INT, made TEXT NOT NULL", {"a": 1}, "t wants a value for made, which the function"),
    ],
)
def test_a_misfit_for_all_ends_the_run_at_the_first_row(
    here: Path, sql: Table, schema: str, out: Any, said: str
) -> None:
    sql(f"CREATE TABLE t ({schema})")
    command = ("-o", "sqlite:///f.db?table=t&key=id", "-j", "2")
    code, failed, err = call(*command, rows=of([out] * 2000), job="counted")
    assert code == 3
    assert "stopped: none of the values of this function fits into sqlite:///f.db?table=t&key=id" in err
    assert said in err
    called = len(Path("called").read_text())
    assert called <= 50
    assert len(failed) == called, "what was in flight is kept"
    assert all(said in it["error"] for it in failed)
    assert sql("SELECT * FROM t") == []


def test_stop_after_counts_what_outputs_refuse(here: Path, sql: Table) -> None:
    sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT CHECK (a > 0))")
    outs = [{"a": 1 if it % 2 else -1} for it in range(3000)]
    command = ("-o", "sqlite:///f.db?table=t&key=id", "-j", "2", "--stop-after", "10")
    code, failed, err = call(*command, rows=of(outs), job="counted")
    assert code == 3
    assert "(--stop-after 10)" in err
    called = len(Path("called").read_text())
    assert 10 <= len(failed) < called < 1000
    assert len(failed) + sql("SELECT count(*) FROM t")[0][0] == called


def test_values_that_are_all_refused_end_the_run(here: Path, sql: Table) -> None:
    sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT CHECK (a > 0))")
    command = ("-o", "sqlite:///f.db?table=t&key=id", "-j", "2")
    code, failed, err = call(*command, rows=of([{"a": -1}] * 2000), job="counted")
    assert code == 3
    assert re.search(r"stopped: the first \d\d values were all refused by sqlite:///f.db\?table=t&key=id", err)
    assert len(failed) == len(Path("called").read_text()) < 500


@pytest.mark.parametrize("kind", ["mode", "locked"])
def test_a_database_that_cannot_be_written_is_known_before_the_first_call(here: Path, sql: Table, kind: str) -> None:
    sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT)")
    if kind == "mode" and os.geteuid() == 0:
        pytest.skip("root may write to all files")
    if kind == "mode":
        (here / "f.db").chmod(0o444)
    else:
        sql("BEGIN IMMEDIATE")
    code, failed, err = call("-o", "sqlite:///f.db?table=t&key=id", rows=of([{"a": 1}]), job="counted")
    assert (code, failed) == (2, [])
    assert "cannot be written to" in err
    assert ("readonly" if kind == "mode" else "database is locked") in err
    assert not Path("called").exists()


@pytest.mark.parametrize(
    ("source", "fact", "remedy"),
    [
        ("table=t", "table=t is the table of INPUT", "sqlite:///./f.db?table=t_out"),
        ("table=main.T", "table=t is the table of INPUT", "sqlite:///./f.db?table=t_out"),
        ("table=v", "table=t is in the file of INPUT", "sqlite:///./f-out.db?table=t"),
        ("query=SELECT a FROM t", "table=t is in the file of INPUT", "sqlite:///./f-out.db?table=t"),
    ],
)
def test_what_would_be_read_again_or_not_be_written_is_refused(
    here: Path, sql: Table, source: str, fact: str, remedy: str
) -> None:
    sql("CREATE TABLE t (a)")
    sql("CREATE VIEW v AS SELECT a FROM t")
    sql("INSERT INTO t VALUES (1), (2)")
    out = "sqlite:///./f.db?table=t"
    code, _, err = run("map", "jobs:counted", f"sqlite:///f.db?{source}", "-o", out, "--overwrite")
    assert (code, err.decode().splitlines()[0]) == (2, f"error: -o sqlite:///./f.db?{fact}")
    assert err.decode().splitlines()[-1] == f"  try: -o '{remedy}'"
    assert not Path("called").exists()
    assert sql("SELECT * FROM t") == [(1,), (2,)]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_table_is_written_beside_the_one_that_is_read(here: Path, sql: Table, mode: str) -> None:
    sql(f"PRAGMA journal_mode = {mode}")
    sql("CREATE TABLE t (out)")
    sql("WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) INSERT INTO t SELECT i FROM n")
    source = "table=t" if mode == "delete" else "query=SELECT * FROM t"
    code, _, err = run("map", "jobs:out", f"sqlite:///f.db?{source}", "-o", "sqlite:///f.db?table=o", "-q")
    assert code == 0, err
    assert sql("SELECT count(*), sum(value) FROM o") == [(12000, 12000 * 12001 // 2)]


# -- names ----------------------------------------------------------------------------------------------------


def test_a_function_that_returns_the_row_with_its_key_is_the_ordinary_job(here: Path, sql: Table) -> None:
    outs: list[Any] = [{"id": number, "name": f"n{number}"} for number in range(3)]
    assert call("-o", "sqlite:///f.db?table=new&key=id", rows=of(outs))[0] == 0
    assert sql("SELECT id, name FROM new ORDER BY id") == [(0, "n0"), (1, "n1"), (2, "n2")]
    assert "id_" not in str(sql("SELECT sql FROM sqlite_master"))
    sql("CREATE TABLE theirs (id INTEGER PRIMARY KEY, name TEXT)")
    assert call("-o", "sqlite:///f.db?table=theirs&key=id", rows=of(outs))[0] == 0
    assert sql("SELECT * FROM theirs ORDER BY id") == [(0, "n0"), (1, "n1"), (2, "n2")]


def test_a_key_that_was_text_in_csv_is_the_same_as_a_number(here: Path, sql: Table) -> None:
    Path("jobs.py").write_text("def out(row):\n    return {'id': int(row['id']), 'a': 1}\n")
    Path("in.csv").write_text("id\n7\n8\n")
    assert run("map", "jobs.py:out", "in.csv", "-o", "sqlite:///f.db?table=t&key=id", "-q")[0] == 0
    assert "id_" not in str(sql("SELECT sql FROM sqlite_master"))


def test_a_key_that_the_function_changed_has_a_column_beside(here: Path, sql: Table) -> None:
    assert call("-o", "sqlite:///f.db?table=t&key=id", rows=of([{"id": 0, "a": 1}, {"id": 5, "a": 2}]))[0] == 0
    assert sql("SELECT id, id_, a FROM t ORDER BY id") == [(0, None, 1), (1, 5, 2)]


def test_a_table_and_columns_in_another_case_are_those_that_are_there(here: Path, sql: Table) -> None:
    sql("CREATE TABLE Users (ID INTEGER PRIMARY KEY, Name TEXT)")
    rows = [{"ID": 1, "out": {"name": "a"}}, {"ID": 2, "out": {"NAME": "b", "id": 2}}]
    code, failed, err = call("-o", "sqlite:///f.db?table=users&key=ID", rows=rows)
    assert (code, failed) == (0, []), err
    assert sql("SELECT * FROM Users") == [(1, "a"), (2, "b")]
    code, out, err = run("map", "jobs.py:out", "sqlite:///f.db?table=USERS", "--dry-run", "1")
    assert code == 0, err
    assert b"'Name': 'a'" in out


@pytest.mark.parametrize(
    "out", [{"id": 1, "name": "a"}, {"ID": 1, "name": "a"}, {"name": "a"}, {"Id": "1", "NAME": "a"}], ids=str
)
def test_a_key_is_found_in_the_input_and_in_the_table_whatever_its_case(here: Path, sql: Table, out: Any) -> None:
    sql("CREATE TABLE Users (ID INTEGER PRIMARY KEY, Name TEXT)")
    rows = [{"id": 1, "out": out}, {"id": 2, "out": {"name": "b"}}]
    for _ in range(2):
        code, failed, err = call("-o", "sqlite:///f.db?table=users&key=id", "--overwrite", rows=rows)
        assert (code, failed) == (0, []), err
    assert sql("SELECT * FROM Users") == [(1, "a"), (2, "b")]
    (here / "in.csv").write_text("id,out\n1,2\n")
    code, _, err = run("map", "jobs.py:out", "in.csv", "-o", "sqlite:///f.db?table=users&key=ID", "--overwrite")
    assert (code, b"try: sqlite:///f.db?table=users&key=id" in err) == (2, True), err


def test_fields_that_differ_in_case_only_have_columns_of_their_own(here: Path, sql: Table) -> None:
    assert call("-o", "sqlite:///f.db?table=t&key=id", rows=of([{"a": 1, "A": 2, "Error": 3}]))[0] == 0
    assert sql("SELECT a, A_, Error_, error FROM t") == [(1, 2, 3, None)]


def test_more_columns_than_a_table_has_end_the_run_at_the_first_row_and_lose_nothing(here: Path, sql: Table) -> None:
    wide = {f"f{it}": it for it in range(2500)}
    code, failed, err = call("-o", "sqlite:///f.db?table=t&key=id", "-j", "2", rows=of([wide] * 2000), job="counted")
    assert code == 3, err
    assert "stopped: none of the values of this function fits into sqlite:///f.db?table=t&key=id" in err
    assert "a table of SQLite has 2,000 columns at most, 2,500 do not fit beside 4 others (write to a file" in err
    assert len(failed) == len(Path("called").read_text()) <= 50
    assert all(json.loads(it["error"].partition("; ")[2]) == wide for it in failed), "what a call returned is kept"


def test_a_value_that_brings_too_many_columns_to_those_before_fails_alone(here: Path, sql: Table) -> None:
    outs = [*({f"g{it}_{n}": n for n in range(900)} for it in range(3)), {"g0_1": 7}]
    code, failed, err = call("-o", "sqlite:///f.db?table=t&key=id", rows=of(outs))
    assert (code, [it["input"]["id"] for it in failed]) == (1, [2]), err
    assert "900 do not fit beside 1,804 others" in failed[0]["error"]
    assert sql("SELECT id, g0_1, g1_2 FROM t ORDER BY id") == [(0, 1, None), (1, None, 2), (3, 7, None)]


@pytest.mark.parametrize("name", ["", "a b", 'q"uote', "semi;colon", "%s", ":p", "select", "ż", "x" * 200, "nu\0l"])
def test_any_field_is_a_column(here: Path, sql: Table, name: str) -> None:
    code, failed, err = call("-o", "sqlite:///f.db?table=t&key=id", rows=of([{name: 1}, {name: 2, "b": 3}]))
    assert (code, failed) == (0, []), err
    assert sql("SELECT * FROM t ORDER BY id")[0][2] == 1


def test_a_key_may_be_a_list(here: Path, sql: Table) -> None:
    rows = [{"id": [1, 2], "out": 1}, {"id": {"a": 1}, "out": 2}]
    assert call("-o", "sqlite:///f.db?table=t&key=id", rows=rows)[0] == 0
    assert sorted(sql("SELECT id, value FROM t")) == [("[1,2]", 1), ('{"a":1}', 2)]


def test_a_column_has_the_type_of_its_first_values_however_late_they_come(here: Path, sql: Table) -> None:
    outs: list[Any] = [{"a": None, "b": None}] * 2500 + [{"a": 7, "b": None}]
    assert call("-o", "sqlite:///f.db?table=t&key=id", rows=of(outs))[0] == 0
    assert sql("SELECT a, b FROM t WHERE id = 2500") == [(7, None)]


def test_what_is_no_number_is_null(here: Path, sql: Table) -> None:
    Path("jobs.py").write_text("def out(row):\n    return {'a': float(row['out']), 'b': [float(row['out'])]}\n")
    assert call("-o", "sqlite:///f.db?table=t&key=id", rows=of(["nan", "inf", "-inf", "1"]))[0] == 0
    assert sql("SELECT a, b FROM t ORDER BY id") == [(None, "[null]")] * 3 + [(1.0, "[1.0]")]


def test_no_message_of_a_refusal_breaks_the_failures_file(here: Path, sql: Table) -> None:
    sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT CHECK (a = 'x'))")
    code, failed, _ = call("-o", "sqlite:///f.db?table=t&key=id", rows=of([{"a": "nul\0 \u2028 \" ' \n"}, {"a": "x"}]))
    assert (code, len(failed)) == (1, 1)
    (again,) = [it for it in failed if re.search(r"CHECK", it["error"])]
    assert again["input"]["id"] == 0


HALVES = {  # of a character that UTF-16 has in two, as JavaScript cuts it: no database has them, nor UTF-8
    "text": {"a": "x\ud83d"},
    "list": {"a": ["x", "\ud83d"]},
    "alone": "\ud83d",
    "error": RuntimeError("x\ud83d"),
}


@pytest.mark.parametrize("values", ["", "--values"])
@pytest.mark.parametrize("half", HALVES)
def test_half_of_a_character_costs_its_row_alone_and_a_new_table_nothing(
    here: Path, sql: Table, half: str, values: str
) -> None:
    Path("halves.py").write_text(
        f"def f(row):\n    bad = {HALVES[half]!r}\n"
        "    if row['id'] == 1 and isinstance(bad, Exception):\n        raise bad\n"
        f"    return bad if row['id'] == 1 else {'x' if half == 'alone' else {'a': 'x'}!r}\n"
    )
    Path("in.jsonl").write_text("".join(json.dumps({"id": number}) + "\n" for number in range(4)))
    given = ["-o", "sqlite:///f.db?table=t&key=id", "--failed", "failed.jsonl", *values.split()]
    code, _, err = run("map", "halves.py:f", "in.jsonl", *given)
    assert (code, b"done: 3 ok, 1 failed" in err) == (1, True), err
    (failed,) = [json.loads(line) for line in Path("failed.jsonl").read_text().splitlines()]
    assert (failed["input"], "ud83d" in failed["error"] or "?" in failed["error"]) == ({"id": 1}, True)
    assert sql("SELECT id FROM t WHERE error IS NULL ORDER BY id") == [(0,), (2,), (3,)]


def test_half_of_a_character_in_a_name_is_none_of_the_column(here: Path, sql: Table) -> None:
    Path("halves.py").write_text("def f(row):\n    return {'a\\ud83d': row['id'], 'b': 1}\n")
    Path("in.jsonl").write_text('{"id": 1}\n')
    assert run("map", "halves.py:f", "in.jsonl", "-o", "sqlite:///f.db?table=t&key=id")[0] == 0
    assert sql('SELECT id, "a?", b FROM t') == [(1, 1, 1)]


def test_a_table_or_column_that_a_refused_batch_made_is_made_again(here: Path, sql: Table) -> None:
    sink = open_output("sqlite:///f.db?table=t")
    sink.begin(Shape())
    for number, value in enumerate([{"a": "\ud83d"}, {"b": 1}]):
        sink.write(Row(number, number, b"%d" % number), sink.prepare(value))
        sink.flush()
    for number, value in enumerate([{"c": "\ud83d"}, {"c": 2}, {"c": 3}], 2):
        sink.write(Row(number, number, b"%d" % number), sink.prepare(value))
    sink.finish()
    assert [it.row.line for it in sink.refusals] == [0, 2]
    assert sql("SELECT b, c FROM t ORDER BY input") == [(1, None), (None, 2), (None, 3)]


@pytest.mark.parametrize("key", ["&key=id", ""])
def test_the_items_of_an_answer_are_rows_of_their_own(here: Path, sql: Table, key: str) -> None:
    sink = Spread(open_output(f"sqlite:///f.db?table=t{key}"))
    sink.begin(Shape())
    row = Row(1, "https://x/1", b'"https://x/1"')
    sink.write(row, sink.prepare([{"id": 1, "a": 1}, {"id": 2, "a": 2}]))
    sink.write(Row(2, "https://x/2", b'"https://x/2"'), sink.prepare([{"id": 2, "a": 3}, {"id": 3, "a": 4}]))
    if key:
        with pytest.raises(Unfit, match=r"the value has no 'id'.*; the value has no 'id'"):
            sink.write(row, sink.prepare([{"b": 1}, {"id": 4, "a": 5}, 7]))
        sink.failure(row, "no answer", 1)
    sink.finish()
    found = sql("SELECT a FROM t WHERE error IS NULL ORDER BY a")
    assert found == ([(1,), (3,), (4,), (5,)] if key else [(1,), (2,), (3,), (4,)])
    assert sql("SELECT input FROM t WHERE error IS NOT NULL") == ([('"https://x/1"',)] if key else [])


def test_an_outcome_of_our_own_table_replaces_the_whole_row(here: Path, sql: Table) -> None:
    first = [{"id": 1, "out": {"a": 1, "b": 2}}, {"id": 2, "out": {"a": 3}}]
    assert call("-o", "sqlite:///f.db?table=t&key=id", rows=first)[0] == 0
    sink = open_output("sqlite:///f.db?table=t&key=id", overwrite=True)
    sink.begin(Shape())
    row = Row(1, {"id": 1}, b'{"id":1}')
    sink.failure(row, "no answer", 1)
    sink.finish()
    assert sql("SELECT id, a, b, error FROM t ORDER BY id") == [(1, None, None, "no answer"), (2, 3, None, None)]


def test_rows_that_are_there_can_be_filled_without_all_their_columns(here: Path, sql: Table) -> None:
    sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL, score INT)")
    sql("INSERT INTO t VALUES (0, 'a', NULL), (2, 'b', NULL)")
    outs: list[Any] = [{"score": 5}, {"score": 6}, {"score": 7}]
    code, failed, _ = call("-o", "sqlite:///f.db?table=t&key=id", "--overwrite", rows=of(outs))
    assert (code, [it["input"]["id"] for it in failed]) == (1, [1])
    assert "a new one needs name" in failed[0]["error"]
    assert sql("SELECT * FROM t ORDER BY id") == [(0, "a", 5), (2, "b", 7)]


def test_a_value_that_is_nothing_but_its_key_is_a_row(here: Path, sql: Table) -> None:
    sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    assert call("-o", "sqlite:///f.db?table=t&key=id", rows=of([{"id": 0}, {"id": 1}]))[0] == 0
    assert sql("SELECT * FROM t") == [(0,), (1,)]


def test_types_and_indexes_that_sqlalchemy_does_not_know_are_no_matter(here: Path, sql: Table) -> None:
    sql("CREATE TABLE t (id GEOMETRY PRIMARY KEY, a POINT)")
    sql("CREATE UNIQUE INDEX i ON t (lower(a))")
    code, failed, err = call("-o", "sqlite:///f.db?table=t&key=id", rows=of([{"a": "X"}, {"a": "x"}]))
    assert (code, len(failed)) == (1, 1)
    assert "Warning" not in err
