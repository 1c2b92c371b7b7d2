"""The examples of flows run as their reader would run them, and show what their docstrings say."""

import re

import pytest
from test_examples import much_faster, number, run

pytestmark = pytest.mark.slow


def test_a_task_alone_leaves_the_counter_standing_and_unblock_lets_it_tick() -> None:
    def ticking(text: str) -> bool:
        found = dict(re.findall(r"^(\w[\w ]+): .* stood still for ([\d.]+) s", text, re.MULTILINE))
        still = {name: float(seconds) for name, seconds in found.items()}
        ticks = [int(count) for count in re.findall(r"ticked (\d+) times", text)]
        return (
            still["a task"] >= 0.3  # as long as the request takes
            and max(still["to_thread"], still["unblock"]) < still["a task"] / 2
            and ticks[0] <= 1 < min(ticks[1:])
            and number("20 requests at once after", text) < 3  # 6 s one by one
        )

    text = much_faster("06_blocking_beside_async", ticking)
    assert re.findall(r"weight (\d+)", text) == ["4600"] * 3


def test_patterns_keep_their_shape_whatever_the_colour_of_their_members() -> None:
    def together(text: str) -> bool:
        return seconds("commands, together", text) < seconds("commands, one after another", text)

    text = much_faster("07_design_patterns", together)
    assert text.count("[230, 600, 290, 205]") == 6
    assert "['1 by post', '2 by drone', '3 by post', '4 by drone']" in text
    assert "('charged 230', 'mailed ann@example.com', 'charged 600', 'mailed ben@example.com')" in text


def test_a_nested_flow_is_what_one_would_write_by_hand_with_its_plan() -> None:
    text = much_faster("08_nested_services", lambda text: seconds("as a flow", text) < seconds("one by one", text))
    assert "same: True" in text
    assert "│  ├─ switch_on_pump() · blocking, thread, takes no value" in text
    assert "   ├─ saved: save() · blocking, thread" in text
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


def test_scores_are_made_by_processes_while_downloads_overlap_on_one_loop() -> None:
    text = run("13_score_downloads")
    assert "├─ each score() · 2 at once, blocking, process" in text
    assert re.search(r"^scores on threads: 24 rows in [\d.]+ s, scored by 1 process", text, re.MULTILINE)
    assert re.search(r"^scores in processes: 24 rows in [\d.]+ s, scored by [12] process", text, re.MULTILINE)
    assert "scores, this process" in text
    assert "scores, worker 1" in text
    assert text.count("▓") > 0  # downloads at the same time
    assert "same: True" in text


def test_the_doctor_names_the_line_that_starves_a_counter_and_writes_the_one_that_does_not() -> None:
    def ticks(text: str) -> bool:
        before, after = (int(count) for count in re.findall(r"ticked (\d+) times", text))
        return before <= 4 < after and "in starving" not in text[text.index("after:") :]

    text = much_faster("17_why_is_it_slow", ticks)
    assert re.findall(r"weight (\d+)", text) == ["4600"] * 2
    assert "line 21, in starving: requests.get → socket recv held the loop for 0." in text
    assert "   try:\n     answer = await whilst.unblock(requests.get)(url, timeout=30)\n" in text


def seconds(label: str, text: str) -> float:
    found = re.search(rf"^{label}.*?([\d.]+) s\b", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def test_a_crawl_of_thirty_hosts_visits_each_page_once_and_no_host_too_often() -> None:
    text = run("18_polite_crawl")
    assert re.findall(r"^(.*): 240 pages of 30 hosts", text, re.MULTILINE) == ["by hand", "in ten lines"]
    assert text.count("each asked once: True") == 2
    assert [int(most) for most in re.findall(r"at once: (\d+) of a host", text)] == [2, 2]
    assert "same pages: True" in text


def test_a_batch_is_piloted_ended_and_gone_on_with_and_no_answer_is_paid_twice() -> None:
    def together(text: str) -> bool:
        alone, all_of_it = number("one by one:", text), number("all 300 in", text)
        return alone > 2 * all_of_it

    text = much_faster("19_llm_batch", together)
    ended, kept = (int(re.search(said, text)[1]) for said in (r"in the middle, at (\d+)", r"went on: (\d+)"))  # type: ignore[index]
    assert 150 <= ended == kept < 300
    assert "unusable answers: 0, as" in text
    assert "paid twice: 0;" in text
    refused, calls = map(int, re.search(r"refused by the provider: (\d+) of (\d+)", text).groups())  # type: ignore[union-attr]
    assert refused <= calls / 50
    assert "same as one by one: True" in text


@pytest.mark.clocked
def test_a_server_goes_on_for_fifty_clients_and_ends_the_run_of_one_that_leaves() -> None:
    def held(text: str) -> list[tuple[int, int]]:
        found = re.findall(r"stood still for (\d+) ms at most, computing for (\d+) ms", text)
        return [(int(still), int(computed)) for still, computed in found]

    def calm(text: str) -> bool:
        (usual, _), (still, computed) = held(text)
        return usual >= 500 and still < usual and computed <= 200  # 20 are asked, and some 5 measured

    text = much_faster("20_inside_a_web_server", calm)
    assert "/rows: 50 clients got 2000 rows" in text
    assert int(re.search(r"after one, (\d+) were looked up", text)[1]) < 40  # type: ignore[index]


def test_an_import_says_which_stage_the_others_wait_for_and_the_advice_is_worth_it() -> None:
    text = much_faster(
        "15_where_the_time_goes", lambda text: float(text.partition("gain: ")[2].partition("x")[0]) > 1.5
    )
    assert "stage   sequence[2].each:" in text
    words = " ".join(text.split())  # however the lines are broken
    assert "waiting for whoever takes the outcomes (consumer)" in words
    assert "The other stages wait for sequence[3].each: concurrency=4 there" in words
    assert "followed: {'step': 'sequence[3].each', 'concurrency': 4}" in text
