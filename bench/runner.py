"""Rounds of child processes, interleaved, so that a noisy minute hits every contestant alike."""

import compileall
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.base import ROOT, Base
from bench.model import BEFORE, Contestant, Figures, Of, Sample, Workload


@dataclass(slots=True)
class Result:
    """All samples of one contestant at one workload, or why there are none; `base` where it is another revision's."""

    workload: Workload
    contestant: Contestant
    base: Base | None = None
    samples: list[Sample] = field(default_factory=list)
    missing: bool = False
    failed: str | None = None

    @property
    def name(self) -> str:
        return f"{self.contestant.name}{BEFORE if self.base else ''}"

    @property
    def figure(self) -> float | None:
        return self.of("figure")

    def of(self, what: Of) -> float | None:
        """Return the median of what was measured, or the largest figure of all."""
        if not self.samples or self.failed:
            return None
        if what == "worst":
            return max(sample.figure for sample in self.samples)
        found: list[float] = [getattr(sample, what) for sample in self.samples]
        return median(found)


def run(
    workloads: Sequence[Workload],
    *,
    rounds: int,
    quick: bool,
    tell: Callable[[str], None],
    base: Base | None = None,
    peers: bool = True,
) -> list[Result]:
    """Measure every contestant at every workload; every other round goes the other way round."""
    compileall.compile_dir(ROOT / "src", quiet=1)  # as where it is installed: or each start would compile what changed
    results = [result for workload in workloads for result in _results(workload, base, peers)]
    turns = [
        (number, workload) for number in range(rounds) for workload in workloads if number < (workload.rounds or rounds)
    ]
    began = time.monotonic()
    took: dict[str, float] = {}  # by workload, the last time
    for place, (number, workload) in enumerate(turns):
        left = _left(took, [later.name for _, later in turns[place:]])
        tell(f"round {number + 1}/{rounds}, {place + 1}/{len(turns)}: {workload.name}{left}")
        since = time.monotonic()
        turn = [result for result in results if result.workload is workload]
        for result in turn if number % 2 == 0 else reversed(turn):
            if not result.missing and not result.failed:
                measure(result, quick)
                if result.failed:
                    tell(f"  {result.name} failed: {result.failed}")
        took[workload.name] = time.monotonic() - since
    tell(f"measured in {time.monotonic() - began:.0f} s")
    return results


def figures(results: Sequence[Result], workload: Workload, of: Of = "figure") -> Figures:
    return dict(_figures(results, workload, of))


def _figures(results: Sequence[Result], workload: Workload, of: Of) -> Iterator[tuple[str, float]]:
    for result in results:
        if result.workload is workload and (figure := result.of(of)) is not None:
            yield result.name, figure


def _results(workload: Workload, base: Base | None, peers: bool) -> Iterator[Result]:
    for contestant in workload.contestants:
        if peers or contestant.kind != "peer":
            yield Result(workload, contestant)
        if base is not None and contestant.kind == "whilst":
            yield Result(workload, contestant, base)


def _left(took: dict[str, float], names: list[str]) -> str:
    """Say how long the rest takes, once each workload of it has been measured."""
    if not all(name in took for name in names):
        return ""
    seconds = sum(took[name] for name in names)
    return f" ({seconds / 60:.0f} min left)" if seconds > 90 else f" ({seconds:.0f} s left)"


def measure(result: Result, quick: bool) -> None:
    """Have a process measure a contestant once, and add what it says to the result."""
    n, patience = result.workload.inputs_for(result.contestant, quick), result.workload.patience
    command = [sys.executable, "-m", "bench.child", result.workload.name, result.contestant.name, str(n)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("WHILST_")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # or every import would compile its sources anew
    if result.base is not None:
        env["PYTHONPATH"] = str(result.base.sources)  # before what is installed
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=patience)
    except subprocess.TimeoutExpired:
        result.failed = f"no result within {patience:.0f} s"
        return
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        result.failed = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1][:300]
        return
    answer = json.loads(lines[-1])
    result.missing = answer.get("missing", False)
    result.failed = answer.get("failed")
    if "figure" in answer:
        result.samples.append(Sample(**answer))
