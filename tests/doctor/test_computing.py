"""What computes and holds the interpreter is sent to a process of its own, and the line that is written works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from doctorkit import doctor

from whilst.doctoring.held import held_findings
from whilst.doctoring.places import Place, Whose
from whilst.doctoring.records import Held

pytestmark = pytest.mark.slow

PROGRAM = """\
import asyncio

import whilst


def crunch(rounds):
    total = 0
    for number in range(rounds):
        total += number * number % 7
    return total


async def main():
    found = crunch(3_000_000)
    await asyncio.sleep(0)
    print(found)


if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_computing_line_is_rewritten_for_a_worker_process_and_runs(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    for _ in range(3):  # a busy machine has several chances
        done = doctor("--json", program)
        findings = [finding for finding in done.findings if finding["kind"] == "held the loop"]
        if findings and findings[0]["change"]:
            break
    finding = findings[0]
    written = 'found = await whilst.step(crunch, executor="process").aio(3_000_000)'
    assert "process of its own" in finding["condition"]
    assert finding["change"]["new"].strip() == written
    program.write_text(PROGRAM.replace("found = crunch(3_000_000)", written))
    after = subprocess.run(
        [sys.executable, "-W", "error", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert (after.stderr, after.stdout, after.returncode) == ("", done.out, 0)
    assert not [finding for finding in doctor("--json", program).findings if finding["kind"] == "held the loop"]


def test_what_a_process_could_not_send_back_is_not_made_in_one(tmp_path: Path) -> None:
    """Such as a client, whose making loads certificates."""
    program = tmp_path / "program.py"
    program.write_text("async def main():\n    client = httpx.AsyncClient()\n    rows = parse(text)\n")
    line = program.read_text().split("\n")
    remedies: list[str] = []
    for number in (2, 3):
        column = line[number - 1].index("= ") + 2
        span = number, number, column, len(line[number - 1])
        here = Place(str(program), "main", number, span, is_async=True, whose=Whose.USER)
        [found] = held_findings([Held([here], None, count=1, seconds=0.2, longest=0.2, computed=0.2, locked=0.2)])
        remedies.append(found.condition if found.change is None else found.change["new"])
    assert remedies[0].startswith("make it once, before the loop runs")
    assert remedies[1] == 'rows = await whilst.step(parse, executor="process").aio(text)'
