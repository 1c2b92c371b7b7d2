"""For every test here: no process and no descriptor is left of a run."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator

import pytest

import whilst


def children() -> set[int]:
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            if parent == os.getpid():
                found.add(int(name))
    return found


@pytest.fixture(autouse=True)
def nothing_is_left(eventually: Callable[..., bool]) -> Iterator[None]:
    """No process, not even a zombie, and no descriptor."""
    whilst.map(abs, [1]).list()  # the engine, which stays
    before, descriptors = children(), len(os.listdir("/proc/self/fd"))
    yield
    assert eventually(lambda: children() <= before), f"left: {children() - before}"
    gc.collect()
    assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= descriptors), "descriptors are left"
