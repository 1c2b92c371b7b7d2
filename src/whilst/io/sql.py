"""How are rows of a database read, without ever holding all of them?

A table with a primary key is read a batch at a time, each after the last key of the one before, so no transaction
lasts longer than a batch; one of SQLite without such a key by the numbers that SQLite gives its rows. A view, a query,
and a table of PostgreSQL without such a key are read through one cursor, in one read-only transaction. Values are what
the driver gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from .database import Database, reach, unwarned
from .jsonl import plain
from .refusal import BrokenInput, Refused, load_extra, twice_in
from .rows import MAX_ROW, Rejected, Row, rejected
from .sql_errors import persist

if TYPE_CHECKING:
    from .open import Input
    from .sink import Sink

_ROWIDS = ("rowid", "_rowid_", "oid")  # what SQLite calls the number of a row, unless a column is called so
_SIZED = (str, bytes, dict, list)

FIRST, MOST = 16, 1000  # rows a batch: it grows from the first as long as rows are small
BATCH_BYTES = 4 * 1024 * 1024


def open_rows(name: str) -> Input:
    """Open a table or a query; Refused if it is not there or the database cannot be reached."""
    from .open import Input

    database = reach(name)
    with database.refusing("cannot be read"):
        names = list(database.columns()) if database.table else []
    if database.table and not names:
        raise database.missing_table()
    source = _Query(database, names)
    return Input(database.shown, "sql", source, source.rows, is_table=True)


def open_sink(name: str, *, overwrite: bool) -> Sink:
    """Open a table to write to; see `SqlSink`."""
    from .sql_sink import open_table

    return open_table(name, overwrite=overwrite)


class _Query:
    """The rows of a table or query, as far as they were read."""

    size: int | None = None

    def __init__(self, database: Database, names: list[str], limit: int = MAX_ROW) -> None:
        self.consumed: int = 0
        self._database = database
        self._names = names
        self._limit = limit
        self._sa: Any = load_extra("sqlalchemy", "sql", "a database")

    @property
    def locks(self) -> bool:
        """Whether nobody can write to the file while it is read; Refused if the database does not say."""
        if not self._database.is_sqlite:
            return False
        with self._database.refusing("cannot be read"), self._database.engine.connect() as connection:
            is_logged = connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            return not is_logged and not (self._database.table and self._keys())

    def rows(self) -> Iterator[Row | Rejected]:
        try:
            keys = self._keys() if self._database.table else []
            for names, values in self._by_key(keys) if keys else self._by_cursor():
                self.consumed += 1
                yield _row(self.consumed, dict(zip(names, values, strict=True)), self._limit)
        except self._sa.exc.SQLAlchemyError as error:
            said = self._database.said(error)
            if not self.consumed:
                raise ValueError(said) from None
            raise BrokenInput(f"{said} (after row {self.consumed:,})") from None

    def close(self) -> None:
        """Do nothing: connections live as long as their batch."""

    def _keys(self) -> list[str]:
        """Return what orders all rows: a primary key, in which SQLite allows NULL unless it is an INTEGER one."""
        database = self._database
        inspector = self._sa.inspect(database.engine)
        keys: list[str] = inspector.get_pk_constraint(database.table, database.schema or None)["constrained_columns"]
        if database.is_sqlite:
            with unwarned():
                columns = {it["name"]: it for it in inspector.get_columns(database.table)}
            if len(keys) == 1 and str(columns[keys[0]]["type"]).upper() == "INTEGER":
                return keys
            return keys if keys and all(not columns[key]["nullable"] for key in keys) else self._rowid()
        return keys

    def _rowid(self) -> list[str]:
        """Return the name by which the rows of a table of SQLite are numbered; none for a view."""
        taken = [name.lower() for name in self._names]
        kind = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND name = ? COLLATE NOCASE"
        with self._database.engine.connect() as connection:
            if connection.exec_driver_sql(kind, (self._database.table,)).first() is None:
                return []
        return [next(name for name in _ROWIDS if name not in taken)] if not {*_ROWIDS} <= {*taken} else []

    def _by_key(self, keys: list[str]) -> Iterator[tuple[list[str], Any]]:
        sa, names = self._sa, self._names
        width = len(names)
        table = self._database.clause([*names, *(key for key in keys if key not in names)])
        order = [table.c[key] for key in keys]
        places = [list(table.c.keys()).index(key) for key in keys]
        select = sa.select(*table.c).order_by(*order)
        last: list[Any] | None = None
        size = FIRST
        while True:
            query = select.limit(size)
            if last is not None:
                given = [sa.bindparam(None, value, type_=sa.types.NullType()) for value in last]
                after = sa.tuple_(*order) > sa.tuple_(*given) if len(keys) > 1 else order[0] > given[0]
                query = query.where(after)
            rows: list[Any] = persist(self._database.engine, partial(_fetched, query))
            yield from ((names, row[:width]) for row in rows)
            if len(rows) < size:
                return
            last = [rows[-1][place] for place in places]
            size = _next_size(size, rows)

    def _by_cursor(self) -> Iterator[tuple[list[str], Any]]:
        database = self._database
        options: dict[str, Any] = {"stream_results": True, "no_parameters": True, "max_row_buffer": MOST}
        if not database.is_sqlite:
            options["postgresql_readonly"] = True
        query = database.query or f"SELECT * FROM {database.quoted_table}"
        with database.engine.connect().execution_options(**options) as connection:
            result = connection.exec_driver_sql(query)
            if not result.returns_rows:
                raise Refused(f"the query of {database.shown} gives no rows", remedy="query=SELECT …")
            names = list(result.keys())
            if (twice := twice_in(names)) is not None:
                raise ValueError(f"it names the column {twice!r} twice")
            size = FIRST
            while rows := result.fetchmany(size):
                yield from ((names, row) for row in rows)
                size = _next_size(size, rows)


def _fetched(query: Any, connection: Any) -> list[Any]:
    rows: list[Any] = connection.execute(query).fetchall()
    return rows


def _next_size(size: int, rows: Any) -> int:
    held = sum(len(cell) for row in rows for cell in row if type(cell) in _SIZED)
    return max(1, size // 4) if held > BATCH_BYTES else min(MOST, size * 2)


def _row(number: int, value: dict[str, Any], limit: int) -> Row | Rejected:
    for name, cell in value.items():
        if type(cell) is UnicodeDecodeError:
            where = f"byte 0x{cell.object[cell.start]:02x} in column {name!r}"
            return rejected(number, f"not UTF-8: {where}", cell.object)
    try:
        raw = _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        return rejected(number, str(error), repr(value)[:200].encode())
    if len(raw) > limit:
        return rejected(number, f"the row has {len(raw):,} bytes, the limit is {limit:,}", raw)
    return Row(number, value, raw)


def _text(value: Any) -> Any:
    """Write what a driver has a type of its own for (ranges, addresses) as its text."""
    if isinstance(value, Exception):  # in place of a value: see `postgres`
        raise ValueError(f"a value has no meaning in Python: {' '.join(str(value).split())[:200]}")
    try:
        return plain(value)
    except TypeError:
        return str(value)


_encode = msgspec.json.Encoder(enc_hook=_text).encode
