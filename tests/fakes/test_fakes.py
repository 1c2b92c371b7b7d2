"""Runs that know nothing meet the limits of well-known APIs: how much of what is permitted do they use?

Figures are of one virtual minute and printed in docs/limits-and-retries.md; `python tests/fakes/test_fakes.py` makes
the table anew.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from calling import LATENCY, START, Refused, Score, play
from meters import Window
from vendors import VENDORS, Reply, Vendor, answered

import whilst
from whilst import testing
from whilst.core.counts import FAMILIES

PAGE = Path(__file__).parents[2] / "docs/limits-and-retries.md"
POLICIES: dict[str, dict[str, Any]] = {
    "retry": {"retry": 5},
    "adaptive": {"retry": 5, "concurrency": "adaptive"},
}
WAYS = tuple((policy, reads) for policy in POLICIES for reads in (True, False))
BY_NAME = {vendor.name: vendor for vendor in VENDORS}


@lru_cache(None)
def score(name: str, policy: str, reads: bool) -> Score:
    return play(BY_NAME[name], reads=reads, **POLICIES[policy])[0]


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
@pytest.mark.parametrize(("policy", "reads"), WAYS)
def test_what_is_permitted_is_used_and_hardly_anything_is_refused(vendor: Vendor, policy: str, reads: bool) -> None:
    found = score(vendor.name, policy, reads)
    only_refusals_tell = vendor.tells != "left" or not reads
    assert found.used >= (90.0 if only_refusals_tell else 95.0), found
    assert found.refused <= 3.0, f"after {START:g} s: {found}"
    assert found.early == 0, found


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor.tells == "left"], ids=lambda it: it.name)
def test_where_answers_say_how_many_are_left_nothing_is_refused(vendor: Vendor) -> None:
    found = score(vendor.name, "retry", True)
    assert found.refusals == 0


class Chance:
    """Refuses a share of the calls, whatever their rate."""

    def permits(self, seconds: float) -> float:
        return 32 / LATENCY * seconds


def by_chance(share: float, status: int) -> Vendor:
    def make() -> tuple[Any, Any]:
        rng = random.Random(3)
        return Chance(), lambda now: Reply(status if rng.random() < share else 200, answered(now))

    return Vendor("by chance", "no", make, "an edge that refuses at random")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("share", "used"), [(0.003, 99.4), (0.01, 98.4), (0.05, 94.3), (0.2, 79.3)])
def test_to_find_out_that_refusals_come_by_chance_costs_next_to_nothing(share: float, used: float, status: int) -> None:
    found, _ = play(by_chance(share, status), reads=False, retry=5)
    assert found.used >= used, found  # without any look for a rate: 99.7, 99, 95 and 80


@pytest.mark.parametrize("slots", [2, 8, 20])
def test_a_side_that_takes_so_many_at_once_is_used_better_than_by_retries_alone(slots: int) -> None:
    busy = taken = 0

    async def call(item: int) -> int:
        nonlocal busy, taken
        await asyncio.sleep(LATENCY / 5)
        if busy >= slots:
            raise Refused(Reply(429, answered(0.0)))
        busy += 1
        try:
            await asyncio.sleep(LATENCY)
        finally:
            busy -= 1
        taken += 1
        return item

    async def main() -> None:
        run = whilst.map(call, range(10**7), ordered=False, retry=8, concurrency=32)
        asyncio.get_running_loop().call_later(60.0, run.cancel)
        with pytest.raises(whilst.RunCancelled):
            async for _ in run.outcomes():
                pass

    testing.run(main())
    assert taken > {2: 70, 8: 200, 20: 1000}[slots]  # 35, 107 and 251 by retries that only wait


@pytest.mark.parametrize(("count", "refused"), [(20, 0.03), (100, 0.015)])
def test_to_keep_to_small_windows_costs_little_once_they_are_known(count: int, refused: float) -> None:
    seen: list[tuple[float, int]] = []

    def make() -> tuple[Any, Any]:
        window = Window(count, 10.0)

        def reply(now: float) -> Reply:
            status = 200 if window.take(now) else 429
            seen.append((now, status))
            return Reply(status, answered(now))

        return window, reply

    play(Vendor("windows", "no", make, "a quota of so many in ten seconds"), 300.0, reads=False, retry=5)
    known = [status for now, status in seen if now >= 100.0]
    assert known.count(200) >= 0.95 * 20 * count
    assert known.count(429) <= refused * len(known), known.count(429)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("count", "period"), [(40, 1.0), (50, 1.0), (400, 2.0), (100, 2.0), (60, 5.0)])
def test_short_windows_of_which_nothing_is_told_are_kept_to(count: int, period: float, status: int) -> None:
    """Without a look at the moments at which a window is used up, 12 to 79 % of the calls were refused for ever."""

    def make() -> tuple[Any, Any]:
        window = Window(count, period, first=0.4 * period)
        return window, lambda now: Reply(200 if window.take(now) else status, answered(now))

    found, _ = play(Vendor("windows", "no", make, "so many in each second or few"), reads=False, retry=5)
    assert found.used >= 85.0, found
    assert found.refused <= 5.0, found


def test_every_family_of_headers_that_is_read_has_a_fake() -> None:
    sent: set[str] = set()
    for vendor in VENDORS:
        _, reply = vendor.make()
        sent |= set(reply(0.0).headers)
    unsent = {family.remaining for family in FAMILIES if family.kind != "tokens"} - sent
    assert unsent == {"x-rate-limit-remaining"}  # X-RateLimit in another spelling


HEAD = (
    '| API | its answers tell | `retry=5` | the same, answers read | `"adaptive"` | the same, answers read |',
    "|---|---|---|---|---|---|",
)
TELL = {"left": "how many calls are left", "when": "when to come again", "no": "nothing"}


def row(vendor: Vendor) -> str:
    """Return a line of the page's table: used and refused, in percent."""
    cells = []
    for policy, reads in (("retry", False), ("retry", True), ("adaptive", False), ("adaptive", True)):
        there = not reads or vendor.tells == "left"
        found = score(vendor.name, policy, reads) if there else None
        cells.append("" if found is None else f"{found.used:.0f} % · {found.refused:.1f} %")
    return f"| {vendor.name} | {TELL[vendor.tells]} | {' | '.join(cells)} |"


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_the_page_shows_what_was_measured(vendor: Vendor) -> None:
    """The order of tasks may differ from Python to Python, so figures may by a little; rows and words may not."""
    page = PAGE.read_text(encoding="utf-8")
    assert "\n".join(HEAD) in page
    shown = next(line for line in page.splitlines() if line.startswith(f"| {vendor.name} |"))
    number, made = r"[\d.]+(?= %)", row(vendor)
    assert re.sub(number, "#", shown) == re.sub(number, "#", made), "python tests/fakes/test_fakes.py makes it anew"
    then, now = ([float(it) for it in re.findall(number, line)] for line in (shown, made))
    for used, refused, used_now, refused_now in zip(then[::2], then[1::2], now[::2], now[1::2], strict=True):
        assert abs(used - used_now) <= 2.0, (shown, made)
        assert abs(refused - refused_now) <= max(1.0, 0.1 * refused), (shown, made)


if __name__ == "__main__":
    for line in (*HEAD, *map(row, VENDORS)):
        sys.stdout.write(f"{line}\n")
