"""What fails in a pipeline names the item of the stage, by the stage's path, and the value of the flow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import whilst
from whilst import batched, each, flatten, sequence


def fails_at_three(item: Any) -> Any:
    if item == 3:
        raise LookupError("no such item")
    return item


async def afails_at_three(item: Any) -> Any:
    return fails_at_three(item)


def last_step(item: Any) -> Any:
    return item


FLOWS = {
    "first of the stages": (sequence(range, each(fails_at_three), batched(2)), "sequence[1].each"),
    "last of the stages": (sequence(range, batched(1), flatten(), each(afails_at_three)), "sequence[3].each"),
    "in the middle": (sequence(range, each(fails_at_three), sum), "sequence[1].each"),
    "the only one": (sequence(range, each(whilst.step(fails_at_three, retry=2))), "sequence[1].each"),
    "a part of a stage": (sequence(range, each(sequence(fails_at_three, last_step))), "sequence[1].each"),
}
FORMS = {
    "call": lambda flow: flow(9),
    "aio": lambda flow: asyncio.run(flow.aio(9)),
    "map": lambda flow: whilst.map(flow, [9]).list(),
    "stream": lambda flow: flow.stream(9).list(),
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("shape", list(FLOWS))
def test_the_notes_name_step_item_and_value(shape: str, form: str) -> None:
    flow, where = FLOWS[shape]
    if form == "stream" and shape == "in the middle":
        pytest.skip("gives one value, and not a stream")
    with pytest.raises(LookupError) as caught:
        FORMS[form](flow)
    notes = caught.value.__notes__
    assert notes[0].startswith(f"whilst: step {where}")
    assert "fails_at_three" in notes[0]
    assert notes[1] == f"whilst: item of {where} was 3"
    assert notes[2].startswith("whilst: input 0 was 9, attempt ")
    assert len(notes) == 3


def test_stages_within_stages_name_an_item_each() -> None:
    inner = sequence(range, each(fails_at_three, ordered=False, concurrency=1), list)
    with pytest.raises(LookupError) as caught:
        sequence(lambda n: [n, n + 1], each(inner, concurrency=1), list)(4)
    assert [note for note in caught.value.__notes__ if "item of" in note] == [
        "whilst: item of sequence[1].each[1].each was 3",
        "whilst: item of sequence[1].each was 4",
    ]


def test_an_exception_that_forbids_notes_comes_out_as_it_is() -> None:
    class Closed(Exception):
        def add_note(self, note: str) -> None:
            raise AttributeError("no notes here")

    def fail(item: Any) -> Any:
        raise Closed(item)

    with pytest.raises(Closed):
        sequence(range, each(fail), batched(2)).stream(3).list()
