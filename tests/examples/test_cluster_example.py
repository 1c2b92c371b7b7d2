"""The example on two machines runs as its reader would run it, with a cluster of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_node_is_killed_halfway_and_each_input_has_one_outcome() -> None:
    pytest.importorskip("ray", reason="Ray is installed for its own tests alone")
    done = subprocess.run(
        [sys.executable, EXAMPLES.joinpath("14_two_machines").with_suffix(".py")],
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"killed one of two nodes after \d+ outcomes", done.stdout)
    assert "800 outcomes, each id once and in order: True" in done.stdout
    again = re.search(r"went well: 800, of these made again: (\d+) ", done.stdout)
    assert again is not None
    assert 0 <= int(again[1]) <= 20
    assert "both nodes made calls: True; the first: {'id': 1, 'name': 'bulbasaur'" in done.stdout
