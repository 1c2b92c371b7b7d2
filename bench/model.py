"""What a bench is made of: contestants run jobs, workloads measure them, targets judge the figures."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["µs", "s", "MiB", "ms", "%", "x", "bytes", "calls"]
Kind = Literal["whilst", "floor", "peer"]
Of = Literal["figure", "cpu", "mib", "other", "worst"]  # of a sample; "worst" is the largest figure of all rounds
Figures = Mapping[str, float]  # contestant -> median of one workload, in the workload's unit

WHILST = "whilst"  # the contestant every ratio refers to: a plain `for`, in order
BEFORE = ", before"  # what the names of those end with that are measured at another revision


def at(figures: Figures, contestant: str = WHILST) -> float:
    """Return a contestant's figure: a KeyError where it has none."""
    return figures[contestant]


class NotInstalledError(Exception):
    """What a contestant needs is not there: shown as missing, where any other error is a failure."""


@dataclass(frozen=True, slots=True)
class Job:
    """Call `fn` on every input, `concurrency` at once, and hand every result to `take`."""

    fn: Callable[[int], Any]
    inputs: Iterable[int]
    concurrency: int
    take: Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way of doing a job; `slow` divides the number of inputs, `needs` is the module it imports."""

    name: str
    run: Callable[[Job], None]
    needs: str | None = None
    kind: Kind = "peer"
    ordered: bool = True
    slow: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """What one child process measured: `figure` is in the workload's unit, `mib` the growth of its memory.

    `cpu` is µs of CPU an input, over all threads: it says more than the time where others use the cores too. `other` is
    what else a workload counts.
    """

    n: int
    figure: float
    mib: float = 0.0
    cpu: float = 0.0
    other: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """A promise about one workload; `figure` raises KeyError where a contestant it needs has no figure.

    `of` is what of the samples it is given; `bound` says what stands in the way, for where it is not kept.
    """

    asked: str
    figure: Callable[[Figures], float]
    limit: float
    unit: str
    at_least: bool = False
    of: Of = "figure"
    bound: str = ""

    def is_met(self, measured: float) -> bool:
        return measured >= self.limit if self.at_least else measured <= self.limit


@dataclass(frozen=True, slots=True)
class Workload:
    """One thing to measure; `measure(contestant, n)` runs in a process of its own."""

    name: str
    title: str
    unit: Unit
    n: int
    contestants: tuple[Contestant, ...]
    measure: Callable[[Contestant, int], Sample]
    targets: tuple[Target, ...] = ()
    rounds: int | None = None  # fewer rounds than asked, where the figure hardly varies
    quick: int = 10  # what --quick divides n by
    patience: float = 90.0  # seconds for one measurement; the slowest peer takes a few

    def inputs_for(self, contestant: Contestant, quick: bool) -> int:
        return max(1, self.n // (self.quick if quick else 1) // contestant.slow)
