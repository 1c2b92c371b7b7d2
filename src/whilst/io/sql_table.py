"""Which columns has a table, and how does it get those that outcomes need?

A table that is missing is made: the key (unique), `input` as JSON, the columns of a value that is a dict or else
`value`, `error`, `attempts`. In such a table a column whose values turn out to be of another type is widened; one that
somebody else made is never altered.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from .database import Database
from .jsonl import json_text
from .kinds import kind_of, unified
from .refusal import Refused, closest, listed, load_extra

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


class Table:
    """A table that takes rows by their key; it is made with the first of them."""

    def __init__(self, database: Database, columns: dict[str, str]) -> None:
        self.key: str = database.key or "key"
        self.exists: bool = bool(columns)
        self.ours: bool = not columns or all(name in columns for name in OURS)
        """Whether it was made here, and may be altered."""
        self._database = database
        self._types = _SQLITE if database.is_sqlite else _POSTGRES
        self.columns: dict[str, str] = {name: self._kind(kind) for name, kind in columns.items()}
        """The kind of each column."""
        self._sa: Any = load_extra("sqlalchemy", "sql", "a database")
        dialect = f"sqlalchemy.dialects.{database.engine.dialect.name}"
        self._insert: Any = load_extra(dialect, "sql", "a database").insert

    def check_key(self) -> None:
        """Refuse a table where the key is no column, or may stand twice."""
        database, inspector = self._database, self._sa.inspect(self._database.engine)
        at = (database.table, database.schema or None)
        if self.key not in self.columns:
            likely = closest(self.key, self.columns)
            remedy = f"key={likely}" if likely else "key=COLUMN, whose value in the input finds its row"
            raise Refused(
                f"{database.shown} has no column {self.key!r}", f"it has {listed(self.columns)}", remedy=remedy
            )
        unique = [inspector.get_pk_constraint(*at)["constrained_columns"]]
        unique += [it["column_names"] for it in inspector.get_unique_constraints(*at)]
        unique += [it["column_names"] for it in inspector.get_indexes(*at) if it["unique"]]
        if [self.key] not in unique:
            name = database.quoted(self.key)
            raise Refused(
                f"{database.shown}: rows cannot be found by {self.key!r}, which may stand there twice",
                remedy=f"CREATE UNIQUE INDEX ON {database.quoted_table} ({name})",
            )

    def forget_keyless(self) -> None:
        """Delete what an earlier run said of rows that have no key: this one says it again."""
        with self._database.engine.begin() as connection:
            key = self._database.quoted(self.key)
            connection.exec_driver_sql(f"DELETE FROM {self._database.quoted_table} WHERE {key} IS NULL")

    def upsert(self, connection: Any, records: list[dict[str, Any]]) -> None:
        """Write rows in one statement, over those that have their keys."""
        names = [name for name in self.columns if any(name in record for record in records)]
        rows = [{f"c{at}": self._cell(name, it.get(name)) for at, name in enumerate(names)} for it in records]
        sa = self._sa
        values = {name: sa.bindparam(f"c{at}", type_=sa.types.NullType()) for at, name in enumerate(names)}
        insert = self._insert(self._database.clause(names)).values(values)
        others = {name: insert.excluded[name] for name in names if name != self.key}
        if others:
            insert = insert.on_conflict_do_update(index_elements=[self._sa.column(self.key)], set_=others)
        else:
            insert = insert.on_conflict_do_nothing()
        connection.execute(insert, rows)

    def _cell(self, name: str, value: Any) -> Any:
        kind = self.columns[name]
        if value is None or (kind != "text" and isinstance(value, int | float | str | bytes)):
            return value
        if kind == "text" or isinstance(value, dict | list) or self._types is _SQLITE:
            return _text(value)
        return value

    def make_room(self, connection: Any, records: list[dict[str, Any]], *, with_inputs: bool) -> None:
        """Make the table, or the columns that it lacks, or make those wider that values have outgrown."""
        if not self.ours:
            return
        known = {"input": "text", "error": "text", "attempts": "int"}
        names = self._names(records, with_inputs=with_inputs)
        found = {it: known.get(it) or self._needed(record.get(it) for record in records) for it in names}
        if not self.exists:
            self.columns = found
            lines = [f"{self._database.quoted(name)} {self._types.get(kind, 'TEXT')}" for name, kind in found.items()]
            lines[0] += " UNIQUE"
            connection.exec_driver_sql(f"CREATE TABLE {self._database.quoted_table} ({', '.join(lines)})")
            self.exists = True
        for name, kind in found.items():
            if name not in self.columns:
                self._alter(connection, f"ADD COLUMN {self._database.quoted(name)} {self._types.get(kind, 'TEXT')}")
                self.columns[name] = kind
            elif kind not in ("null", self.columns[name]) and self.columns[name] != "text":
                self._widen(connection, name, kind)

    def _widen(self, connection: Any, name: str, kind: str) -> None:
        both = {self.columns[name], kind}
        if both == {"float", "int"}:
            kind = "float"
            if self.columns[name] == "float":
                return
        else:
            kind = "text"
        self.columns[name] = kind
        if self._types is _POSTGRES:  # SQLite takes any value in any column
            quoted, to = self._database.quoted(name), self._types.get(kind, "TEXT")
            self._alter(connection, f"ALTER COLUMN {quoted} TYPE {to} USING {quoted}::{to}")

    def _alter(self, connection: Any, what: str) -> None:
        connection.exec_driver_sql(f"ALTER TABLE {self._database.quoted_table} {what}")

    def _names(self, records: list[dict[str, Any]], *, with_inputs: bool) -> list[str]:
        values = dict.fromkeys(name for it in records for name in it if name not in (self.key, *OURS))
        if not values and not self.exists:
            values = {"value": None}
        return [self.key, *(["input"] if with_inputs else []), *values, "error", "attempts"]

    def _needed(self, values: Iterable[Any]) -> str:
        kind = unified(kind_of(value) for value in values)
        word = kind if isinstance(kind, str) else "json"
        return word if word == "null" or word in self._types else "text"

    def _kind(self, type: str) -> str:
        """Return the kind of a column that is there."""
        type = type.partition("(")[0]
        return next((kind for kind, name in self._types.items() if name == type), "text" if "TEXT" in type else "other")

    def __repr__(self) -> str:
        return f"<Table {self._database.table}, {len(self.columns)} columns>"


def _text(value: Any) -> Any:
    """Write a value for a column of text: as CSV does, strings and dates as they are, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return json_text(value).decode()
