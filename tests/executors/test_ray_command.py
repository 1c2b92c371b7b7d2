"""`--executor ray` and what belongs to it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROWS = "\n".join(map(str, range(20))) + "\n"


def whilst(here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whilst", "map", "work.py:double", "-", *arguments]
    return subprocess.run(command, cwd=here, input=ROWS, capture_output=True, text=True, timeout=150)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text("async def double(x):\n    return 2 * int(x)\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nodes", "2"], ["--nodes is for a cluster", "try: --executor ray --nodes …"]),
        (["--executor", "process", "--address", "auto"], ["--address is for a cluster"]),
        (["--executor", "ray", "--address", "10.0.0.7:6379"], ["10.0.0.7:6379 is another machine", "--trusted"]),
        (["--executor", "ray", "--address", "nowhere"], ['address must be "auto" or "host:port"']),
    ],
)
def test_what_cannot_be_meant_is_refused(here: Path, arguments: list[str], said: list[str]) -> None:
    done = whilst(here, *arguments)
    assert done.returncode == 2
    assert all(part in done.stderr for part in said), done.stderr


def test_rows_go_to_the_nodes_of_a_cluster_and_the_last_lines_say_to_which(machines: Any, here: Path) -> None:
    cluster = ["--executor", "ray", "--address", machines.address, "--trusted"]
    done = whilst(here, *cluster, "--per-node", "4", "--advice", "on")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["value"] for line in done.stdout.splitlines()] == [2 * n for n in range(20)]
    last = " ".join(done.stderr.split())
    assert "workers node " in last
    assert sum(map(int, re.findall(r"node \S+ \w+: (\d+) calls in", last))) == 20
