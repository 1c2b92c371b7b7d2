"""A large answer takes at most three times its size."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from answers import answering

pytest.importorskip("pyreqwest")
SIZE = 60_000_000
PEAK = """
import sys
from whilst.cli.main import run
code = run(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(code, peak, file=sys.stderr)
"""


@pytest.fixture
def url() -> Iterator[str]:
    with answering(lambda path: b'"%b"' % (b"x" * (SIZE if "large" in path else 10))) as url:
        yield url


def peak(folder: Path, *arguments: str) -> int:
    """Return the most bytes that the command had in memory; it must go well."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "get", *arguments, "-o", "out.jsonl", "--overwrite", "-q"],
        cwd=folder, capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    code, kilobytes = done.stderr.split()[-2:]
    assert code == "0", done.stderr
    return int(kilobytes) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process had is told by /proc")
@pytest.mark.parametrize("journal", [(), ("--journal", "run.db", "--fresh")], ids=["alone", "with a journal"])
@pytest.mark.parametrize("form", ["json", "text", "bytes"])
def test_a_large_answer_takes_at_most_three_times_its_size(
    form: str, journal: tuple[str, ...], url: str, tmp_path: Path
) -> None:
    least = peak(tmp_path, f"{url}/small", "--as", form, *journal)
    assert peak(tmp_path, f"{url}/large", "--as", form, *journal) - least <= 3 * SIZE
