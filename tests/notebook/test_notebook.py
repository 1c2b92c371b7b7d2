"""What works in a notebook, in a real kernel: every form, Stop, journals, tables, errors; and the page that says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from kernelkit import Kernel

pytest.importorskip("pandas")
pytest.importorskip("aiohttp")

PAGE = Path(__file__).parents[2] / "docs/notebooks.md"
BLOCK = re.compile(r"^```python3\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
SETUP = """
import asyncio, time, whilst
def double(x):
    time.sleep(0.001)
    if x == 3:
        raise ValueError("three")
    return 2 * x
async def adouble(x):
    await asyncio.sleep(0.001)
    if x == 3:
        raise ValueError("three")
    return 2 * x
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_the_page(kernel: Kernel) -> None:
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    assert len(blocks) >= 10
    for cell, wanted in blocks:
        shown = kernel.run(cell)
        assert not shown.error, shown.traceback
        assert [line.rstrip() for line in shown.out.splitlines()] == [line.rstrip() for line in wanted.splitlines()], (
            cell
        )


@pytest.mark.parametrize(
    "cell",
    [
        "whilst.map(double, [1, 2]).list()",
        "await whilst.map(double, [1, 2])",
        "[x for x in whilst.map(adouble, [1, 2])]",
        "[x async for x in whilst.map(adouble, [1, 2])]",
        "[o.value for o in await whilst.map(adouble, [1, 2]).outcomes()]",
        "whilst.sequence(list, whilst.each(adouble))([1, 2])",
        "await whilst.sequence(list, whilst.each(double)).aio([1, 2])",
        "whilst.block(adouble)(1), whilst.block(adouble)(2)",
    ],
)
def test_every_form_works_without_a_warning(kernel: Kernel, cell: str) -> None:
    kernel.run(SETUP)
    shown = kernel.run(cell)
    assert (shown.out.strip(" ()[]\n"), shown.err, shown.error) == ("2, 4", "", "")


@pytest.mark.parametrize(
    "cell",
    [
        "whilst.map(double, range(5)).list()",
        "await whilst.map(adouble, range(5))",
        "for _ in whilst.map(adouble, range(5)): pass",
        "async for _ in whilst.map(double, range(5)): pass",
        "whilst.sequence(abs, double, adouble)(3)",
        "await whilst.sequence(abs, adouble).aio(3)",
        "whilst.map(whilst.sequence(abs, double), range(5)).list()",
        "[o.unwrap() for o in whilst.map(double, range(5)).outcomes()]",
    ],
)
def test_a_traceback_shows_the_cell_and_the_function(kernel: Kernel, cell: str) -> None:
    kernel.run(SETUP)
    shown = kernel.run(cell)
    assert shown.error == "ValueError"
    assert 'raise ValueError("three")' in shown.traceback
    frames = re.findall(r"^File .*/whilst/.*", shown.traceback, re.MULTILINE)
    assert [frame for frame in frames if "<listcomp>" not in frame] == []  # before 3.12 that is a frame of its own
    assert "During handling" not in shown.traceback
    assert "whilst: input" in shown.traceback


def test_a_wrong_argument_shows_the_line_of_the_cell(kernel: Kernel) -> None:
    shown = kernel.run("import whilst\nwhilst.map(len, [[1]], max_workers=3)")
    assert shown.said.endswith("try: concurrency=3")
    assert "----> 2 whilst.map(" in shown.traceback
    shown = kernel.run("whilst.map(len, [[1]], timeout=-1)")
    assert shown.traceback.count("File ") == 1  # where it is raised; what is between is hidden


def test_a_session_of_a_cell_belongs_to_the_loop_of_the_cells(kernel: Kernel) -> None:
    kernel.run(SETUP)
    kernel.run("""
import aiohttp
from whilst.demo import pokeapi
serving = pokeapi.serve(latency=0)
api = serving.__enter__()
session = aiohttp.ClientSession()
async def name(number):
    async with session.get(f"{api.url}/pokemon/{number}") as answer:
        return (await answer.json())["name"]
""")
    assert kernel.run("await whilst.map(name, [1, 4])").out == "['bulbasaur', 'charmander']\n"
    kernel.run("session._connector._close_immediately(); session = aiohttp.ClientSession()")
    shown = kernel.run("whilst.map(name, [1, 4]).list()")
    assert shown.error == "RuntimeError"
    assert "belongs to another loop, such as that of a notebook's cells\n  try: await whilst.map(…)" in shown.traceback
    shown = kernel.run("print([o.error.__notes__[0][:20] for o in whilst.map(name, [1]).outcomes()])")
    assert shown.out == "['whilst: a plain run ']\n"
    kernel.run("await session.close()\nlock = asyncio.Lock()")


def test_a_lock_that_two_loops_contend_for_is_named(kernel: Kernel) -> None:
    kernel.run(SETUP)
    shown = kernel.run("""
lock = asyncio.Lock()
async def guarded(x):
    async with lock:
        await asyncio.sleep(0.001)
        return x
print(await whilst.map(guarded, [1, 2]))
whilst.map(guarded, [1, 2]).list()
""")
    assert shown.out == "[1, 2]\n"
    assert "try: await whilst.map(…)" in shown.traceback


@pytest.mark.parametrize("form", ["whilst.map(held, range(1000)).list()", "await whilst.map(held, range(1000))"])
@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_stop_leaves_the_run_soon(kernel: Kernel, form: str, colour: str) -> None:
    kernel.run(SETUP)
    body = "import threading\ngo = threading.Event()\n"
    body += "def held(x):\n    print('begun', flush=True)\n    go.wait(40)"
    if colour == "async":
        body = "async def held(x):\n    print('begun', flush=True)\n    await asyncio.sleep(40)"
    kernel.run(body)
    shown = kernel.run(
        f"began = time.monotonic()\ntry:\n    {form}\nfinally:\n    print(f'left {{time.monotonic() - began}} ')",
        stop_at="begun",
    )
    assert shown.error in ("KeyboardInterrupt", "CancelledError"), shown.traceback
    left = shown.out.rpartition("left ")[2].split()[0]  # calls that have begun on the engine's loop may say so later
    assert float(left) < 20  # two seconds are promised, and a call takes forty
    if colour == "blocking":
        kernel.run("go.set()")
    assert kernel.run("whilst.map(double, [1, 2]).list()").out == "[2, 4]\n"


def test_a_journal_goes_on_after_stop_and_names_the_cell_that_changed(kernel: Kernel) -> None:
    kernel.run(SETUP)
    kernel.run(
        "FACTOR = 2\ndef slow(x):\n    print('begun', x, flush=True)\n    time.sleep(0.01)\n    return FACTOR * x"
    )
    run = "run = whilst.map(slow, range(30), concurrency=2, journal='stopped.db')\n"
    run += "print(sum(run), run.summary().recalled)"
    assert kernel.run(run, stop_at="begun 9").error == "KeyboardInterrupt"
    said = kernel.run(run).out.splitlines()[-1]
    assert said.startswith("870 ")
    assert int(said.split()[1]) >= 5
    kernel.run("FACTOR = 3")
    shown = kernel.run(run)
    assert shown.error == "JournalChanged"
    assert shown.traceback.count("File ") == 1, shown.traceback  # where it is raised
    assert re.search(r"FACTOR \(cell \d+ line 1\)", shown.traceback)


def test_running_all_cells_again_in_a_new_session_goes_on(kernel: Kernel) -> None:
    cell = "import whilst\nFACTOR = 2\ndef g(x):\n    return FACTOR * x\n"
    kernel.run(cell)
    kernel.run("whilst.map(g, range(3), journal='again.db').list()")
    kernel.run("1 + 1")
    kernel.run(cell)  # another cell of the same text, another number
    shown = kernel.run("run = whilst.map(g, range(4), journal='again.db')\nprint(run.list(), run.summary().recalled)")
    assert shown.out == "[0, 2, 4, 6] 3\n", shown.traceback


def test_progress_is_one_output_of_the_cell_however_much_is_printed(kernel: Kernel) -> None:
    kernel.run(SETUP)
    shown = kernel.run("""
for value in whilst.map(lambda x: time.sleep(0.02), range(40), concurrency=1, progress=True):
    print("one")
""")
    assert shown.out == "one\n" * 40
    assert len(shown.displays) == 1
    assert shown.updates >= 1


def test_a_dataframe_is_answered_and_a_column_takes_a_list(kernel: Kernel) -> None:
    kernel.run(SETUP + "import pandas\ndf = pandas.DataFrame({'n': [1, 2], 'b': ['x', 'y']})")
    shown = kernel.run("whilst.map(double, df)")
    assert "whilst.map(fn, df['n'])" in shown.said
    assert 'df.to_dict("records")' in shown.said
    assert kernel.run("df['x'] = whilst.map(double, df['n'])").said.startswith("a run has no length before")
    assert kernel.run("df['x'] = whilst.map(double, df['n']).list()\nlist(df['x'])").out == "[2, 4]\n"


def test_asyncio_run_says_which_forms_there_are(kernel: Kernel) -> None:
    kernel.run(SETUP)
    shown = kernel.run("await whilst.map(double, [1]).list()")
    assert shown.said.endswith("try: await run")


def test_no_thread_of_a_run_is_left(kernel: Kernel) -> None:
    kernel.run(SETUP)
    kernel.run("import threading\nmine = lambda: {t.name for t in threading.enumerate() if 'double' in t.name}")
    assert kernel.run("run = whilst.map(double, range(3)).list(); mine()").out == "set()\n"
