"""What is asked of a workload: the forms that targets have."""

from bench.model import WHILST, Figures, Of, Target, at


def at_most(asked: str, limit: float, unit: str, name: str = WHILST, *, of: Of = "figure", bound: str = "") -> Target:
    """Ask that a contestant's figure is no larger."""
    return Target(asked, lambda figures: at(figures, name), limit, unit, of=of, bound=bound)


def times_faster(asked: str, limit: float, *peers: str, of: Of = "figure", bound: str = "") -> Target:
    """Ask how many times the best of `peers` takes what whilst takes."""

    def ratio(figures: Figures) -> float:
        return min(figures[peer] for peer in peers if peer in figures) / at(figures)

    return Target(asked, ratio, limit, "x", at_least=True, of=of, bound=bound)


def above(
    asked: str, limit: float, floor: str, unit: str, name: str = WHILST, *, of: Of = "figure", bound: str = ""
) -> Target:
    """Ask by how much a contestant is above another one."""
    return Target(asked, lambda figures: at(figures, name) - at(figures, floor), limit, unit, of=of, bound=bound)


def percent_above(
    asked: str, limit: float, floor: str, name: str = WHILST, *, of: Of = "figure", bound: str = ""
) -> Target:
    """Ask by how many per cent a contestant is above another one."""
    return Target(
        asked, lambda figures: (at(figures, name) / at(figures, floor) - 1) * 100, limit, "%", of=of, bound=bound
    )


def times(asked: str, limit: float, floor: str, name: str = WHILST, *, of: Of = "figure", bound: str = "") -> Target:
    """Ask how many times a contestant takes what another one does."""
    return Target(asked, lambda figures: at(figures, name) / at(figures, floor), limit, "x", of=of, bound=bound)


def slowest(figures: Figures) -> float:
    """Return the largest figure of all contestants."""
    return max(figures.values())
