"""Rounds of child processes, interleaved, so that a noisy minute hits every contestant alike."""

import compileall
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.model import Contestant, Figures, Sample, Workload

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 90.0  # seconds for one measurement; the slowest peer takes a few


@dataclass(slots=True)
class Result:
    """All samples of one contestant at one workload, or why there are none."""

    workload: Workload
    contestant: Contestant
    samples: list[Sample] = field(default_factory=list)
    missing: bool = False
    failed: str | None = None

    @property
    def figure(self) -> float | None:
        usable = self.samples and not self.failed
        return median(sample.figure for sample in self.samples) if usable else None

    @property
    def mib(self) -> float:
        return median(sample.mib for sample in self.samples)

    @property
    def cpu(self) -> float:
        return median(sample.cpu for sample in self.samples)


def run(workloads: Sequence[Workload], *, rounds: int, quick: bool, tell: Callable[[str], None]) -> list[Result]:
    """Measure every contestant at every workload; every other round goes the other way round."""
    compileall.compile_dir(ROOT / "src", quiet=1)  # as where it is installed: or each start would compile what changed
    results = [Result(workload, each) for workload in workloads for each in workload.contestants]
    for number in range(rounds):
        for workload in workloads:
            if number >= (workload.rounds or rounds):
                continue
            tell(f"round {number + 1}/{rounds}: {workload.name}")
            turn = [result for result in results if result.workload is workload]
            for result in turn if number % 2 == 0 else reversed(turn):
                if not result.missing and not result.failed:
                    _measure(result, quick)
    return results


def figures(results: Sequence[Result], workload: Workload) -> Figures:
    return dict(_figures(results, workload))


def _figures(results: Sequence[Result], workload: Workload) -> Iterator[tuple[str, float]]:
    for result in results:
        if result.workload is workload and result.figure is not None:
            yield result.contestant.name, result.figure


def _measure(result: Result, quick: bool) -> None:
    n = result.workload.inputs_for(result.contestant, quick)
    command = [sys.executable, "-m", "bench.child", result.workload.name, result.contestant.name, str(n)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("WHILST_")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # or every import would compile its sources anew
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        result.failed = f"no result within {TIMEOUT:.0f} s"
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
