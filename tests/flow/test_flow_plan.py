"""The picture of a flow before it runs."""

from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

import whilst


def load(key: int) -> int:
    return key


async def fetch(key: int) -> int:
    return key


def rows(n: int) -> Iterator[int]:
    yield n


async def rows_later(n: int) -> AsyncIterator[int]:
    yield n


def save(row: int, db: object) -> int:
    return row


def now() -> int:
    return 0


LIMIT = whilst.Limit(concurrency=5)
FLOW = whilst.sequence(
    load,
    now,
    whilst.together(
        orders=fetch,
        profile=whilst.sequence(fetch, whilst.step(load, timeout=2, name="score")),
        place=whilst.first(fetch, load),
    ),
    whilst.together(load, fetch),
    rows,
    whilst.flatten(),
    whilst.each(fetch, concurrency=50, ordered=False, timeout=1.5),
    whilst.batched(500, within=1.0),
    whilst.batched(2),
    whilst.each(whilst.sequence(load, fetch), concurrency=4),
    whilst.step(save, limit=LIMIT, use={"db": whilst.resource(list, per="thread")}),
    whilst.step(whilst.sequence(load, rows_later), timeout=30, limit=LIMIT, name="slow part"),
)

TEXT = """\
sequence
├─ load() · blocking, thread
├─ now() · blocking, thread, takes no value
├─ together
│  ├─ orders: fetch() · async
│  ├─ profile: sequence
│  │  ├─ fetch() · async
│  │  └─ score: load() · blocking, thread, timeout 2 s
│  └─ place: first
│     ├─ fetch() · async
│     └─ load() · blocking, thread
├─ together
│  ├─ load() · blocking, thread
│  └─ fetch() · async
├─ rows() · generator
├─ flatten · one level
├─ each fetch() · 50 at once, unordered, async, timeout 1.5 s
├─ batched · at most 500, within 1 s
├─ batched · at most 2
├─ each · 4 at once
│  └─ sequence
│     ├─ load() · blocking, thread
│     └─ fetch() · async
├─ save() · blocking, thread, limit 5, db per thread
└─ slow part: sequence · timeout 30 s, limit 5
   ├─ load() · blocking, thread
   └─ rows_later() · generator"""


def test_the_text_has_every_node_with_its_kind_function_colour_and_policies() -> None:
    assert str(FLOW.plan()) == TEXT


def test_the_parts_of_a_plan_are_data() -> None:
    plan = FLOW.plan()
    assert plan.kind == "sequence"
    assert [part.kind for part in plan.parts][:4] == ["step", "step", "together", "together"]
    assert [part.label for part in plan.parts[2].parts] == ["orders", "profile", "place"]
    assert plan.parts[0].facts == ("blocking", "thread")


def test_mermaid_has_a_node_and_an_edge_for_each_line() -> None:
    lines = FLOW.plan().mermaid().splitlines()
    count = len(TEXT.splitlines())
    assert lines[0] == "flowchart TD"
    assert sum('["' in line for line in lines) == count
    assert sum("-->" in line for line in lines) == count - 1
    assert '    n1["load() · blocking, thread"]' in lines
    assert "    n0 -->|1| n1" in lines


def test_html_is_a_nested_list_with_every_line() -> None:
    html = FLOW.plan()._repr_html_()
    assert html.count("<li>") == html.count("</li>") == len(TEXT.splitlines())
    assert "<b>each fetch()</b> <small>50 at once, unordered, async, timeout 1.5 s</small>" in html


HOSTILE = [
    "</li><script>alert(1)</script>",
    '"]; click n0 "javascript:alert(1)"',
    "a\nb\x1b[31mred\u202edaer",
    "&amp;'",
]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str) -> None:
    def fn(value: int) -> int:
        return value

    fn.__qualname__ = name
    for flow in (whilst.sequence(fn), whilst.together(**{name: abs}), whilst.step(abs, name=name), whilst.each(fn)):
        plan = flow.plan()
        tags = Tags()
        tags.feed(plan._repr_html_())
        assert tags.seen <= {"ul", "li", "b", "small"}
        nodes = len(plan.parts) + 1
        mermaid = plan.mermaid()
        assert len(mermaid.splitlines()) == 1 + nodes + (nodes - 1)
        assert all(line.count('"') in (0, 2) for line in mermaid.splitlines())
        assert "<" not in mermaid
        for text in (str(plan), mermaid, plan._repr_html_()):
            assert all(sign.isprintable() or sign == "\n" for sign in text)
        assert len(str(plan).splitlines()) == nodes


def test_a_lone_stage_and_a_lone_step_have_plans_too() -> None:
    assert str(whilst.flatten().plan()) == "flatten · one level"
    assert str(whilst.step(len).plan()) == "len() · blocking, thread"
    assert str(whilst.each(len).plan()) == "each len() · 32 at once, blocking, thread"


def test_a_default_that_the_value_takes_the_place_of_is_named() -> None:
    def page(number: int = 1, size: int = 20) -> int:
        return number * size

    def only_named(*, size: int = 20) -> int:
        return size

    plan = str(whilst.sequence(page, only_named, whilst.each(page)).plan())
    assert plan.splitlines()[1:] == [
        "├─ page() · blocking, thread, number= gets the value",
        "├─ only_named() · blocking, thread, takes no value",
        "└─ each page() · 32 at once, blocking, thread, number= gets the value",
    ]
