"""A book that is looked at after each entry: is every input in one state, and did it come there by the table?

The table is the one in the first lines of `engine/book.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from whilst.core.outcome import Record
from whilst.engine import book
from whilst.engine.book import Book, Phase

_ROWS = re.findall(r"^\| ([A-Z]+) \|.*\| ([A-Z, ]*)\|$", book.__doc__ or "", re.MULTILINE)
TABLE = {state: {*re.findall("[A-Z]+", following)} for state, following in _ROWS}


def reachable(state: str) -> set[str]:
    """Return what may come of a state, with what may come between two looks."""
    found, todo = {state} - {"DONE"}, [state]
    while todo:
        for following in TABLE[todo.pop()]:
            if following not in found:
                found.add(following)
                todo.append(following)
    return found | {state}


REACHABLE = {state: reachable(state) for state in TABLE}


class CheckedBook(Book):
    """What a run has instead of its book, in tests."""

    looks = 0

    def __init__(self, host: Any, *args: Any) -> None:
        self.through: set[int] = set()
        self.states: dict[int, str] = {}
        self.phases = [Phase.READING]
        *rest, push = args
        super().__init__(host, *rest, self._noting(push))

    def _noting(self, push: Callable[[Record], None]) -> Callable[[Record], None]:
        def noted(record: Record) -> None:
            assert record[0] not in self.through, f"input {record[0]} has two outcomes"
            self.through.add(record[0])
            push(record)

        return noted

    def check(self) -> None:
        """Look at all inputs; AssertionError says what is wrong."""
        if self.phase >= Phase.CLOSING or not hasattr(self, "source"):
            return
        CheckedBook.looks += 1
        waiting = [index for index, _ in self.queue]
        if self.gate is not None:
            lines = self.gate.lines
            waiting += [index for line in lines for index, _ in line.pending]
            if lines.only is None:
                waiting += [index for index, _ in (*self.gate.inbox, *self.gate._again)]
        if self._apart:
            waiting += [index for index, _ in (*self.source.inbox, *self._asked)]
        retrying = [index for _, index in self.attempts._heap] if self.attempts is not None else []
        held = [record[0] for record, _ in self.keeping._held] if self.keeping is not None else []
        found = dict.fromkeys(self.through, "DONE")
        for state, indexes in (("WAITING", waiting), ("RETRYING", retrying), ("HELD", held)):
            for index in indexes:
                assert index not in found, f"input {index} is {found[index]} and {state}"
                found[index] = state
        for index, state in found.items():
            before = self.states.get(index, "WAITING")
            assert state in REACHABLE[before], f"input {index} was {before} and is {state}"
        self.states.update(found)
        assert self.unwanted + len(self.through) == self.done
        in_states = len(waiting) + len(retrying) + len(held)
        looking = self.keeping.looking if self.keeping is not None else 0
        assert in_states + looking + self.done <= self.source.admitted, "more than was admitted"

    def enter(self, phase: Phase) -> None:
        super().enter(phase)
        assert self.phase >= self.phases[-1]
        self.phases.append(self.phase)

    def emit(self, record: Record) -> None:
        super().emit(record)
        self.check()

    def give(self, record: Record) -> None:
        super().give(record)
        self.check()

    def known(self, records: list[Record]) -> None:
        super().known(records)
        self.check()

    def forget(self, count: int) -> None:
        super().forget(count)
        self.check()

    def pump(self) -> None:
        super().pump()
        self.check()
