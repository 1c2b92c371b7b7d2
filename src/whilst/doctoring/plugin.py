"""The pytest plugin: `--whilst-doctor`, or the marker `no_blocking`, fails a test in which a loop was held too long.

It is loaded wherever whilst is installed, so it imports nothing until it is asked for.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .session import Doctor

DEFAULT = 0.05  # seconds


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("whilst")
    group.addoption(
        "--whilst-doctor", action="store_true", help="fail tests in which an event loop is held (whilst doctor)"
    )
    group.addoption(
        "--whilst-doctor-threshold",
        metavar="SECONDS",
        default=None,
        help=f"for how many seconds ({DEFAULT}); 100ms is understood too",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker, and read the threshold, so that a wrong one is said before any test."""
    config.addinivalue_line(
        "markers", "no_blocking(threshold=0.05): fails if an event loop is held for longer, in seconds (whilst doctor)"
    )
    text = config.getoption("--whilst-doctor-threshold")
    if text is not None:
        from .duration import seconds

        try:
            config.stash[_THRESHOLD] = seconds(text)
        except ValueError as error:
            raise pytest.UsageError(f"--whilst-doctor-threshold {error}") from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Look while the test runs; its own failure comes first."""
    threshold = _threshold(item)
    if threshold is None:
        return (yield)
    from .session import doctor

    with doctor(threshold, quiet=True) as seen:
        result = yield
    _judge(seen)
    return result


def _threshold(item: pytest.Item) -> float | None:
    """Return the seconds that hold for a test, or None if nobody asked."""
    general: float = item.config.stash.get(_THRESHOLD, DEFAULT)
    marker = item.get_closest_marker("no_blocking")
    if marker is not None:
        own: float = marker.kwargs.get("threshold", marker.args[0] if marker.args else general)
        return own
    return general if item.config.getoption("--whilst-doctor") else None


def _judge(seen: Doctor) -> None:
    held = [finding for finding in seen.findings if finding.kind == "held the loop"]
    if held:
        pytest.fail("\n".join(str(finding) for finding in held), pytrace=False)


_THRESHOLD: pytest.StashKey[float] = pytest.StashKey()
