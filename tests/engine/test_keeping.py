"""The seam between a run and its journal, with a ledger that does what the test says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit import alone, asynchronously, outcomes_until_error, values_until_error, virtually
from policykit import Final, Server, busy, reset

import whilst
from whilst import testing
from whilst.core.outcome import ELSEWHEN, Record
from whilst.engine import keeping

AT_ONCE = whilst.Retry(attempts=3, base=0.0, breaker=False, budget=None)


class Unfit(ValueError):
    pass


class FakeLedger:
    """Commits what was added each `every` seconds, or when told; remembers in which order things happened."""

    def __init__(
        self,
        *,
        strict: bool = False,
        every: float | None = 0.5,
        known: dict[int, Any] | None = None,
        nameless: frozenset[int] = frozenset(),
        unstorable: frozenset[int] = frozenset(),
        breaks_at: float | None = None,
        rescues: bool = True,
        lookup: float | None = None,
    ) -> None:
        self.strict, self.notices, self.run_id = strict, ("the tail was cut",), b"journal"
        self.every, self.known, self.nameless = every, known or {}, nameless
        self.unstorable, self.breaks_at = unstorable, breaks_at
        self.lookup, self.looking = lookup, 0
        self.answers: list[Record] = []
        self.added: list[Record] = []
        self.safe: list[int] = []
        self.pending: list[Record] = []
        self.called = 0
        self.error: whilst.JournalError | None = None
        self.rescues = rescues
        self.closed = self.flushes = 0
        self.timer: asyncio.TimerHandle | None = None
        self.waiting: list[asyncio.Future[None]] = []
        self.loop = asyncio.get_running_loop()

    @property
    def unwritten(self) -> int:
        return self.called - len(self.safe)

    def identity(self, index: int) -> bytes | None:
        return b"input %d" % index

    def attach(
        self,
        *,
        settled: Callable[[int, whilst.JournalError | None], None],
        broken: Callable[[Exception], None],
        found: Callable[[], None],
        started: float,
    ) -> None:
        self.settled, self.broken, self.found = settled, broken, found
        if self.breaks_at is not None:
            self.timer_of_doom = self.loop.call_later(self.breaks_at, self.snap)

    def admit(self, inbox: deque[tuple[int, Any]], most: int) -> tuple[list[tuple[int, Any]], list[Record]]:
        """Take at most three at once; what is known is said at once, or looked up for a while."""
        calls, records = [], []
        for _ in range(min(most, len(inbox), 3)):
            index, item = inbox.popleft()
            if index in self.nameless:
                records.append((index, item, None, Unfit(item), 0.0, 0.0, 0))
            elif index in self.known:
                value = self.known[index]
                failed = isinstance(value, Exception)
                record = (index, item, None if failed else value, value if failed else None, ELSEWHEN, 0.125, 1)
                if self.lookup is None:
                    records.append(record)
                    continue
                self.looking += 1
                self.loop.call_later(self.lookup, self.look_up, record)
            else:
                calls.append((index, item))
                self.called += 1
        records += self.answers
        self.looking -= len(self.answers)
        self.answers = []
        return calls, records

    @property
    def has_found(self) -> bool:
        return bool(self.answers)

    def look_up(self, record: Record) -> None:
        self.answers.append(record)
        self.found()

    def add(self, record: Record) -> None:
        if record[0] in self.unstorable and record[3] is None:
            raise whilst.JournalError("fake.db cannot keep this")
        self.added.append(record)
        self.pending.append(record)
        if self.timer is None and self.every is not None:
            self.timer = self.loop.call_later(self.every, self.commit)

    def commit(self) -> None:
        """Store what is pending; from when it broke on in the rescue file, if that takes it."""
        self.timer = None
        count, self.pending, batch = len(self.pending), [], self.pending
        is_lost = self.error is not None and not self.rescues
        if not is_lost:
            self.safe += [record[0] for record in batch]
        if count:
            self.settled(count, self.error if is_lost else None)
        for future in self.waiting:
            if not future.done():
                future.set_result(None)
        self.waiting.clear()

    def snap(self) -> None:
        self.error = whilst.JournalError("fake.db cannot be written any more")
        self.every = self.every or 0.0
        self.broken(self.error)
        self.commit()

    async def flush(self) -> None:
        self.flushes += 1
        if self.pending:
            future = self.loop.create_future()
            self.waiting.append(future)
            if self.timer is None:
                self.timer = self.loop.call_soon(self.commit)  # type: ignore[assignment]
            await future
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        self.closed += 1
        if self.timer is not None:
            self.timer.cancel()
        if self.error is None:
            self.safe += [record[0] for record in self.pending]
            self.pending = []
        if self.breaks_at is not None:
            self.timer_of_doom.cancel()
        for future in self.waiting:
            if not future.done():
                future.set_result(None)

    def close_now(self) -> None:
        self.closed += 1


class Journal:
    """What `map` is given; opens the fake."""

    def __init__(self, ledger: FakeLedger) -> None:
        self.ledger = ledger

    async def _aledger(self, fn: object, *, name: str) -> FakeLedger:
        return self.ledger


def kept(server: Any, inputs: Any, ledger: FakeLedger, **more: Any) -> whilst.Run[Any, Any]:
    run = whilst.map(server, inputs, **more)
    run._plan = run._plan._replace(journal=Journal(ledger))
    return run


# -- when outcomes are given -----------------------------------------------------------------------------------------


@virtually
async def test_buffered_outcomes_are_given_at_once_and_the_iteration_ends_when_all_is_durable() -> None:
    loop, ledger, when = asyncio.get_running_loop(), FakeLedger(every=10.0), []
    async for _ in kept(Server(), range(3), ledger, concurrency=3):
        when.append(loop.time())  # noqa: PERF401 - the time is read as each comes
    assert when == [1, 1, 1]
    assert loop.time() == 11
    assert sorted(ledger.safe) == [0, 1, 2]
    assert (ledger.flushes, ledger.closed) == (1, 1)


@virtually
async def test_strict_outcomes_are_given_only_once_they_are_durable() -> None:
    ledger, server = FakeLedger(strict=True, every=0.3), Server()
    run = kept(server, range(12), ledger, concurrency=3)
    async for outcome in run.outcomes():
        assert outcome.index in ledger.safe
    assert (run.summary().ok, run.summary().in_flight) == (12, 0)


@virtually
async def test_a_strict_journal_holds_the_lanes_slot_until_the_row_is_durable() -> None:
    ledger, server = FakeLedger(strict=True, every=None), Server()
    task = asyncio.ensure_future(values_until_error(kept(server, range(12), ledger, concurrency=3)))
    for committed in (3, 6, 9, 12):
        await asyncio.sleep(50)
        assert len(server.calls) == committed
        ledger.commit()
    assert await task == ([*range(12)], None)


def gate_of(run: Any, before: Any) -> Any:
    """Return the gate of a run that goes on, which lets go of it at its end."""
    return before if before is not None else run._driver.book.gate


@virtually
async def test_outcomes_that_never_had_a_slot_free_none() -> None:
    """What a `by` fails, and what waited for a retry, is in the journal without ever having held a lane."""

    def by(item: int) -> int:
        if item < 4:
            raise Unfit(item)
        return 0

    ledger, server = FakeLedger(strict=True, every=0.4), Server()
    run = kept(server, range(40), ledger, concurrency=2, limit=whilst.Limit(concurrency=50, by=by))
    gate = None
    seen: list[bool] = []
    async for outcome in run.outcomes():
        gate = gate_of(run, gate)
        seen.append(outcome.ok)
    assert seen == [False] * 4 + [True] * 36
    assert gate is not None
    assert gate.lines.slots.free == run._plan.concurrency
    held = [when for when, item in server.starts]
    assert all(held.count(when) <= 2 for when in held)


@virtually
async def test_attempts_that_fail_free_their_slot_although_the_journal_is_strict() -> None:
    ledger, server = FakeLedger(strict=True, every=5.0), Server({0: [reset, reset, None], 1: [reset, None]})
    run = kept(server, range(6), ledger, concurrency=1, retry=AT_ONCE)
    gate, values = None, []
    async for value in run:
        gate = gate_of(run, gate)
        values.append(value)
    assert values == [*range(6)]
    assert [record[6] for record in sorted(ledger.added, key=lambda r: r[0])] == [3, 2, 1, 1, 1, 1]
    assert gate is not None
    assert gate.lines.slots.free == run._plan.concurrency


# -- what the journal knows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("source", [list, asynchronously, iter])
@pytest.mark.parametrize("lookup", [None, 0.0, 1.5])
def test_recalled_outcomes_stand_in_their_place_and_are_not_called(
    ordered: bool, strict: bool, source: Any, lookup: float | None
) -> None:
    @virtually
    async def main() -> None:
        ledger = FakeLedger(strict=strict, known={1: "one", 2: Final("two"), 7: "seven"}, lookup=lookup)
        server = Server()
        run = kept(server, source(range(9)), ledger, concurrency=2, ordered=ordered)
        seen = {o.index: o async for o in run.outcomes()}
        if ordered:
            assert [*seen] == [*range(9)]
        assert sorted(server.calls) == [0, 3, 4, 5, 6, 8]
        assert (seen[1].value, seen[7].value, type(seen[2].error)) == ("one", "seven", Final)
        assert {index: o.started for index, o in seen.items() if o.recalled} == {1: None, 2: None, 7: None}
        assert (seen[1].took, seen[0].started) == (0.125, 0.0)
        end = run.summary()
        assert (end.ok, end.failed, end.recalled) == (8, 1, 3)
        assert sorted(record[0] for record in ledger.added) == sorted(server.calls)
        assert end.notes == ("the tail was cut",)

    main()


@virtually
async def test_a_recalled_failure_raises_at_its_place_in_values() -> None:
    error = Final("then")
    ledger, server = FakeLedger(known={3: error}), Server()
    values, raised = await values_until_error(kept(server, range(9), ledger, concurrency=6))
    assert (values, raised) == ([0, 1, 2], error)
    assert all(item < 3 for item in server.calls)


@virtually
async def test_inputs_without_identity_fail_alone() -> None:
    ledger = FakeLedger(nameless=frozenset({2}))
    run = kept(Server(), range(5), ledger)
    seen = [o async for o in run.outcomes()]
    assert [type(o.error) for o in seen if not o.ok] == [Unfit]
    assert (run.summary().recalled, run.summary().failed, run.summary().ok) == (0, 1, 4)


@virtually
async def test_a_run_of_which_all_is_known_calls_nothing_and_ends() -> None:
    ledger, server = FakeLedger(known=dict(enumerate("abcdefgh"))), Server()
    assert await kept(server, range(8), ledger, concurrency=2) == [*"abcdefgh"]
    assert not server.calls


@virtually
async def test_what_the_journal_knows_hides_no_failure_that_all_calls_share() -> None:
    class Unauthorized(Exception):
        status = 401

    ledger = FakeLedger(known=dict.fromkeys(range(500), "known"))
    server = Server({item: [Unauthorized] for item in range(10_000)})
    run = kept(server, range(10_000), ledger, concurrency=5)
    _, raised = await outcomes_until_error(run)
    assert isinstance(raised, whilst.Stopped)
    assert "50 of the first 50 calls of Server failed the same way: 401 Unauthorized" in str(raised)
    assert len(server.calls) <= 60


@virtually
async def test_old_failures_alone_are_no_reason_to_stop() -> None:
    class Unauthorized(Exception):
        status = 401

    ledger = FakeLedger(known={item: Unauthorized() for item in range(100)})
    seen, raised = await outcomes_until_error(kept(Server(), range(150), ledger))
    assert raised is None
    assert len(seen) == 150


# -- when the journal cannot -----------------------------------------------------------------------------------------


@virtually
async def test_reading_halts_while_the_writer_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_UNWRITTEN", 20)
    ledger, server = FakeLedger(every=None), Server(naps=lambda item, attempt: 0.01)
    task = asyncio.ensure_future(values_until_error(kept(server, range(300), ledger, concurrency=4)))
    await asyncio.sleep(100)
    assert len(server.calls) == 24
    while not task.done():
        ledger.commit()
        await asyncio.sleep(1)
    assert await task == ([*range(300)], None)


@pytest.mark.parametrize("rescues", [True, False])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_journal_that_breaks_stops_the_run_and_what_was_held_is_given(
    strict: bool, concurrency: int, rescues: bool
) -> None:
    @virtually
    async def main() -> None:
        every = None if strict else 0.1
        ledger = FakeLedger(strict=strict, every=every, breaks_at=3.5, rescues=rescues)
        server = Server({2: [reset]}, naps=lambda item, attempt: 1.0)
        run = kept(server, range(99), ledger, concurrency=concurrency, ordered=False, retry=whilst.Retry(base=30.0))
        seen: list[Any] = []
        raised = await into(seen, run)
        assert isinstance(raised, whilst.JournalError)
        assert len(seen) == len(server.calls) == run.summary().ok + run.summary().failed
        assert sum(o.ok for o in seen) == run.summary().ok
        assert server.ends[-1][0] <= 5
        assert ledger.closed == 1
        if strict:
            assert {o.index for o in seen if o.ok} <= set(ledger.safe)
            assert any(not o.ok and isinstance(o.error, whilst.JournalError) for o in seen) == (not rescues)
        else:
            assert {o.index for o in seen if not o.ok} <= {2}

    main()


async def into(seen: list[Any], run: whilst.Run[Any, Any]) -> BaseException | None:
    """Gather the outcomes of a run; return what ended it."""
    try:
        async for outcome in run.outcomes():
            seen.append(outcome)  # noqa: PERF401 - what was seen before an error counts
    except Exception as error:
        return error
    return None


@virtually
async def test_a_strict_value_that_was_lost_raises_at_its_place_and_says_that_the_call_returned() -> None:
    ledger = FakeLedger(strict=True, every=1.0, breaks_at=3.5, rescues=False)
    values, raised = await values_until_error(kept(Server(), range(9), ledger, concurrency=1))
    assert values == ledger.safe
    assert isinstance(raised, whilst.JournalError)
    assert "the call returned, and its value could not be stored" in str(raised)
    assert raised.__notes__ == [f"whilst: input {len(values)} was {len(values)}, attempt 1"]


@pytest.mark.parametrize("strict", [True, False])
def test_a_value_that_cannot_be_stored_is_the_failure_of_its_input_and_stops_the_run(strict: bool) -> None:
    @virtually
    async def main() -> None:
        ledger, server = FakeLedger(strict=strict, unstorable=frozenset({4})), Server()
        run = kept(server, range(99), ledger, concurrency=2)
        seen: list[Any] = []
        raised = await into(seen, run)
        assert isinstance(raised, whilst.JournalError)
        assert [o.index for o in seen if not o.ok] == [4]
        assert seen[4].error is raised
        assert set(server.calls) == {o.index for o in seen} == set(ledger.safe)
        assert len(server.calls) <= 8
        assert (run.summary().failed, run.summary().ok) == (1, len(seen) - 1)

    main()


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("word", ["drain", "cancel", "leave", "deadline"])
def test_however_a_run_ends_its_journal_is_flushed_and_closed_once(word: str, strict: bool) -> None:
    @virtually
    async def main() -> None:
        ledger, server = FakeLedger(strict=strict, every=0.7), Server({1: [reset], 2: [busy(50.0)]})
        deadline = 4.5 if word == "deadline" else None
        run = kept(server, range(99), ledger, concurrency=3, retry=whilst.Retry(base=9.0, cap=9.0), deadline=deadline)

        async def take() -> list[int]:
            seen = []
            async with run:
                async for outcome in run.outcomes():
                    seen.append(outcome.index)
                    if word == "leave" and len(seen) > 3:
                        break
            return seen

        task = asyncio.ensure_future(take())
        if word in ("drain", "cancel"):
            await asyncio.sleep(4.5)
            getattr(run, word)()
        await asyncio.wait([task])
        assert ledger.closed == 1
        assert sorted(ledger.safe) == sorted(record[0] for record in ledger.added)
        if word == "drain":
            assert sorted(task.result()) == sorted(server.calls) == sorted(ledger.safe)
        error = task.exception()
        assert isinstance(error, whilst.RunCancelled) == (word == "cancel")
        if word == "deadline":
            assert isinstance(error, whilst.DeadlineExceeded)
            assert set(server.calls) <= set(ledger.safe)

    main()


@example(  # it is cancelled as it ends
    strict=True,
    every=0.2,
    known=frozenset(),
    nameless=frozenset(),
    failing={},
    concurrency=4,
    ordered=True,
    limited=False,
    word="cancel",
    moment=6.0,
    lookup=None,
)
@pytest.mark.usefixtures("checked_book")
@settings(max_examples=150)
@given(
    strict=st.booleans(),
    every=st.sampled_from([0.0, 0.2, 3.0]),
    known=st.frozensets(st.integers(0, 19), max_size=8),
    nameless=st.frozensets(st.integers(0, 19), max_size=2),
    failing=st.dictionaries(st.integers(0, 19), st.sampled_from([[reset], [reset, None], [Final], [busy(2.0), None]])),
    concurrency=st.integers(1, 5),
    ordered=st.booleans(),
    limited=st.booleans(),
    word=st.sampled_from(["", "", "drain", "cancel"]),
    moment=st.sampled_from([0.0, 0.5, 1.0, 2.2, 6.0]),
    lookup=st.sampled_from([None, 0.0, 0.7]),
)
def test_with_a_journal_nothing_is_lost_and_nothing_is_written_twice(
    strict: bool,
    every: float,
    known: frozenset[int],
    nameless: frozenset[int],
    failing: dict[int, list[Any]],
    concurrency: int,
    ordered: bool,
    limited: bool,
    word: str,
    moment: float,
    lookup: float | None,
) -> None:
    async def main() -> None:
        names = dict.fromkeys(known, "known")
        ledger = FakeLedger(strict=strict, every=every, known=names, nameless=nameless, lookup=lookup)
        server, seen = Server(failing), []
        limit = whilst.Limit(concurrency=2) if limited else None
        run = kept(server, range(20), ledger, concurrency=concurrency, ordered=ordered, limit=limit, retry=AT_ONCE)

        async def take() -> None:
            async for outcome in run.outcomes():
                seen.append(outcome)
                assert not strict or outcome.index in known | nameless or outcome.index in ledger.safe or word

        task = asyncio.ensure_future(take())
        too_late = []
        if word:
            await asyncio.sleep(moment)
            asyncio.get_running_loop().call_soon(lambda: too_late.append(run.summary().finished == 20))  # as it arrives
            getattr(run, word)()
        await asyncio.wait([task])
        indexes = [outcome.index for outcome in seen]
        written = [record[0] for record in ledger.added]
        assert len(set(indexes)) == len(indexes)
        assert len(set(written)) == len(written)
        assert sorted(ledger.safe) == sorted(written)
        assert not set(written) & (known | nameless)
        assert ledger.closed == 1
        if not word:
            assert sorted(indexes) == [*range(20)]
        if word != "cancel":
            assert set(server.calls) <= set(written) <= set(indexes)
        assert isinstance(task.exception(), whilst.RunCancelled) == (word == "cancel" and too_late == [False])
        assert server.most_in_all <= min(concurrency, 2 if limited else 99)
        end = run.summary()
        assert (end.in_flight, end.waiting, end.done) == (0, 0, True)
        assert limit is None or limit.statistics().in_flight == 0

    testing.run(alone(main()))


def test_a_loop_in_plain_code_hears_that_the_last_rows_could_not_be_stored() -> None:
    """It asks for more when all is done: that the journal is whole then is awaited, as in async code."""

    class Breaking(FakeLedger):
        async def flush(self) -> None:
            self.flushes += 1
            raise whilst.JournalError("fake.db cannot be written any more")

    ledgers: list[FakeLedger] = []

    class Opened:
        path = "fake.db"

        def _ledger(self, fn: object, *, name: str, loop: asyncio.AbstractEventLoop) -> FakeLedger:
            async def make() -> FakeLedger:
                return Breaking(every=None)

            ledgers.append(asyncio.run_coroutine_threadsafe(make(), loop).result(20))
            return ledgers[0]

    run = whilst.map(str, range(3))
    run._plan = run._plan._replace(journal=Opened())
    values: list[str] = []
    with pytest.raises(whilst.JournalError, match="cannot be written any more"):
        values.extend(run)  # what comes before the error stays
    assert values == ["0", "1", "2"]
    assert ledgers[0].flushes == 1
