"""For every test: whatever a run starts is gone when the test is over."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # what lies in a folder after a test is what the program put there
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # once loaded, its threads may end a child between fork and exec

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script; children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Time limits of single examples are noise on a busy machine; pytest-timeout watches the whole test. What is tried
# is the same each time, so that a change is told of its own faults; `make soak` looks for others.
settings.register_profile(
    "whilst",
    deadline=None,
    derandomize="WHILST_SOAK" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
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
def nothing_of_a_command_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A command that runs here imports the test's jobs.py, and chooses a loop: the next test shall get its own."""
    loop = os.environ.get("WHILST_LOOP")
    path, before, folders = [*sys.path], set(sys.modules), str(tmp_path_factory.getbasetemp())
    yield
    sys.path[:] = path
    if loop is None:
        os.environ.pop("WHILST_LOOP", None)
    for name in sys.modules.keys() - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(folders):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threads_of_runs()
    yield
    assert wait_until(lambda: threads_of_runs() <= before), f"left behind: {threads_of_runs() - before}"


@pytest.fixture(autouse=True)
def the_log_is_as_nobody_left_it() -> Iterator[None]:
    """What one test makes the loggers say, the root's too, another must not hear: a record keeps its error alive."""
    root, ours = logging.getLogger(), logging.getLogger("whilst")
    level, handlers = root.level, [*root.handlers]
    yield
    ours.setLevel(logging.NOTSET)
    root.setLevel(level)
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
