"""How are rows written in batches, so that one that is refused costs itself, and a lost connection nothing?

A batch is one transaction. Where the database refuses a row of it, halves are tried, and halves of those: a single bad
row of 10,000 costs some thirty transactions. What passes (a restarted server, a lock, a deadlock) is tried again for a
minute: rows are upserted, so writing them twice changes nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .database import Database
from .rows import Row
from .sql_errors import is_too_large, meaning, persist
from .sql_table import Table

SURE = 3  # rows that are too large with the columns that they would make; then all of the batch are


class Taken(msgspec.Struct, frozen=True, gc=False):
    """One row on its way: its columns, and the input it belongs to; `value` is what the function returned.

    Attributes:
        row: None for a failure, which has no failure of its own.
    """

    record: dict[str, Any]
    row: Row | None


class BatchWriter:
    """Writes batches into a table, which it makes and alters where it is ours."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table

    def write(self, batch: list[Taken], *, with_inputs: bool) -> list[tuple[Taken, Exception]]:
        """Write a batch and return the rows that the database refused, with its reasons; what ends it is raised."""
        refused: list[tuple[Taken, Exception]] = []
        pieces = [batch]

        def work(connection: Any) -> None:
            while pieces:
                pieces[:1] = self._tried(connection, pieces[0], refused, with_inputs)

        persist(self._database.engine, work, lambda: len(pieces) + len(refused))
        return refused

    def settle(self) -> None:
        """Make what the table still lacks at the end."""

        def work(connection: Any) -> None:
            with self._database.writing(connection):
                self._table.settle(connection)

        persist(self._database.engine, work, lambda: 0)

    def _tried(
        self, connection: Any, piece: list[Taken], refused: list[tuple[Taken, Exception]], with_inputs: bool
    ) -> list[list[Taken]]:
        """Write a piece; return the pieces to try in its place, if a row of it was refused."""
        before = dict(self._table.columns), self._table.exists
        try:
            with self._database.writing(connection):
                records = self._last_of_each_key(piece)
                self._table.make_room(connection, records, with_inputs=with_inputs)
                self._table.upsert(connection, records)
        except BaseException as error:
            grew = self._table.columns.keys() != before[0].keys()
            self._table.columns, self._table.exists = before  # what was altered is not so any more
            if not isinstance(error, Exception) or meaning(error) != "row":
                raise
            # To make a thousand columns for each row takes hours: a few tell that none fits.
            is_for_all = grew and len(refused) >= SURE and is_too_large(error)
            if len(piece) == 1 or is_for_all:
                refused += [(each, error.with_traceback(None)) for each in piece]
                return []
            half = len(piece) // 2
            return [piece[:half], piece[half:]]
        return []

    def _last_of_each_key(self, piece: list[Taken]) -> list[dict[str, Any]]:
        """Return the records with the last of each key: PostgreSQL refuses to write a row twice in a statement."""
        key = self._table.key
        last = {it.record[key]: it.record for it in piece if it.record[key] is not None}
        return [*last.values(), *(it.record for it in piece if it.record[key] is None)]
