"""Runs that know nothing meet the limits of well-known APIs: how much of what is permitted do they use?

Figures are of one virtual minute and printed in docs/limits-and-retries.md; `python tests/fakes/test_fakes.py` makes
the table anew.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from calling import START, Score, play
from vendors import VENDORS, Vendor

from whilst.core.counts import FAMILIES
from whilst.core.glance import Glance

pytestmark = pytest.mark.once
PAGE = Path(__file__).parents[2] / "docs/limits-and-retries.md"
POLICIES: dict[str, dict[str, Any]] = {
    "retry": {"retry": 5},
    "adaptive": {"retry": 5, "concurrency": "adaptive"},
}


def can_be_read(vendor: Vendor) -> bool:
    """Whether its answers tell of calls that are left; of others it is the same whether they are read or not."""
    glance, (_, reply) = Glance(), vendor.make()
    return any(glance.at(reply(now / 10).headers, float) is not None for now in range(100))


WAYS = [
    pytest.param(vendor, policy, reads, id=f"{vendor.name}-{policy}{'-read' * reads}")
    for vendor in VENDORS
    for policy in POLICIES
    for reads in (False, True)[: 1 + can_be_read(vendor)]
]
BY_NAME = {vendor.name: vendor for vendor in VENDORS}


@lru_cache(None)
def score(name: str, policy: str, reads: bool) -> Score:
    return play(BY_NAME[name], reads=reads, **POLICIES[policy])[0]


@pytest.mark.parametrize(("vendor", "policy", "reads"), WAYS)
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


def test_every_family_of_headers_that_is_read_has_a_fake() -> None:
    sent: set[str] = set()
    for vendor in VENDORS:
        _, reply = vendor.make()
        sent |= set(reply(0.0).headers)
    unsent = {family.remaining for family in FAMILIES if family.kind != "tokens"} - sent
    assert unsent == {
        "x-rate-limit-remaining",  # X-RateLimit in another spelling
        # Linear's, which refuses by a word in the body of a 400: nothing that a client raises tells of that
        *("x-ratelimit-requests-remaining", "x-ratelimit-endpoint-requests-remaining"),
    }


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
