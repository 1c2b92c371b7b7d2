"""How are outcomes written to a table, so that writing them again changes nothing?

Each is one row, found by its key: what `key=` names in the input, else a digest of the input. Rows are upserted in
batches, one transaction each. A table that is missing is made: the key (unique), `input` as JSON, the columns of a
value that is a dict or else `value`, `error`, `attempts`. In such a table a column whose values turn out to be of
another type is widened; one that somebody else made is never altered.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import msgspec

from .csv import unused
from .database import Database, reach
from .jsonl import json_text
from .kinds import kind_of, simplified, unified
from .refusal import BrokenOutput, Refused, closest, listed, load_extra
from .rows import Rejected, Row
from .sink import Shape, Unfit

BATCH = 1000
BATCH_BYTES = 4 * 1024 * 1024
OURS = ("input", "error", "attempts")

# What a column of a kind is called; kinds that are not here hold text: strings as they are, all else as JSON.
_POSTGRES = {
    "int": "BIGINT",
    "float": "DOUBLE PRECISION",
    "bool": "BOOLEAN",
    "bytes": "BYTEA",
    "datetime": "TIMESTAMP",
    "moment": "TIMESTAMPTZ",
    "date": "DATE",
    "time": "TIME",
}
_SQLITE = {"int": "INTEGER", "float": "REAL", "bool": "BOOLEAN", "bytes": "BLOB"}


def open_table(name: str, *, overwrite: bool) -> SqlSink:
    """Open a table; Refused if it cannot be written to, or has rows and may not be overwritten."""
    database = reach(name, create=True)
    if not database.table:
        raise Refused(f"{database.shown} names a query", remedy="?table=NAME&key=COLUMN")
    if database.engine.dialect.name not in ("sqlite", "postgresql"):
        raise Refused(f"{database.shown} can be read, but not written to", "known: SQLite, PostgreSQL")
    columns = database.columns()
    if columns and not overwrite:
        _refuse_to_replace(database)
    return SqlSink(database, columns)


class SqlSink:
    """A table that takes outcomes; it is made with its first row, so a run that does not begin leaves none."""

    def __init__(self, database: Database, columns: dict[str, str]) -> None:
        self.name: str = database.shown
        self.broken: OSError | None = None
        self._database = database
        self._types = _SQLITE if database.is_sqlite else _POSTGRES
        self._columns: dict[str, str] = {name: self._kind(kind) for name, kind in columns.items()}
        self._ours = not columns or all(name in columns for name in OURS)
        self._existed = bool(columns)
        self._shape = Shape()
        self._key = database.key or "key"
        self._batch: list[dict[str, Any]] = []
        self._size = 0
        self._guard = threading.Lock()
        self._sa: Any = load_extra("sqlalchemy", "sql", "a database")
        self._insert: Any = load_extra(
            f"sqlalchemy.dialects.{database.engine.dialect.name}", "sql", "a database"
        ).insert

    @property
    def waiting(self) -> bool:
        """Whether rows have been taken that are not written yet."""
        return bool(self._batch)

    def begin(self, shape: Shape) -> None:
        """Look whether key and columns are there; Refused if not."""
        self._shape = shape
        key = self._database.key
        if key and shape.columns is not None and key not in shape.columns:
            likely = closest(key, shape.columns)
            raise Refused(
                f"key={key} names no column of the input",
                f"it has {listed(shape.columns)}",
                remedy=f"key={likely}" if likely else "",
            )
        if not self._existed:
            return
        self._check_key()
        if shape.failures_here and not self._ours:
            raise Refused(
                f"{self.name} has no place for failures",
                f"it has no column {listed([it for it in OURS if it not in self._columns])}",
                remedy="--failed failures.jsonl",
            )
        if self._ours:
            self._forget_rejected()

    def prepare(self, value: object) -> Any:
        """Turn a value into what a database has types for."""
        return simplified(value)

    def write(self, row: Row, prepared: Any) -> None:
        """Take a success; Unfit if its input has no key, or somebody else's table no column for it."""
        self._take({**self._given(row), **self._value(prepared), "error": None, "attempts": None}, row)

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> None:
        """Take a failure; one that has no key has NULL there."""
        error = error.encode("utf-8", "replace").decode()
        if isinstance(row, Rejected):
            told = {self._key: None, "input": json_text(row.excerpt).decode(), "attempts": None}
            self._take({**told, "error": f"line {row.line}: {row.reason}"}, None)
            return
        try:
            given = self._given(row)
        except Unfit:
            given = {self._key: None, "input": row.raw.decode()}
        self._take({**given, "error": error, "attempts": attempts}, row)

    def flush(self) -> None:
        """Write what has been taken, in one transaction."""
        with self._guard:
            if self.broken is not None:
                raise self.broken
            batch, self._batch, self._size = self._batch, [], 0
            if batch:
                self._write(batch)

    def finish(self) -> None:
        """Write the rest."""
        self.flush()

    keep = finish

    def discard(self) -> None:
        """Forget everything."""
        if self._database.new_file and not self._existed:
            with suppress(OSError):
                os.unlink(self._database.new_file)

    # -- one outcome ------------------------------------------------------------------------------------------

    def _given(self, row: Row) -> dict[str, Any]:
        """Return the key and the input, as columns."""
        field = self._database.key
        read: Any = msgspec.json.decode(row.raw)  # as it came: the function may have changed `row.value`
        if not field:
            content = msgspec.json.encode(read, order="sorted")
            key: Any = hashlib.blake2b(content, digest_size=16).hexdigest()
        elif type(read) is dict and (named := cast("dict[str, Any]", read)).get(field) is not None:
            key = named[field]
        else:
            raise Unfit(f"the input has no {field!r}, which is its key in {self._database.table}")
        given: dict[str, Any] = {self._key: key}
        if not self._shape.values_only:
            given["input"] = row.raw.decode()
        return given

    def _value(self, prepared: Any) -> dict[str, Any]:
        if type(prepared) is not dict:
            return {"value": prepared}
        taken = (self._key, *OURS) if self._ours else (self._key,)
        return {unused(name, taken): value for name, value in cast("dict[str, Any]", prepared).items()}

    def _take(self, record: dict[str, Any], row: Row | None) -> None:
        if not self._ours:
            record = {name: value for name, value in record.items() if name in self._columns or name not in OURS}
            if unknown := [name for name in record if name not in self._columns]:
                likely = closest(unknown[0], self._columns)
                more = f"; {likely!r} is" if likely else f", which has {listed(self._columns)}"
                raise Unfit(f"{unknown[0]!r} is no column of {self._database.table}{more}")
        with self._guard:
            self._batch.append(record)
            self._size += len(row.raw) if row is not None else 0
            full = len(self._batch) >= BATCH or self._size >= BATCH_BYTES
        if full:
            self.flush()

    # -- one batch --------------------------------------------------------------------------------------------

    def _write(self, batch: list[dict[str, Any]]) -> None:
        """Write a batch; where the database refuses it, each row on its own, so that one costs itself only."""
        last = {record[self._key]: record for record in batch if record[self._key] is not None}  # PostgreSQL refuses
        records = [*last.values(), *(record for record in batch if record[self._key] is None)]  # a key twice at once
        before = dict(self._columns), self._existed
        try:
            try:
                with self._database.engine.begin() as connection:
                    self._make_room(connection, records)
                    self._upsert(connection, records)
            except (self._sa.exc.DataError, self._sa.exc.IntegrityError, self._sa.exc.ProgrammingError):
                self._columns, self._existed = before  # what was altered is not so any more
                self._write_each(records)
        except self._sa.exc.SQLAlchemyError as error:
            self.broken = BrokenOutput(self._database.said(error))
            raise self.broken from None

    def _write_each(self, records: list[dict[str, Any]]) -> None:
        refused: list[tuple[dict[str, Any], Exception]] = []
        with self._database.engine.begin() as connection:
            self._make_room(connection, records)
            for record in records:
                try:
                    with connection.begin_nested():
                        self._upsert(connection, [record])
                except self._sa.exc.DBAPIError as error:
                    refused.append((record, error))
            if self._ours and refused:
                self._upsert(connection, [self._as_failure(record, error) for record, error in refused])
        if refused and not self._ours:
            record, first = refused[0]
            key = json_text(record[self._key]).decode()
            text = f"{self._database.said(first)} ({len(refused)} of {len(records)} rows, first {self._key} {key})"
            self.broken = BrokenOutput(text)
            raise self.broken

    def _as_failure(self, record: dict[str, Any], error: Exception) -> dict[str, Any]:
        value = {name: it for name, it in record.items() if name not in (self._key, *OURS)}
        key = record[self._key]
        key = key.replace("\0", "\\u0000") if isinstance(key, str) else key
        text = f"the database refused the value: {self._database.said(error)}; {json_text(value).decode()}"
        return {self._key: key, "input": record.get("input"), "error": text.replace("\0", ""), "attempts": 1}

    def _upsert(self, connection: Any, records: list[dict[str, Any]]) -> None:
        names = [name for name in self._columns if any(name in record for record in records)]
        rows = [{f"c{at}": self._cell(name, it.get(name)) for at, name in enumerate(names)} for it in records]
        sa = self._sa
        values = {name: sa.bindparam(f"c{at}", type_=sa.types.NullType()) for at, name in enumerate(names)}
        insert = self._insert(self._database.clause(names)).values(values)
        others = {name: insert.excluded[name] for name in names if name != self._key}
        if others:
            insert = insert.on_conflict_do_update(index_elements=[self._sa.column(self._key)], set_=others)
        else:
            insert = insert.on_conflict_do_nothing()
        connection.execute(insert, rows)

    def _cell(self, name: str, value: Any) -> Any:
        kind = self._columns[name]
        if value is None or (kind != "text" and isinstance(value, int | float | str | bytes)):
            return value
        if kind == "text" or isinstance(value, dict | list) or self._types is _SQLITE:
            return _text(value)
        return value

    # -- columns ----------------------------------------------------------------------------------------------

    def _make_room(self, connection: Any, records: list[dict[str, Any]]) -> None:
        """Make the table, or the columns that it lacks, or make those wider that values have outgrown."""
        if not self._ours:
            return
        known = {"input": "text", "error": "text", "attempts": "int"}
        names = self._names(records)
        found = {it: known.get(it) or self._needed(record.get(it) for record in records) for it in names}
        if not self._existed:
            self._columns = found
            lines = [f"{self._database.quoted(name)} {self._types.get(kind, 'TEXT')}" for name, kind in found.items()]
            lines[0] += " UNIQUE"
            connection.exec_driver_sql(f"CREATE TABLE {self._database.quoted_table} ({', '.join(lines)})")
            self._existed = True
        for name, kind in found.items():
            if name not in self._columns:
                self._alter(connection, f"ADD COLUMN {self._database.quoted(name)} {self._types.get(kind, 'TEXT')}")
                self._columns[name] = kind
            elif kind not in ("null", self._columns[name]) and self._columns[name] != "text":
                self._widen(connection, name, kind)

    def _widen(self, connection: Any, name: str, kind: str) -> None:
        both = {self._columns[name], kind}
        if both == {"float", "int"}:
            kind = "float"
            if self._columns[name] == "float":
                return
        else:
            kind = "text"
        self._columns[name] = kind
        if self._types is _POSTGRES:  # SQLite takes any value in any column
            quoted, to = self._database.quoted(name), self._types.get(kind, "TEXT")
            self._alter(connection, f"ALTER COLUMN {quoted} TYPE {to} USING {quoted}::{to}")

    def _alter(self, connection: Any, what: str) -> None:
        connection.exec_driver_sql(f"ALTER TABLE {self._database.quoted_table} {what}")

    def _names(self, records: list[dict[str, Any]]) -> list[str]:
        values = dict.fromkeys(name for it in records for name in it if name not in (self._key, *OURS))
        if not values and not self._existed:
            values = {"value": None}
        return [self._key, *([] if self._shape.values_only else ["input"]), *values, "error", "attempts"]

    def _needed(self, values: Iterable[Any]) -> str:
        kind = unified(kind_of(value) for value in values)
        word = kind if isinstance(kind, str) else "json"
        return word if word == "null" or word in self._types else "text"

    def _kind(self, type: str) -> str:
        """Return the kind of a column that is there."""
        type = type.partition("(")[0]
        return next((kind for kind, name in self._types.items() if name == type), "text" if "TEXT" in type else "other")

    def _check_key(self) -> None:
        """Refuse a table where the key is no column, or may stand twice."""
        database, inspector = self._database, self._sa.inspect(self._database.engine)
        at = (database.table, database.schema or None)
        if self._key not in self._columns:
            likely = closest(self._key, self._columns)
            remedy = f"key={likely}" if likely else "key=COLUMN, whose value in the input finds its row"
            raise Refused(f"{self.name} has no column {self._key!r}", f"it has {listed(self._columns)}", remedy=remedy)
        unique = [inspector.get_pk_constraint(*at)["constrained_columns"]]
        unique += [it["column_names"] for it in inspector.get_unique_constraints(*at)]
        unique += [it["column_names"] for it in inspector.get_indexes(*at) if it["unique"]]
        if [self._key] not in unique:
            name = database.quoted(self._key)
            raise Refused(
                f"{self.name}: rows cannot be found by {self._key!r}, which may stand there twice",
                remedy=f"CREATE UNIQUE INDEX ON {database.quoted_table} ({name})",
            )

    def _forget_rejected(self) -> None:
        """Delete what an earlier run said of rows that have no key: this one says it again."""
        with self._database.engine.begin() as connection:
            key = self._database.quoted(self._key)
            connection.exec_driver_sql(f"DELETE FROM {self._database.quoted_table} WHERE {key} IS NULL")

    def __repr__(self) -> str:
        return f"<SqlSink {self.name}, {len(self._batch)} rows waiting>"


def _text(value: Any) -> Any:
    """Write a value for a column of text: as CSV does, strings and dates as they are, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return json_text(value).decode()


def _refuse_to_replace(database: Database) -> None:
    with database.engine.connect() as connection:
        some = connection.exec_driver_sql(f"SELECT 1 FROM {database.quoted_table} LIMIT 1").first()
    if some is not None:
        raise Refused(
            f"{database.shown} has rows already",
            "those with the key of an input would be replaced, the others kept",
            remedy="--overwrite",
        )
