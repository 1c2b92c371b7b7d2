"""For every test: whatever a run starts is gone when the test is over."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # what lies in a folder after a test is what the program put there
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # once loaded, its threads may end a child between fork and exec

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script; children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Time limits of single examples are noise on a busy machine; pytest-timeout watches the whole test.
settings.register_profile(
    "whilst", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("whilst")

KEPT = ("whilst-engine", "whilst-unblock", "whilst-demo")  # one a process; stays for ten seconds; a fixture's


def wait_until(condition: Callable[[], object], within: float = 5.0) -> bool:
    """Wait until the condition holds, looking again and again; False if it does not `within` seconds."""
    ends = time.monotonic() + within
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.001)
    return True


def threads_of_runs() -> set[threading.Thread]:
    """Return the threads that belong to runs."""
    return {t for t in threading.enumerate() if t.name.startswith("whilst") and not t.name.startswith(KEPT)}


@pytest.fixture
def eventually() -> Callable[..., bool]:
    """Give `wait_until`, to tests anywhere."""
    return wait_until


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threads_of_runs()
    yield
    assert wait_until(lambda: threads_of_runs() <= before), f"left behind: {threads_of_runs() - before}"
