"""Which columns has a table, and how does it get those that outcomes need?

A table that is missing is made: the key (unique), `input` as JSON, the columns of a value that is a dict or else
`value`, `error`, `attempts`. In such a table a column whose values turn out to be of another type is widened; one that
somebody else made is never altered.
"""

from __future__ import annotations

import datetime
import functools
import sqlite3
from contextlib import closing
from itertools import chain
from math import isfinite
from typing import Any

from .database import Database, unwarned
from .jsonl import json_text
from .kinds import alike, kind_of_all
from .refusal import Refused, closest, listed, load_extra

OURS = ("input", "error", "attempts")

MOST_COLUMNS = 1600  # of a table of PostgreSQL
MOST_SHAPES = 1000  # sets of fields whose columns are remembered
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}  # SQLite knows no other letters

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


_ALIASES = {
    **dict.fromkeys(("INT", "INTEGER", "SMALLINT", "TINYINT", "MEDIUMINT", "BIGINT", "INT2", "INT4", "INT8"), "int"),
    **dict.fromkeys(("REAL", "FLOAT", "DOUBLE", "DOUBLE PRECISION"), "float"),
    **dict.fromkeys(("VARCHAR", "CHAR", "CHARACTER", "CITEXT", "NVARCHAR", "NCHAR", "CLOB", "NAME"), "text"),
    **dict.fromkeys(("JSON", "JSONB"), "json"),
}


def _is_partial(index: Any) -> bool:
    """Whether an index holds some rows only, and so finds none for an upsert."""
    options: dict[str, Any] = index.get("dialect_options") or {}
    return any(name.endswith("_where") and it is not None for name, it in options.items())


class TooManyColumns(ValueError):
    """A value with more fields than a table may have columns, or than it has room for beside those that it has."""


class NoSuchRow(ValueError):
    """A row that can only be changed, and is not there."""


class Table:
    """A table that takes rows by their key; it is made with the first of them."""

    def __init__(self, database: Database, columns: dict[str, str]) -> None:
        given = database.called(database.key) or "key"
        self.key: str = next((it for it in columns if _folded(it, database) == _folded(given, database)), given)
        """The column that finds a row, as it is written there."""
        self.exists: bool = bool(columns)
        self.ours: bool = not columns or all(name in columns for name in OURS)
        """Whether it was made here, and may be altered."""
        self._database = database
        self._types = _SQLITE if database.is_sqlite else _POSTGRES
        self.columns: dict[str, str] = {name: self._kind(kind) for name, kind in columns.items()}
        """The kind of each column."""
        self.required: list[str] = []
        """Columns of somebody else's table that every row needs, but for the key."""
        self.is_empty: bool = False
        """Whether it had no rows, so that none can be changed; told where rows need what may not be given."""
        self._computed: set[str] = set()
        self.unknown: dict[str, None] = {}
        """Columns of our own table that are not there yet, as nothing but NULL has come for them."""
        self._named: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._wanted: set[str] = set()
        self._sa: Any = load_extra("sqlalchemy", "sql", "a database")

    def names_of(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        """Return the columns of the fields of a value, each its own; TooManyColumns if there is no room for them."""
        if (named := self._named.get(fields)) is None:
            taken = {self._folded(name) for name in OURS} if self.ours else set[str]()
            named = tuple([self._column_of(field, taken) for field in fields])
            if self.ours:
                self._find_room(named)
            if len(self._named) < MOST_SHAPES:
                self._named[fields] = named
        return named

    def _find_room(self, named: tuple[str, ...]) -> None:
        """Take note of columns that are wanted: what has no room beside those of all values before is refused."""
        self._wanted |= {self.key, *OURS, *self.columns}
        more, most = self._wanted.union(named), _most_columns() if self._database.is_sqlite else MOST_COLUMNS
        if len(more) > most:
            kind = "SQLite" if self._database.is_sqlite else "PostgreSQL"
            others = len(self._wanted.difference(named))
            raise TooManyColumns(
                f"a table of {kind} has {most:,} columns at most, {len(named):,} do not fit beside {others:,} others "
                "(write to a file such as out.jsonl, or return fewer fields)"
            )
        self._wanted = more

    def beside(self, name: str) -> str:
        """Return another name for a column whose own is taken."""
        return self._column_of(name, {self._folded(it) for it in (self.key, *OURS)})

    def _column_of(self, field: str, taken: set[str]) -> str:
        """Return the column of a field as the database will call it, which is not among those taken, and take it."""
        whole, more = field.replace("\0", "").encode("utf-8", "replace").decode() or "_", ""
        name = self._database.called(whole)
        while self._folded(name) in taken:
            more += "_"
            name = self._database.called(whole, len(more)) + more
        taken.add(self._folded(name))
        if self._database.is_sqlite and name not in self.columns:  # for which A is a
            name = next((it for it in (self.key, *self.columns) if self._folded(it) == self._folded(name)), name)
        return name

    def _folded(self, name: str) -> str:
        return _folded(name, self._database)

    def check_rights(self) -> None:
        """Refuse a table that cannot be written to, before anything is called."""
        database = self._database
        with database.refusing("cannot be written to"), database.engine.connect() as connection:
            if database.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.exec_driver_sql("ROLLBACK")
            elif lacking := self._lacking(connection):
                raise Refused(f"{database.shown} cannot be written to", lacking)

    def _lacking(self, connection: Any) -> str:
        """Return what PostgreSQL would not allow, or nothing."""
        if connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on":
            return "its transactions are read-only (a standby, or default_transaction_read_only)"
        ask, name = self._sa.text, self._database.quoted_table
        if self.exists:
            for right in ("INSERT", "UPDATE", "SELECT"):
                if not connection.scalar(
                    ask("SELECT has_table_privilege(:name, :right)"), {"name": name, "right": right}
                ):
                    return f"its user has no right to {right} there"
            return ""
        schema = self._database.schema or connection.exec_driver_sql("SELECT current_schema()").scalar()
        found = connection.scalar(ask("SELECT to_regnamespace(:name)::text"), {"name": f'"{schema}"'})
        if not found:
            return f"there is no schema {schema!r}"
        may = connection.scalar(ask("SELECT has_schema_privilege(:name, 'CREATE')"), {"name": schema})
        return "" if may else f"there is no such table, and its user has no right to CREATE one in {schema}"

    def check_key(self) -> None:
        """Refuse a table where the key is no column, or may stand twice; learn which columns it needs."""
        database, inspector = self._database, self._sa.inspect(self._database.engine)
        at = (database.table, database.schema or None)
        if self.key not in self.columns:
            likely = closest(self.key, self.columns)
            remedy = database.with_key(likely or "COLUMN")
            raise Refused(
                f"{database.shown} has no column {self.key!r}, whose value in the input finds its row",
                f"it has {listed(self.columns)}",
                remedy=remedy,
            )
        with unwarned():
            primary: list[str] = inspector.get_pk_constraint(*at)["constrained_columns"]
            columns = inspector.get_columns(*at)
            unique = [primary]
            unique += [it["column_names"] for it in inspector.get_unique_constraints(*at)]
            unique += [it["column_names"] for it in inspector.get_indexes(*at) if it["unique"] and not _is_partial(it)]
        if [self.key] not in unique:
            name = database.quoted(self.key)
            raise Refused(
                f"{database.shown}: rows cannot be found by {self.key!r}, which may stand there twice",
                remedy=f"CREATE UNIQUE INDEX ON {database.quoted_table} ({name})",
            )
        self._computed = {it["name"] for it in columns if it.get("computed")}
        if not self.ours:
            self.required = [it["name"] for it in columns if self._is_required(it, primary)]
        if self.required:
            with database.engine.connect() as connection:
                first = connection.exec_driver_sql(f"SELECT 1 FROM {database.quoted_table} LIMIT 1").first()
            self.is_empty = first is None

    def _is_required(self, column: Any, primary: list[str]) -> bool:
        fills_itself = any(column.get(it) not in (None, False) for it in ("default", "identity", "computed"))
        counts = self._database.is_sqlite and primary == [column["name"]] and self._kind(str(column["type"])) == "int"
        is_needed = not column["nullable"] and not fills_itself and not counts
        return is_needed and column.get("autoincrement") is not True and column["name"] != self.key

    def forget_keyless(self) -> None:
        """Delete what an earlier run said of rows that have no key: this one says it again."""
        with self._database.engine.begin() as connection:
            key = self._database.quoted(self.key)
            connection.exec_driver_sql(f"DELETE FROM {self._database.quoted_table} WHERE {key} IS NULL")

    def upsert(self, connection: Any, records: list[dict[str, Any]]) -> None:
        """Write rows over those that have their keys: in our own table the whole row, else what is given of it."""
        if self.ours:
            self._write(connection, tuple(name for name in self.columns if name not in self._computed), records)
            return
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for record in records:
            groups.setdefault(tuple(record), []).append(record)
        for names, some in groups.items():  # what a row does not give must keep its value, or get its default
            if any(name not in names for name in self.required):
                self._update(connection, names, some)
            else:
                self._write(connection, names, some)

    def _write(self, connection: Any, names: tuple[str, ...], records: list[dict[str, Any]]) -> None:
        quoted, key = [*map(self._database.quoted, names)], self._database.quoted(self.key)
        others = [f"{name} = excluded.{name}" for name in quoted if name != key]
        values = f"({', '.join(quoted)}) VALUES ({', '.join([self._mark] * len(names))})"
        then = f"({key}) DO UPDATE SET {', '.join(others)}" if others else "DO NOTHING"
        text = f"INSERT INTO {self._database.quoted_table} {values} ON CONFLICT {then}"
        connection.exec_driver_sql(text, self._rows(names, records))

    def _update(self, connection: Any, names: tuple[str, ...], records: list[dict[str, Any]]) -> None:
        """Change rows that are there: a new one would lack a value that it needs."""
        changed = [name for name in names if name != self.key] or [self.key]
        values = ", ".join(f"{self._database.quoted(name)} = {self._mark}" for name in changed)
        where = f"{self._database.quoted(self.key)} = {self._mark}"
        text = f"UPDATE {self._database.quoted_table} SET {values} WHERE {where}"
        for row in self._rows((*changed, self.key), records):
            if not connection.exec_driver_sql(text, row).rowcount:
                lacking = listed(name for name in self.required if name not in names)
                raise NoSuchRow(f"there is no row with this key, and a new one needs {lacking}")

    @property
    def _mark(self) -> str:
        """What stands for a value in a text."""
        return "?" if self._database.is_sqlite else "%s"

    def _rows(self, names: tuple[str, ...], records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        """Return the values of these columns, made column by column: most of them are as their column takes them."""
        columns = [self._cells(self.columns[name], [it.get(name) for it in records]) for name in names]
        return [*zip(*columns, strict=True)]

    def _cells(self, kind: str, values: list[Any]) -> list[Any]:
        return values if alike(values) in (kind, "null") else [self._cell(kind, it) for it in values]

    def _cell(self, kind: str, value: Any) -> Any:
        """Return a value as its column takes it."""
        if value is None or (type(value) is float and not isfinite(value)):  # as in JSON, which has no word for it
            return None
        if kind == "json":
            return json_text(value).decode()
        if kind == "int" and type(value) is float and self._types is _POSTGRES:  # which would round it, silently
            return int(value) if value.is_integer() else str(value)
        if kind != "text" and isinstance(value, int | float | str | bytes):
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
        kinds = {it: known.get(it) or self._needed([record.get(it) for record in records]) for it in names}
        found = {it: kind for it, kind in kinds.items() if kind != "null" or it == self.key}
        if not self.exists:
            self.columns = found
            lines = [f"{self._database.quoted(name)} {self._declared(kind)}" for name, kind in found.items()]
            lines[0] = lines[0].rstrip() + " UNIQUE"
            connection.exec_driver_sql(f"CREATE TABLE {self._database.quoted_table} ({', '.join(lines)})")
            self.exists = True
        for name, kind in found.items():
            if name not in self.columns:
                self._alter(connection, f"ADD COLUMN {self._database.quoted(name)} {self._declared(kind)}")
                self.columns[name] = kind
            elif kind not in ("null", self.columns[name]) and self.columns[name] != "text":
                self._widen(connection, name, kind)
        unknown = dict.fromkeys(it for it in kinds if it not in self.columns)
        self.unknown = {it: None for it in {**self.unknown, **unknown} if it not in self.columns}

    def settle(self, connection: Any) -> None:
        """Make the columns of which no value has come: as text."""
        for name in self.unknown if self.exists else ():
            self._alter(connection, f"ADD COLUMN {self._database.quoted(name)} TEXT")
            self.columns[name] = "text"
        self.unknown = {}

    def _declared(self, kind: str) -> str:
        """Return the type of a column; SQLite can do without where it is not known yet."""
        return "" if kind == "null" and self._database.is_sqlite else self._types.get(kind, "TEXT")

    def _widen(self, connection: Any, name: str, kind: str) -> None:
        both = {self.columns[name], kind}
        if both == {"float", "int"}:
            kind = "float"
            if self.columns[name] == "float":
                return
        elif self.columns[name] != "null":
            kind = "text"
        self.columns[name] = kind
        if self._types is _POSTGRES:  # SQLite takes any value in any column
            quoted, to = self._database.quoted(name), self._types.get(kind, "TEXT")
            self._alter(connection, f"ALTER COLUMN {quoted} TYPE {to} USING {quoted}::{to}")

    def _alter(self, connection: Any, what: str) -> None:
        connection.exec_driver_sql(f"ALTER TABLE {self._database.quoted_table} {what}")

    def _names(self, records: list[dict[str, Any]], *, with_inputs: bool) -> list[str]:
        values = dict.fromkeys(chain.from_iterable(records))
        for name in (self.key, *OURS):
            values.pop(name, None)
        if not values and not self.exists:
            values = {"value": None}
        return [self.key, *(["input"] if with_inputs else []), *values, "error", "attempts"]

    def _needed(self, values: list[Any]) -> str:
        kind = kind_of_all(values)
        word = kind if isinstance(kind, str) else "json"
        return word if word == "null" or word in self._types else "text"

    def _kind(self, type: str) -> str:
        """Return the kind of a column that is there."""
        type = type.partition("(")[0]
        known = next((kind for kind, name in self._types.items() if name == type), None)
        return known or _ALIASES.get(type) or ("text" if "TEXT" in type else "other")

    def __repr__(self) -> str:
        return f"<Table {self._database.table}, {len(self.columns)} columns>"


@functools.cache
def _most_columns() -> int:
    """Return how many columns this SQLite was built for."""
    with closing(sqlite3.connect(":memory:")) as connection:
        return connection.getlimit(sqlite3.SQLITE_LIMIT_COLUMN)


def _text(value: Any) -> Any:
    """Write a value for a column of text: as CSV does, strings and dates as they are, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return json_text(value).decode()


def _folded(name: str, database: Database) -> str:
    """Return what is the same for names that are the same to the database: for SQLite A is a."""
    return name.translate(_LOWER) if database.is_sqlite else name
