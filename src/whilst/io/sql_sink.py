"""How are outcomes written to a table, so that writing them again changes nothing?

Each is one row, found by its key: what `key=` names in the input (in the value, where an input gives many), else a
digest. Which columns the table has is the business of `sql_table.py`, how they are written that of `sql_batch.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

import msgspec

from .database import Database, reach
from .jsonl import json_text
from .kinds import simplified, weight_of
from .refusal import BrokenOutput, Refused, closest, listed
from .rows import Rejected, Row
from .sink import Misfit, Refusal, Shape, Unfit
from .sql_batch import BatchWriter, Taken
from .sql_table import OURS, Table, TooManyColumns

T = TypeVar("T")

_PLAIN = frozenset({dict, list, str, int, float, bool, type(None)})  # inputs that are not known by anything else
_KEYS = frozenset({int, str})  # that are the same in a text of JSON and in a table

BATCH = 10_000  # a commit takes as long as thousands of rows
BATCH_BYTES = 4 * 1024 * 1024
SAMPLE = 16  # one value in so many is weighed, for those after it too


def open_table(name: str, *, overwrite: bool) -> SqlSink:
    """Open a table; Refused if it cannot be written to, or has rows and may not be overwritten."""
    database = reach(name, create=True)
    if not database.table:
        raise Refused(f"{database.shown} names a query", remedy="?table=NAME&key=COLUMN")
    if database.engine.dialect.name not in ("sqlite", "postgresql"):
        raise Refused(f"{database.shown} can be read, but not written to", "known: SQLite, PostgreSQL")
    with database.refusing("cannot be read"):
        columns = database.columns()
        other = "" if columns else database.other_case()
    if other:
        fact = f"{database.shown}: there is no table {database.table!r}, but one that is called {other!r}"
        raise Refused(fact, remedy=database.with_table(other))
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
        self._writer = BatchWriter(database, self._table)
        self._shape = Shape()
        self._key = self._table.key
        self._batch: list[Taken] = []
        self._size = self._kept = 0
        self._weight = 0  # bytes of a value, about
        self._is_tried = False  # whether a row was written: what is wrong for all shows with the first
        self._guard = threading.Lock()
        self.refusals: deque[Refusal] = deque()

    @property
    def waiting(self) -> bool:
        """Whether rows have been taken that are not written yet."""
        return bool(self._batch)

    def begin(self, shape: Shape) -> None:
        """Look whether key and columns are there; Refused if not."""
        self._shape = shape
        key = self._database.key
        if key and not shape.items and shape.columns is not None and key not in shape.columns:
            likely = closest(key, shape.columns)
            raise Refused(
                f"{key!r}, the key of {self._database.shown}, is not a column of the input",
                f"it has {listed(shape.columns)}",
                remedy=self._database.with_key(likely) if likely else "",
            )
        with self._database.refusing("cannot be written to"):
            self._begin_table(shape)

    def _begin_table(self, shape: Shape) -> None:
        self._table.check_rights()
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
        """Take a success; Unfit if it has no key, or somebody else's table no place for it (Misfit: for any)."""
        record = self._given(row, prepared)
        self._add_value(record, prepared)
        if self._table.ours:
            record["error"] = record["attempts"] = None
        else:
            self._check_place(record)
        if not len(self._batch) % SAMPLE:
            self._weight = weight_of(prepared)
        self._take([Taken(record, row)], len(row.raw) + self._weight)

    def write_all(self, rows: Sequence[Row], prepared: Sequence[Any]) -> None:
        """Take successes that need no look at each; Unfit, and none is taken, if they do.

        Those are dicts with the same fields, under their own names in the table, and with keys that stand in the
        inputs as in the values.
        """
        records = self._alike(rows, prepared)
        if records is None:
            raise Unfit("each must be looked at")
        if not self._table.ours:
            self._check_place(records[0])
        size = sum([len(row.raw) for row in rows]) + SAMPLE * sum(map(weight_of, prepared[::SAMPLE]))
        self._take([*map(Taken, records, rows)], size)

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> None:
        """Take a failure; one that has no key has NULL there."""
        error = error.encode("utf-8", "replace").decode()
        if isinstance(row, Rejected):
            told = {self._key: None, "input": json_text(row.excerpt).decode(), "attempts": None}
            self._take([Taken({**told, "error": _storable(f"line {row.line}: {row.reason}")}, None)], len(row.excerpt))
            return
        try:
            given = self._given(row, None)
        except Unfit:
            given = {self._key: None, "input": row.raw.decode()}
        given[self._key] = _storable(given[self._key])
        self._take([Taken({**given, "error": _storable(error), "attempts": attempts}, None)], len(row.raw))

    def flush(self) -> None:
        """Write what has been taken, in one transaction; what is refused is in `refusals` then."""
        with self._guard:
            if self.broken is not None:
                raise self.broken
            batch, self._batch, self._size = self._batch, [], 0
            if batch:
                self._write(batch)

    def finish(self) -> None:
        """Write the rest."""
        self.flush()
        with self._guard:
            if self.broken is None and self._table.unknown:
                self._or_broken(self._writer.settle)

    def discard(self) -> None:
        """Forget everything."""
        if self._database.new_file and not self._table.exists:
            with suppress(OSError):
                os.unlink(self._database.new_file)

    # -- one outcome ------------------------------------------------------------------------------------------

    def _given(self, row: Row, prepared: Any) -> dict[str, Any]:
        """Return the key and the input, as columns."""
        given: dict[str, Any] = {self._key: self._key_of(row, prepared)}
        if not self._shape.values_only:
            given["input"] = row.raw.decode()
        return given

    def _key_of(self, row: Row, prepared: Any) -> Any:
        field = self._database.key
        of_value = self._shape.items and prepared is not None
        page = getattr(row.value, "known_by", None)  # a further page of an input
        if page is not None and field and not self._shape.items:
            raise Unfit(
                f"a further page has the {field!r} of the first, which would be replaced; --items tells them apart"
            )
        # An input as it came: the function may have changed `row.value`.
        known: Any = prepared if of_value else page or _decode(row.raw)
        if not field:
            return _digest(known)
        key = cast("dict[str, Any]", known).get(field) if type(known) is dict else None
        if key is None or (self._shape.items and not of_value):
            what = "value" if self._shape.items else "input"
            raise Unfit(f"the {what} has no {field!r}, which is its key in {self._database.table}")
        return json_text(cast("object", key)).decode() if isinstance(key, dict | list) else key

    def _alike(self, rows: Sequence[Row], prepared: Sequence[Any]) -> list[dict[str, Any]] | None:
        """Return the columns of successes, made without a look at each; None if one is needed."""
        key, field, shape = self._key, self._database.key, self._shape
        if not (self._table.ours or self._is_tried) or key in OURS:  # the first one shows whether any will fit
            return None
        if {*map(type, prepared)} != {dict} or any(type(row.value) not in _PLAIN for row in rows):
            return None
        names, *others = {*map(tuple, prepared)}
        try:
            if others or self._table.names_of(names) != names:
                return None
        except TooManyColumns:
            return None
        known: Sequence[Any] = prepared if shape.items else _decode(b"[%b]" % b",".join([row.raw for row in rows]))
        try:
            keys = [it[field] for it in known] if field else [*map(_digest, known)]
        except (KeyError, TypeError):
            return None
        if not _KEYS.issuperset(map(type, keys)) or (key in names and [it[key] for it in prepared] != keys):
            return None
        if shape.values_only or not (self._table.ours or "input" in self._table.columns):
            return [{**it, key: own} for it, own in zip(prepared, keys, strict=True)]
        texts = [row.raw.decode() for row in rows]
        return [{"input": text, **it, key: own} for it, own, text in zip(prepared, keys, texts, strict=True)]

    def _add_value(self, record: dict[str, Any], prepared: Any) -> None:
        """Add the columns of a value; a field that is the key, with the same content, is that column."""
        if type(prepared) is not dict:
            record["value"] = prepared
            return
        fields = cast("dict[str, Any]", prepared)
        names, key = tuple(fields), self._key
        try:
            named, known = self._table.names_of(names), record[key]
        except TooManyColumns as error:
            kind = Unfit if self._is_tried else Misfit
            raise kind(f"{error}; {_shown(fields, key)}") from None
        record.update(fields if named == names else zip(named, fields.values(), strict=True))
        if (value := record[key]) is not known:
            record[key] = known
            if value != known and not _same(value, known):
                record[self._table.beside(key)] = value

    def _check_place(self, record: dict[str, Any]) -> None:
        """Raise Unfit if somebody else's table has no place for a record; Misfit if it is the first."""
        table, columns = self._database.table, self._table.columns
        if "input" in record and "input" not in columns:
            del record["input"]
        kind = Unfit if self._is_tried else Misfit
        for name in record:
            if name not in columns:
                likely = closest(name, columns)
                more = f"; {likely!r} is" if likely else f", which has {listed(columns)}"
                raise kind(f"{name!r} is not a column of {table}{more}; {_shown(record, self._key)}")
        if self._table.is_empty and (lacking := [name for name in self._table.required if name not in record]):
            wants = f"{table} wants a value for {listed(lacking)}, which the function does not return"
            raise kind(f"{wants}; {_shown(record, self._key)}")

    def _take(self, taken: list[Taken], size: int) -> None:
        with self._guard:
            self._batch += taken
            self._size += size
            full = len(self._batch) >= BATCH or self._size >= BATCH_BYTES
            first = not self._is_tried and not self._table.ours
            self._is_tried = True
        if full or first:
            self.flush()

    # -- one batch --------------------------------------------------------------------------------------------

    def _or_broken(self, write: Callable[[], T]) -> T:
        try:
            return write()
        except Exception as error:
            self.broken = BrokenOutput(self._database.said(error))
            raise self.broken from None

    def _write(self, batch: list[Taken]) -> None:
        refused = self._or_broken(lambda: self._writer.write(batch, with_inputs=not self._shape.values_only))
        self._kept += len(batch) - len(refused)
        for taken, reason in refused:
            said = self._database.said(reason)
            if taken.row is None:  # a failure that cannot be kept must not go unseen
                lost = str(taken.record.get("error"))[:500]
                self.broken = BrokenOutput(f"{said}; so this failure is kept nowhere: {lost}")
                raise self.broken
            text = f"the database refused the value: {said}; {_shown(taken.record, self._key)}"
            self.refusals.append(Refusal(taken.row, Unfit(text), self._kept))

    def __repr__(self) -> str:
        return f"<SqlSink {self.name}, {len(self._batch)} rows waiting>"


def _digest(content: Any) -> str:
    """Return what an input is known by that has no key."""
    return hashlib.blake2b(msgspec.json.encode(content, order="sorted"), digest_size=16).hexdigest()


def _storable(text: Any) -> Any:
    """Return a text without NUL, which PostgreSQL has no place for."""
    return text.replace("\0", "\\u0000") if isinstance(text, str) else text


def _shown(record: dict[str, Any], key: str) -> str:
    """Return the value in a record as JSON, for a message: it may be nowhere else."""
    value = {name: it for name, it in record.items() if name not in (key, *OURS)}
    try:
        return json_text(value).decode()
    except ValueError:  # half of a character, which stands there as `\\ud83d`
        return json.dumps(value, default=str)


def _same(one: Any, other: Any) -> bool:
    """Whether a field of a value is the key: what was read from CSV is text, whatever the function made of it."""
    return bool(one == other) or str(one) == str(other)


def _refuse_to_replace(database: Database) -> None:
    with database.refusing("cannot be read"), database.engine.connect() as connection:
        some = connection.exec_driver_sql(f"SELECT 1 FROM {database.quoted_table} LIMIT 1").first()
    if some is not None:
        raise Refused(
            f"{database.shown} has rows already",
            "those with the key of an input would be replaced, the others kept",
            remedy="--overwrite",
        )


_decode = msgspec.json.Decoder().decode
