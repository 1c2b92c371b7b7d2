"""The example notebook runs from top to bottom in a real kernel, and shows what its text says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from kernelkit import Kernel, Shown

pytest.importorskip("starlette")

NOTEBOOK = Path(__file__).parents[2] / "examples" / "16_notebook.ipynb"

pytestmark = [pytest.mark.slow, pytest.mark.clocked, pytest.mark.timeout(120)]  # it says how much faster it is


def test_every_cell_does_what_the_text_says(kernel: Kernel) -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)  # they would be of another machine
    shown: dict[str, Shown] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            text = "".join(cell["source"])
            shown[text.splitlines()[0]] = found = kernel.run(text)
            assert not found.error, found.traceback
    mapped = shown["def weigh(number):"]
    assert len(mapped.displays) == 1
    assert "<svg" in mapped.last_update["text/html"]
    assert 'concurrency="adaptive"' in shown["advice = next(one for one in run.summary().advice if one.change)"].out
    assert "<div" in shown["run.summary()"].result["text/html"]
    faster = next(it for line, it in shown.items() if line.startswith("advised"))
    (gain,) = re.findall(r"'([\d.]+) times as fast'", faster.out)
    assert float(gain) > 1.3
    assert "sequence" in shown["async def double(weight):"].result["text/plain"]
