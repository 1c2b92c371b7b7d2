"""What a stack says of a loop and of who runs it."""

from __future__ import annotations

import asyncio
import os
from types import CodeType

from whilst.doctoring.glances import _ROUND, in_plain_cell


def of(text: str, file: str, *, inner: bool = False) -> CodeType:
    """Return the code of a text, or of the function in it."""
    flags = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, as IPython compiles a cell
    code = compile(text, file, "exec", flags)
    return next(each for each in code.co_consts if isinstance(each, CodeType)) if inner else code


RUN_CODE = of("def run_code(): pass", os.path.join("x", "IPython", "core", "interactiveshell.py"), inner=True)
PLAIN = of("time.sleep(1)", "<cell>")
AWAITS = of("await asyncio.sleep(1)", "<cell>")
BODY = of("async def main(): pass", "<cell>", inner=True)
RUN = asyncio.Runner.run.__code__


def plain(*codes: CodeType) -> bool:
    return in_plain_cell([(code, 0) for code in codes])


def test_a_cell_that_awaits_nothing_is_plain_code_on_its_kernels_loop() -> None:
    assert plain(_ROUND, RUN_CODE, PLAIN)
    assert plain(RUN, _ROUND, RUN_CODE, PLAIN, BODY)
    assert not plain(_ROUND, RUN_CODE, AWAITS)
    assert not plain(RUN, _ROUND, BODY)
    assert not plain()


def test_a_loop_that_a_plain_cell_runs_is_its_own() -> None:
    assert not plain(RUN_CODE, PLAIN, RUN, _ROUND, BODY)
    assert not plain(_ROUND, RUN_CODE, PLAIN, RUN, BODY), "nor is there a frame of a round on a loop that is in C"
