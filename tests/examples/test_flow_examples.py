"""The examples of flows run as their reader would run them, and show what their docstrings say."""

import re

import pytest
from test_examples import run

pytestmark = pytest.mark.slow


def test_a_task_alone_leaves_the_counter_standing_and_unblock_lets_it_tick() -> None:
    text = run("06_blocking_beside_async")
    assert re.findall(r"weight (\d+)", text) == ["4600"] * 3
    found = dict(re.findall(r"^(\w[\w ]+): .* stood still for ([\d.]+) s", text, re.MULTILINE))
    still = {name: float(seconds) for name, seconds in found.items()}
    assert still["a task"] >= 0.3  # as long as the request takes
    assert max(still["to_thread"], still["unblock"]) < still["a task"] / 2
    ticks = [int(count) for count in re.findall(r"ticked (\d+) times", text)]
    assert ticks[0] <= 1 < min(ticks[1:])
    at_once = re.search(r"20 requests at once after ([\d.]+) s", text)
    assert at_once
    assert float(at_once[1]) < 3  # 6 s one by one


def test_patterns_keep_their_shape_whatever_the_colour_of_their_members() -> None:
    text = run("07_design_patterns")
    assert text.count("[230, 600, 290, 205]") == 6
    assert "['1 by post', '2 by drone', '3 by post', '4 by drone']" in text
    assert "('charged 230', 'mailed ann@example.com', 'charged 600', 'mailed ben@example.com')" in text
    assert seconds("commands, together", text) < seconds("commands, one after another", text)


def test_a_nested_flow_is_what_one_would_write_by_hand_with_its_plan() -> None:
    text = run("08_nested_services")
    assert "same: True" in text
    assert "│  ├─ switch_on_pump() · blocking, thread, takes no value" in text
    assert "   ├─ saved: save() · blocking, thread" in text
    assert seconds("as a flow", text) < seconds("one by one", text)
    assert seconds("as a flow", text) >= 0.5  # the longest of each level


def test_the_stages_of_the_import_overlap_and_write_the_same_rows() -> None:
    text = run("09_streaming_import")
    assert "one by one  48 rows" in text
    assert "as a flow   48 rows" in text
    assert "same: True" in text
    spans = re.findall(r"^  (\w+) +(\d+) calls ([\d.]+)-([\d.]+) s", text, re.MULTILINE)
    assert [(stage, int(count)) for stage, count, *_ in spans] == [("pages", 6), ("details", 48), ("rows", 5)]
    begun, ended = ({stage: float(it) for stage, _, *both in spans for it in [both[i]]} for i in (0, 1))
    assert begun["details"] < ended["pages"]
    assert begun["rows"] < ended["details"]
    assert begun["rows"] < ended["pages"]


def seconds(label: str, text: str) -> float:
    found = re.search(rf"^{label}.*?([\d.]+) s\b", text, re.MULTILINE)
    assert found, text
    return float(found[1])
