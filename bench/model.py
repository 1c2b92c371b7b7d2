"""What a bench is made of: contestants run jobs, workloads measure them, targets judge the figures."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["µs", "s", "MiB", "ms", "%", "x"]
Kind = Literal["whilst", "floor", "peer"]
Figures = Mapping[str, float]  # contestant -> median figure of one workload, in the workload's unit

WHILST = "whilst"  # the contestant every ratio refers to: a plain `for`, in order


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

    `cpu` is µs of CPU an input, over all threads: it says more than the time where others use the cores too.
    """

    n: int
    figure: float
    mib: float = 0.0
    cpu: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """A promise about one workload; `figure` raises KeyError where a contestant it needs has no figure."""

    asked: str
    figure: Callable[[Figures], float]
    limit: float
    unit: str
    at_least: bool = False

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

    def inputs_for(self, contestant: Contestant, quick: bool) -> int:
        return max(1, self.n // (self.quick if quick else 1) // contestant.slow)
