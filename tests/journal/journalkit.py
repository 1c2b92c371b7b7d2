"""A run reduced to its journal: opens one, admits, calls, adds, closes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whilst.journal import Journal
from whilst.journal.ledger import Ledger


def double(x: Any) -> Any:
    return x * 2


@dataclass
class Ran:
    """What a run gave and did."""

    outcomes: dict[int, Any] = field(default_factory=dict)
    called: list[Any] = field(default_factory=list)
    notices: tuple[str, ...] = ()
    found: tuple[int, int] = (0, 0)
    broken: list[Exception] = field(default_factory=list)

    @property
    def values(self) -> list[Any]:
        return [self.outcomes[index] for index in sorted(self.outcomes)]


def record(index: int, item: Any, fn: Callable[[Any], Any], attempts: int = 1) -> Any:
    """Call `fn` the way a lane does."""
    try:
        return (index, item, fn(item), None, 0.25, 0.5, attempts)
    except Exception as error:
        return (index, item, None, error, 0.25, 0.5, attempts)


def opened(
    path: Path,
    fn: Callable[[Any], Any] = double,
    *,
    name: str = "",
    broken: Callable[[Exception], None] = lambda error: None,
    durable: Callable[[int], None] = lambda count: None,
    lost: Callable[[int], None] = lambda count: None,
    **options: Any,
) -> Ledger:
    """Open a ledger on the running loop; `durable` and `lost` hear of how many outcomes that is said."""
    journal = Journal(path, **options)
    ledger = journal._ledger(fn, name=name or getattr(fn, "__name__", "fn"), loop=asyncio.get_running_loop())
    ledger.attach(
        settled=lambda count, error: durable(count) if error is None else lost(count),
        broken=broken,
        found=lambda: None,
        started=0.0,  # the records of this kit have times of a clock that was 0 then
    )
    return ledger


async def admitted(ledger: Ledger, pairs: Iterable[tuple[int, Any]]) -> tuple[list[tuple[int, Any]], list[Any]]:
    """Admit inputs and wait until all are known or to be called; return both, in order."""
    inbox, calls, known = deque(pairs), list[tuple[int, Any]](), list[Any]()
    while inbox or ledger.looking:
        some, records = ledger.admit(inbox, len(inbox))
        calls += some
        known += records
        if not inbox and ledger.looking and not ledger.has_found:
            await asyncio.sleep(0.0002)
    return sorted(calls, key=lambda each: each[0]), sorted(known, key=lambda each: each[0])


def drive(
    path: Path,
    inputs: Iterable[Any],
    fn: Callable[[Any], Any] = double,
    *,
    batch: int = 100,
    name: str = "",
    **options: Any,
) -> Ran:
    """Run `fn` over inputs with a journal, from opening to close."""

    async def main() -> Ran:
        ran = Ran()
        ledger = opened(path, fn, name=name, broken=ran.broken.append, **options)
        ran.notices, ran.found = ledger.notices, (ledger.done, ledger.failed)
        given = list(enumerate(inputs))
        try:
            for start in range(0, len(given), batch):
                await give(ledger, given[start : start + batch], fn, ran)
            with contextlib.suppress(Exception):
                await ledger.flush()
        finally:
            await ledger.close()
        return ran

    return asyncio.run(main())


async def give(ledger: Ledger, pairs: Sequence[tuple[int, Any]], fn: Callable[[Any], Any], ran: Ran) -> None:
    """Admit inputs, call those that are to be called, and write their outcomes down."""
    calls, known = await admitted(ledger, pairs)
    for index, _, value, error, *_ in known:
        ran.outcomes[index] = value if error is None else error
    for index, item in calls:
        ran.called.append(item)
        made = record(index, item, fn)
        ledger.add(made)
        ran.outcomes[index] = made[2] if made[3] is None else made[3]


def crash_copy(path: Path, to: Path) -> Path:
    """Copy a journal in use, as a crash would leave it: what tells of the end first, then what it tells of."""
    to.mkdir(parents=True, exist_ok=True)
    for more in (".tail", "-wal", ""):
        if (source := path.with_name(path.name + more)).exists():
            shutil.copyfile(source, to / source.name)
    return to / path.name


def crashed(path: Path, rounds: int, *, size: int = 50, blob: int = 0) -> Path:
    """Make a journal whose last commits stand in the write-ahead log, as a killed run leaves it; return its copy."""

    async def main() -> Path:
        ledger = opened(path, padded)
        ran = Ran()
        for number in range(rounds):
            await give(ledger, [(i, (i, blob)) for i in range(number * size, (number + 1) * size)], padded, ran)
            await ledger.flush()
        copy = crash_copy(path, path.parent / "crashed")
        await ledger.close()
        return copy

    return asyncio.run(main())


def padded(pair: tuple[int, int]) -> list[Any]:
    """A value that can be told right from wrong, of a size."""
    number, size = pair
    return [number, f"{number:>8}" * (size // 8)]
