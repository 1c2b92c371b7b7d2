"""A plain run inside a loop's thread is warned of, at the line of the user's that began it, whatever the form."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import whilst

FLOW = whilst.sequence(range, whilst.each(str))


def _with() -> Any:
    with whilst.map(str, [1, 2]) as run:
        return list(run)


FORMS: dict[str, Callable[[], Any]] = {
    "for": lambda: [value for value in whilst.map(str, [1, 2])],  # noqa: C416
    "list()": lambda: whilst.map(str, [1, 2]).list(),
    "outcomes": lambda: list(whilst.map(str, [1, 2]).outcomes()),
    "outcomes().list()": lambda: whilst.map(str, [1, 2]).outcomes().list(),
    "next": lambda: next(iter(whilst.map(str, [1, 2]))),
    "with": _with,
    "flow": lambda: FLOW(2),
    "stream": lambda: FLOW.stream(2).list(),
    "map of a flow": lambda: whilst.map(FLOW, [2]).list(),
    "sorted": lambda: sorted(whilst.map(str, [1, 2])),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_the_warning_names_the_line_of_the_user(form: str) -> None:
    act = FORMS[form]

    async def main() -> None:
        act()

    with pytest.warns(RuntimeWarning, match="blocks the event loop") as caught:
        asyncio.run(main())
    [told] = caught
    lines, first = inspect.getsourcelines(act)
    assert told.filename == __file__
    assert first <= told.lineno < first + len(lines)
