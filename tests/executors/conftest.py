"""One Ray cluster for all tests of executors: to start one takes seconds, of a busy machine minutes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TRIES = 4  # Ray gives its own helpers 15 s to start, which a busy machine may not keep (ray issue 65983)


class Machines:
    """A cluster of two raylets on this machine: the first stays, the second may be killed."""

    def __init__(self) -> None:
        import ray
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster()
        self.head: Any = self._add(
            {"include_dashboard": False, "no_monitor": True, "include_log_monitor": False, "num_cpus": 1}
        )
        self.address: str = self._cluster.address
        self._other: Any = None
        ray.init(address=self.address, configure_logging=False, log_to_driver=False)

    def two(self) -> Any:
        """Return the second node, which is started if the last one was killed."""
        if self._other is None:
            self._other = self.add()
        return self._other

    def add(self) -> Any:
        """Start one more node."""
        return self._add({"num_cpus": 1})

    def kill(self, node: Any) -> None:
        """Kill a node and all that it has started."""
        for pid in self.pids_of(node):
            os.kill(pid, signal.SIGKILL)
        self.forget(node)

    def forget(self, node: Any) -> None:
        """Clean up what is left of a node."""
        self._other = None if node is self._other else self._other
        self._cluster.remove_node(node, allow_graceful=False)

    def pids_of(self, node: Any) -> list[int]:
        """Return the processes of a node: the raylet, and those that it has started."""
        raylet = next(info[0].process.pid for kind, info in node.all_processes.items() if "raylet" in kind.lower())
        found = [raylet]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except (OSError, ValueError):
                    continue
                if parent == raylet:
                    found.append(int(entry.name))
        return found

    def close(self) -> None:
        """End it."""
        import ray

        ray.shutdown()
        self._cluster.shutdown()

    def _add(self, options: dict[str, Any]) -> Any:
        for left in reversed(range(TRIES)):
            try:
                return self._cluster.add_node(**options)
            except Exception as error:  # what Ray raises here is a plain Exception
                if "timed out" not in str(error) or not left:
                    raise
        raise AssertionError


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    """The cluster."""
    pytest.importorskip("ray", reason="Ray is installed for its own tests alone")
    found = Machines()
    yield found
    found.close()
