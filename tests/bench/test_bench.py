"""The bench measures what it says: this tree and another in turn, whatever fails beside, and it writes its figures."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from bench.base import ROOT, Base, NoSuchRevisionError, sources_of
from bench.model import WHILST, Contestant, Job, Sample, Target, Workload
from bench.runner import Result
from bench.workloads import WORKLOADS

from bench import __main__ as command
from bench import page, runner, sweep, table

pytestmark = pytest.mark.once
NOOP = next(workload for workload in WORKLOADS if workload.name == "async-noop")


@pytest.fixture
def before(tmp_path: Path) -> Base:
    """Another whilst, which cannot map."""
    (tmp_path / "whilst").mkdir()
    (tmp_path / "whilst" / "__init__.py").write_text("def map(*_, **__): raise RuntimeError('the one before')")
    return Base("abc1234", tmp_path)


def test_the_revision_before_is_measured_in_place_of_this_one(before: Base) -> None:
    ours = next(contestant for contestant in NOOP.contestants if contestant.name == WHILST)
    now, then = Result(NOOP, ours), Result(NOOP, ours, before)
    runner.measure(now, quick=True)
    runner.measure(then, quick=True)
    assert now.failed is None
    assert now.of("cpu")
    assert then.failed == "RuntimeError: the one before"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a revision is read from the repository")
def test_the_sources_of_a_revision_are_written_beside_and_gone_afterwards() -> None:
    with sources_of("HEAD") as base:
        assert (base.sources / "whilst" / "__init__.py").exists()
    assert not base.sources.exists()
    with pytest.raises(NoSuchRevisionError), sources_of("no-such-revision"):
        pass


def unused(_: Job) -> None:
    """Nothing is run here."""


def workload(*targets: Target) -> Workload:
    contestants = (
        Contestant(WHILST, unused, kind="whilst"),
        Contestant("a peer", unused),
        Contestant("a peer that breaks", unused),
    )
    return Workload("some", "some work", "µs", 10, contestants, lambda _, n: Sample(n, 1.0), targets)


def results(of: Workload, cpu: float = 2.0) -> list[Result]:
    ours, peer, broken = of.contestants
    base = Base("abc1234", Path("unused"))
    return [
        Result(of, ours, samples=[Sample(10, figure, cpu=cpu) for figure in (1.0, 9.0, 2.0)]),
        Result(of, ours, base, samples=[Sample(10, 4.0, cpu=1.0)]),
        Result(of, peer, samples=[Sample(10, 6.0)]),
        Result(of, broken, failed="gone"),
    ]


def test_a_target_is_judged_by_the_median_beside_what_was_before_and_says_what_bounds_it() -> None:
    def peer_over_ours(figures: table.Figures) -> float:
        return figures["a peer"] / figures[WHILST]

    work = workload(
        Target("3x faster than a peer", peer_over_ours, 3.0, "x", at_least=True),
        Target("worst", lambda figures: figures[WHILST], 5.0, "µs", of="worst", bound="the weather"),
        Target("never measured", lambda figures: figures["nobody"], 5.0, "µs"),
    )
    rows = [[cell.strip() for cell in line.split("|")] for line in table.targets(results(work), [work]).splitlines()]
    assert ["", "some work", "3x faster than a peer", "3.00 x", "1.50", "yes", ""] in rows
    assert ["", "some work", "worst", "9.00 µs", "4.00", "**no**", ""] in rows
    assert ["", "some work", "never measured", "not measured", "", "", ""] in rows
    assert ["- some work, worst: the weather"] in rows


def test_a_row_that_costs_more_cpu_than_before_is_named() -> None:
    assert [*table.worse(results(workload()), 1.5)] == ["some/whilst: 2.00 for 1.00 (cpu)"]
    assert [*table.worse(results(workload(), cpu=1.4), 1.5)] == []


def test_what_fails_is_a_row_and_not_an_end() -> None:
    work = workload()
    shown = table.long_table(results(work), [work])
    assert [line.split("|")[3].strip() for line in shown.splitlines() if "breaks" in line] == ["failed"]


def test_figures_are_written_between_the_marks_and_nothing_else_is_changed(tmp_path: Path) -> None:
    there = tmp_path / "page.md"
    start, end = page.marks("bench")
    there.write_text(f"above\n{start}\nold\n{end}\nbelow\n")
    page.fill(there, "\nnew ")
    assert there.read_text() == f"above\n{start}\nnew {end}\nbelow\n"


def test_every_row_of_the_tables_and_every_peer_is_one_that_is_measured() -> None:
    names = {workload.name for workload in WORKLOADS}
    assert len(names) == len(WORKLOADS)
    assert {name for _, columns in table.MATRICES for _, name, _ in columns} <= names
    assert {name for _, name, _ in table.QUOTED} <= names
    assert all(map(page.has_marks, (command.README, command.FRONT)))
    assert page.has_marks(command.README, "cluster")


def test_a_cliff_is_where_the_next_point_costs_more_than_twice_the_last() -> None:
    point = sweep.Point(3.0, 1.0, 0.0)
    curve = [
        (1, point),
        (10, replace(point, cpu=6.0)),
        (100, replace(point, cpu=12.1)),
        (1_000, replace(point, cpu=1.0)),
    ]
    assert [*sweep.cliffs("keys", curve, [])] == ["keys: 6.00 µs a call at 10, 12.10 at 100"]
    by_hand = [(100, sweep.Point(6.1, 1.0, 0.0))]
    assert [*sweep.cliffs("keys", curve, by_hand)] == []
    by_hand = [(100, sweep.Point(6.0, 1.0, 0.0))]
    assert [*sweep.cliffs("keys", curve, by_hand)] == ["keys: 6.00 µs a call at 10, 12.10 at 100, by hand 6.00"]


def test_what_looks_like_a_cliff_is_measured_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {1: [2.0, 1.0], 10: [9.0, 8.0, 2.0, 1.5], 100: [5.0, 4.0, 4.5, 3.5]}
    monkeypatch.setattr(sweep, "point", lambda _, size: sweep.Point(costs[size].pop(0), 0.0, 0.0))
    curve = sweep.curve_of(sweep.Sweep("keys", "", (1, 10, 100), sweep.keyed), 100, 2, lambda _: None)
    assert [point.cpu for _, point in curve] == [1.0, 1.5, 3.5]
    assert costs == {1: [], 10: [], 100: []}
    assert [*sweep.cliffs("keys", curve, [])] == ["keys: 1.50 µs a call at 10, 3.50 at 100"]


@pytest.mark.slow
@pytest.mark.parametrize("curve", [it for it in sweep.SWEEPS if it.name not in ("threads", "threads-by-hand")])
def test_ten_times_the_size_costs_a_call_no_cliff(curve: sweep.Sweep) -> None:
    """The sweep itself looks at every decade; here is one, in a process that does nothing else."""
    small, large = curve.sizes[1], curve.sizes[2]

    def ratio() -> float:
        return sweep.point(curve, large).cpu / sweep.point(curve, small).cpu

    assert any(ratio() <= sweep.CLIFF for _ in range(3))


def test_the_command_names_what_it_can_measure() -> None:
    done = subprocess.run(
        [command.sys.executable, "-m", "bench", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == [workload.name for workload in WORKLOADS]
