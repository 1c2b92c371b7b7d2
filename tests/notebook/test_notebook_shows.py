"""A run shows itself in a notebook, without widgets: one output that is updated, at the end where the time went."""

from __future__ import annotations

import pytest
from kernelkit import Kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SETUP = """
import time, whilst
def nap(x):
    time.sleep(0.05)
    return x
"""


def test_a_run_is_one_output_that_ends_with_its_account_and_a_timeline(kernel: Kernel) -> None:
    kernel.run(SETUP)
    shown = kernel.run("whilst.map(nap, range(100), concurrency=2).list(); None")
    assert len(shown.displays) == 1
    assert 1 <= shown.updates <= 10  # it does not flood
    assert shown.err == ""
    last = shown.last_update
    assert last["text/plain"].startswith("nap: 100 ok in ")
    assert "lanes" in last["text/plain"]
    assert "<svg" in last["text/html"]
    assert "<script" not in last["text/html"]
    assert "concurrency=&quot;adaptive&quot;" in last["text/html"]


def test_the_first_output_says_how_far_it_is(kernel: Kernel) -> None:
    kernel.run(SETUP)
    shown = kernel.run("whilst.map(nap, range(60), concurrency=2).list(); None")
    assert " of 60 (" in shown.displays[0]["text/plain"]
    assert "left" in shown.displays[0]["text/plain"]


def test_two_runs_at_once_are_shown_together_and_leave_an_output_each(kernel: Kernel) -> None:
    kernel.run(SETUP)
    shown = kernel.run("""
import asyncio
async def both():
    async def take(count, name):
        return await whilst.map(nap, range(count), concurrency=2, name=name)
    await asyncio.gather(take(60, "a"), take(90, "b"))
await both()
""")
    assert shown.error == ""
    finals = [it["text/plain"] for it in [*shown.displays, *shown.all_updates] if "text/html" in it]
    assert sorted(text.partition(":")[0] for text in finals) == ["a", "b"]


def test_many_short_runs_show_nothing(kernel: Kernel) -> None:
    kernel.run(SETUP)
    shown = kernel.run("for _ in range(20): whilst.map(nap, [1, 2]).list()")
    assert (shown.displays, shown.updates) == ([], 0)


def test_stop_leaves_what_was_done_in_the_output(kernel: Kernel) -> None:
    kernel.run(SETUP)
    cell = """
for n, _ in enumerate(whilst.map(nap, range(10_000), concurrency=2)):
    if n == 60:
        print("far enough", flush=True)
"""
    shown = kernel.run(cell, stop_at="far enough", timeout=20)
    assert shown.error == "KeyboardInterrupt"
    assert "lanes" in shown.last_update["text/plain"]


@pytest.mark.parametrize(
    ("value", "said", "html"),
    [
        ("run.summary()", "nap: 30 ok in ", "<div"),
        ("run", "<Run of nap: 30 ok in ", "<div"),
        ("whilst.map(nap, [1]).outcomes()", "<Outcomes of Run of nap, not started", ""),
        ("whilst.sequence(nap, str).plan()", "sequence\n├─ nap()", "<"),
        ("whilst.sequence(nap, str)", "sequence(", ""),
    ],
)
def test_what_stands_last_in_a_cell_is_shown_as_what_it_is(kernel: Kernel, value: str, said: str, html: str) -> None:
    kernel.run(SETUP)
    kernel.run("run = whilst.map(nap, range(30)); run.list()")
    shown = kernel.run(value)
    assert shown.result.get("text/plain", "").startswith(said), shown.result
    assert "Picture(" not in shown.result["text/plain"]
    assert "object at 0x" not in shown.result["text/plain"]
    assert html in shown.result.get("text/html", "")


def test_the_html_is_inert(kernel: Kernel) -> None:
    kernel.run(SETUP)
    shown = kernel.run("run = whilst.map(nap, range(30), name='<script>alert(1)</script>'); run.list(); run.summary()")
    assert "<script" not in shown.result["text/html"]
