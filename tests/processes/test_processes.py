"""`executor="process"`: what a user sees of calls that worker processes make."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import processjobs as jobs
import pytest

import whilst


def test_values_come_in_order_and_no_worker_is_left() -> None:
    run = whilst.map(jobs.square, range(2000), executor="process")
    assert run.list() == [x * x for x in range(2000)]
    assert run.summary().ok == 2000


def test_calls_are_made_by_as_many_processes_as_there_are_processors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from whilst.processes import executor

    monkeypatch.setattr(executor, "processors", lambda: 2)
    made_by = whilst.map(jobs.meet, [(str(tmp_path), 2)] * 8, executor="process").list()
    assert os.getpid() not in made_by
    assert len(set(made_by)) == 2


def test_concurrency_says_how_many_workers_there_are(tmp_path: Path) -> None:
    made_by = whilst.map(jobs.meet, [(str(tmp_path), 4)] * 4, executor="process", concurrency=4).list()
    assert len(set(made_by)) == 4


def test_a_slow_input_holds_no_other_back(tmp_path: Path) -> None:
    """It goes on until all the others are here."""
    seen: list[int] = []
    inputs = [""] * 50 + [str(tmp_path / "go")] + [""] * 200
    for outcome in whilst.map(jobs.wait_for, inputs, executor="process", concurrency=2, ordered=False).outcomes():
        assert outcome.ok
        seen.append(outcome.index)
        if len(seen) == 250:
            (tmp_path / "go").touch()
    assert sorted(seen) == [*range(251)]
    assert seen[-1] == 50


def test_inputs_of_all_kinds_in_turn_come_back_as_what_they_were() -> None:
    """Those of plain types travel together and the others alone, in the order in which they stand."""
    plain: list[object] = [0, -1, 2**70, -(3**900), True, None, "", "\ud800", "é" * 70_000, -0.0, float("inf"), 0.1]
    others: list[object] = [[1], (2,), b"3", {"4": 4}, bytearray(300_000), 5j]
    inputs = [*plain, *others, *itertools.chain(*zip(itertools.cycle(plain), others * 20, strict=False)), *plain * 50]
    values = whilst.map(jobs.same, inputs, executor="process", concurrency=2).list()
    assert values == inputs
    assert [repr(value) for value in values] == [repr(value) for value in inputs]  # 1 and True, 0.0 and -0.0


def test_failures_are_the_users_own_with_their_notes_and_causes() -> None:
    outcomes = list(whilst.map(jobs.fail, range(7), executor="process").outcomes())
    assert [outcome.ok for outcome in outcomes] == [True, True, True, False, True, False, False]
    error = outcomes[3].error
    assert type(error) is jobs.Usual
    assert "a note of its own" in error.__notes__
    assert isinstance(error.__cause__, KeyError)
    assert any("processjobs.py" in note and "in fail" in note for note in error.__notes__)


def test_an_exception_that_pickle_cannot_make_again_is_the_users_own_too() -> None:
    """So a retry that asks for its class finds it."""
    retry = whilst.Retry(attempts=3, base=0.0, on=jobs.Odd)
    [outcome] = whilst.map(jobs.fail, [5], executor="process", retry=retry).outcomes()
    error = outcome.error
    assert isinstance(error, jobs.Odd)
    assert (str(error), error.code, outcome.attempts) == ("5: five", 5, 3)


def test_an_exception_that_cannot_travel_comes_as_its_words() -> None:
    error = next(iter(whilst.map(jobs.fail, [6], executor="process").outcomes())).error
    assert isinstance(error, whilst.Recorded)
    assert (error.class_name, error.message) == ("processjobs.fail.<locals>.Hidden", "six")


@pytest.mark.parametrize(
    ("how", "signal", "code"), [("exit", "", 7), ("segfault", "SIGSEGV", None), ("kill", "SIGKILL", None)]
)
def test_a_dead_worker_costs_its_own_input_only(how: str, signal: str, code: int | None) -> None:
    inputs = ["a"] * 30 + [how] + ["b"] * 30
    outcomes = list(whilst.map(jobs.end, inputs, executor="process").outcomes())
    assert [outcome.index for outcome in outcomes if not outcome.ok] == [30]
    error = outcomes[30].error
    assert isinstance(error, whilst.WorkerDied)
    assert (error.signal, error.code) == (signal, code)
    assert (signal or "exit code 7") in str(error)
    assert all(outcome.attempts == 1 for outcome in outcomes)


def test_a_timeout_kills_and_leaves_nothing_behind() -> None:
    """0.2 s after it are asked for, which the row `process-timeout` of the bench holds."""
    run = whilst.map(jobs.spin, [0.0, 60.0, 0.0], executor="process", timeout=0.5)
    outcomes = list(run.outcomes())
    assert outcomes[1].took < 20.0
    assert [type(outcome.error) for outcome in outcomes] == [type(None), TimeoutError, type(None)]
    assert run.summary().left_behind == ()


def test_what_was_not_called_is_no_attempt_of_a_retry() -> None:
    retry = whilst.Retry(attempts=3, on=lambda error: isinstance(error, whilst.WorkerDied), base=0.01)
    outcomes = list(whilst.map(jobs.end, ["a", "kill", "b", "c"], executor="process", retry=retry).outcomes())
    assert [outcome.attempts for outcome in outcomes] == [1, 3, 1, 1]


def test_a_worker_is_as_its_parent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHILST_TEST_HERE", "yes")
    token = jobs.COLOUR.set("blue")
    try:
        found = whilst.map(jobs.place, range(40), executor="process", concurrency=2).list()
    finally:
        jobs.COLOUR.reset(token)
    one = found[0]
    assert one["path"] == sys.path
    assert one["argv"] == sys.argv
    assert Path(one["cwd"]) == tmp_path
    assert (one["environment"], one["colour"], one["stdin"]) == ("yes", "blue", "")
    assert len({each["random"] for each in found}) == 40


def test_context_variables_do_not_leak_from_one_input_to_the_next() -> None:
    assert set(whilst.map(jobs.colour, range(50), executor="process").list()) == {"none"}


def test_what_workers_print_and_log_reaches_the_parent(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    whilst.map(jobs.say, range(3), executor="process").list()
    out, err = capsys.readouterr()
    assert sorted(out.split("\n")) == ["", "printed 0", "printed 1", "printed 2"]
    assert sorted(err.split("\n")) == ["", "wrong 0", "wrong 1", "wrong 2"]
    records = [record for record in caplog.records if record.name == "processjobs.logger"]
    assert sorted(record.getMessage() for record in records) == ["logged 0", "logged 1", "logged 2"]
    assert {record.row for record in records} == {0, 1, 2}  # type: ignore[attr-defined]


def test_a_record_that_cannot_be_read_costs_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """It kept all that came behind it from being heard."""
    assert whilst.map(jobs.log_odd, range(20), executor="process", deadline=30.0).list() == [*range(20)]
    texts = [record.getMessage() for record in caplog.records]
    assert sum(text.startswith("logged ") for text in texts) == 19
    assert "what a worker has logged is lost: LookupError: it cannot be made here" in texts


def test_a_worker_makes_as_many_calls_as_it_should() -> None:
    from collections import Counter

    from whilst.processes import Processes

    made_by = Counter(whilst.map(jobs.pid, range(100), executor=Processes(recycle=10), concurrency=2).list())
    assert sum(made_by.values()) == 100
    assert max(made_by.values()) <= 10


def test_what_cannot_be_sent_fails_alone() -> None:
    outcomes = list(whilst.map(jobs.same, [1, jobs.NotSent(), 2, jobs.NotMade(), 3], executor="process").outcomes())
    assert [outcome.ok for outcome in outcomes] == [True, False, True, False, True]
    assert "cannot be sent to another process" in str(outcomes[1].error)
    assert "it exploded" in str(outcomes[3].error)


@pytest.mark.parametrize("written", [False, True], ids=["read", "written"])
@pytest.mark.parametrize("kind", ["exit", "interrupt", "cancel"])
def test_a_value_whose_class_raises_what_is_no_exception_fails_its_own_input(kind: str, written: bool) -> None:
    outcomes = whilst.map(jobs.leaving, [(number, kind, written) for number in range(3)], executor="process").outcomes()
    assert [(type(outcome.error), outcome.value) for outcome in outcomes] == [
        (type(None), 0),
        (TypeError if written else RuntimeError, None),
        (type(None), 2),
    ]


def test_a_value_that_cannot_be_sent_back_fails_alone() -> None:
    outcomes = list(whilst.map(jobs.unsendable, range(4), executor="process").outcomes())
    assert [outcome.ok for outcome in outcomes] == [True, True, False, True]
    assert "unsendable() returned _thread.lock" in str(outcomes[2].error)
    assert "try: return what it holds" in str(outcomes[2].error)


def test_large_values_travel_both_ways() -> None:
    texts = ["x" * 3_000_000, "y", "z" * 10_000_000, b"w" * 500_000]
    assert whilst.map(jobs.same, texts, executor="process").list() == texts


def test_leaving_early_ends_the_workers_at_once() -> None:
    began = time.monotonic()
    for value in whilst.map(jobs.nap, [0.0, 50.0, 50.0], executor="process", ordered=False):
        assert value == 0.0
        break
    assert time.monotonic() - began < 20.0


def test_an_async_function_is_refused_where_it_is_written() -> None:
    async def fetch(x: int) -> int:
        return x

    with pytest.raises(TypeError, match='cannot run with executor="process"'):
        whilst.map(fetch, [1], executor="process")


def test_a_lambda_is_refused_by_its_line_without_cloudpickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cloudpickle", None)
    with pytest.raises(TypeError, match=r"a lambda \(test_processes.py line \d+\) cannot be sent") as caught:
        whilst.map(lambda x: x, [1], executor="process")
    assert "try: a def at the top of a module" in str(caught.value)


def test_a_limit_of_an_imported_module_raises_when_a_worker_uses_it() -> None:
    error = next(iter(whilst.map(jobs.use_limit, [1], executor="process").outcomes())).error
    assert isinstance(error, RuntimeError)
    assert "would count only in this worker" in str(error)
    assert "limit=limit" in str(error)


def test_a_limit_that_a_call_makes_for_itself_holds_there() -> None:
    assert whilst.map(jobs.own_limit, [1, 2], executor="process").list() == [1, 2]


def test_a_limit_of_the_map_holds_over_all_workers() -> None:
    limit = whilst.Limit(concurrency=1)
    spans = whilst.map(jobs.span, range(12), executor="process", concurrency=3, limit=limit).list()
    spans.sort()
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


def test_a_rate_is_kept_over_all_workers() -> None:
    began = time.monotonic()
    whilst.map(jobs.same, range(31), executor="process", concurrency=3, rate="30/s").list()
    assert time.monotonic() - began >= 0.99


def test_pushback_in_a_worker_pauses_all_and_costs_no_other_input_an_attempt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WHILST_TEST_FLAG", str(tmp_path / "flag"))
    run = whilst.map(jobs.throttled, range(120), executor="process", concurrency=2, retry=3)
    outcomes = list(run.outcomes())
    assert [outcome.value for outcome in outcomes] == list(range(120))
    assert [outcome.index for outcome in outcomes if outcome.attempts != 1] == [20]
    assert run.summary().rejected == 1
    assert run.summary().elapsed >= 0.3


def test_a_call_knows_which_one_it_is() -> None:
    retry = whilst.Retry(attempts=5, base=0.01)
    found = whilst.map(jobs.call_of, range(5), executor="process", retry=retry).list()
    assert [(index, path, attempt) for index, path, attempt, _, _ in found] == [
        (0, "", 1), (1, "", 1), (2, "", 1), (3, "", 3), (4, "", 1),
    ]  # fmt: skip
    assert len({key for _, _, _, key, _ in found}) == 5
    assert all(since for *_, since in found)


def test_what_arrays_hold_goes_beside_the_pickle_both_ways() -> None:
    blocks = [jobs.Block(bytearray(b"x" * size)) for size in (10, 100_000, 3_000_000)]
    found = whilst.map(jobs.doubled, blocks, executor="process").list()
    assert [bytes(block.content) for block in found] == [b"x" * size for size in (20, 200_000, 6_000_000)]
    assert all(isinstance(block.content, memoryview) for block in found), "their memory is that of the frame"


def test_a_call_in_a_worker_may_have_workers_of_its_own() -> None:
    assert whilst.map(jobs.inner_map, [3, 4], executor="process", concurrency=2).list() == [5, 14]


def test_where_nobody_reads_what_workers_print_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            pass

    monkeypatch.setattr("sys.stdout", Closed())
    assert whilst.map(jobs.say, range(3), executor="process").list() == [0, 1, 2]


def test_a_text_without_a_line_end_comes_too(capsys: pytest.CaptureFixture[str]) -> None:
    whilst.map(jobs.first_word, ["word"], executor="process").list()
    assert capsys.readouterr().out == "word"


def test_a_worker_died_is_not_transient() -> None:
    assert not whilst.transient(whilst.WorkerDied("killed", signal="SIGKILL"))


def test_summaries_reports_and_accounts_are_those_of_any_run() -> None:
    run = whilst.map(jobs.nap, [0.01] * 30, executor="process", concurrency=2)
    run.list()
    summary = run.summary()
    assert (summary.ok, summary.failed, summary.abandoned) == (30, 0, 0)
    assert summary.times.calls == 30
    assert summary.times.p50 >= 0.009
    assert sum(summary.account.values()) == pytest.approx(1.0)
    assert "30 ok" in str(summary)
