"""How are outcomes written to a table, so that writing them again changes nothing?

Each is one row, found by its key: what `key=` names in the input, else a digest of the input. Rows are upserted in
batches, one transaction each; which columns the table has is the business of `sql_table.py`.
"""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from typing import Any, cast

import msgspec

from .csv import unused
from .database import Database, reach
from .jsonl import json_text
from .kinds import simplified
from .refusal import BrokenOutput, Refused, closest, listed, load_extra
from .rows import Rejected, Row
from .sink import Shape, Unfit
from .sql_table import OURS, Table

BATCH = 1000
BATCH_BYTES = 4 * 1024 * 1024


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
        self._table = Table(database, columns)
        self._shape = Shape()
        self._key = self._table.key
        self._batch: list[dict[str, Any]] = []
        self._size = 0
        self._guard = threading.Lock()
        self.write_all: None = None
        self._sa: Any = load_extra("sqlalchemy", "sql", "a database")

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
        if not self._table.exists:
            return
        self._table.check_key()
        if shape.failures_here and not self._table.ours:
            raise Refused(
                f"{self.name} has no place for failures",
                f"it has no column {listed([it for it in OURS if it not in self._table.columns])}",
                remedy="--failed failures.jsonl",
            )
        if self._table.ours:
            self._table.forget_keyless()

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
        if self._database.new_file and not self._table.exists:
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
        taken = (self._key, *OURS) if self._table.ours else (self._key,)
        return {unused(name, taken): value for name, value in cast("dict[str, Any]", prepared).items()}

    def _take(self, record: dict[str, Any], row: Row | None) -> None:
        if not self._table.ours:
            record = {name: value for name, value in record.items() if name in self._table.columns or name not in OURS}
            if unknown := [name for name in record if name not in self._table.columns]:
                likely = closest(unknown[0], self._table.columns)
                more = f"; {likely!r} is" if likely else f", which has {listed(self._table.columns)}"
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
        before = dict(self._table.columns), self._table.exists
        try:
            try:
                with self._database.engine.begin() as connection:
                    self._table.make_room(connection, records, with_inputs=not self._shape.values_only)
                    self._table.upsert(connection, records)
            except (self._sa.exc.DataError, self._sa.exc.IntegrityError, self._sa.exc.ProgrammingError):
                self._table.columns, self._table.exists = before  # what was altered is not so any more
                self._write_each(records)
        except self._sa.exc.SQLAlchemyError as error:
            self.broken = BrokenOutput(self._database.said(error))
            raise self.broken from None

    def _write_each(self, records: list[dict[str, Any]]) -> None:
        refused: list[tuple[dict[str, Any], Exception]] = []
        with self._database.engine.begin() as connection:
            self._table.make_room(connection, records, with_inputs=not self._shape.values_only)
            for record in records:
                try:
                    with connection.begin_nested():
                        self._table.upsert(connection, [record])
                except self._sa.exc.DBAPIError as error:
                    refused.append((record, error))
            if self._table.ours and refused:
                self._table.upsert(connection, [self._as_failure(record, error) for record, error in refused])
        if refused and not self._table.ours:
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

    def __repr__(self) -> str:
        return f"<SqlSink {self.name}, {len(self._batch)} rows waiting>"


def _refuse_to_replace(database: Database) -> None:
    with database.engine.connect() as connection:
        some = connection.exec_driver_sql(f"SELECT 1 FROM {database.quoted_table} LIMIT 1").first()
    if some is not None:
        raise Refused(
            f"{database.shown} has rows already",
            "those with the key of an input would be replaced, the others kept",
            remedy="--overwrite",
        )
