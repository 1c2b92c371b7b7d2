"""What the end of a call tells a limit, and for how long that pauses."""

from __future__ import annotations

import pytest

from whilst.core.throttle import Throttle
from whilst.limit import feedback
from whilst.limit.feedback import Report, told_to


@pytest.mark.parametrize(("asked", "longest"), [(1.0, 1.05), (60.0, 60.1)])
def test_a_pause_is_longer_by_what_is_drawn_once_for_all_who_ask_for_it(
    monkeypatch: pytest.MonkeyPatch, asked: float, longest: float
) -> None:
    drawn: list[float] = []

    def draw() -> float:
        drawn.append(1.0)
        return 1.0

    monkeypatch.setattr(feedback, "draw", draw)
    throttle, refusal = Throttle(), Report("rejected", retry_after=asked, limits="surely")
    throttle.take(0.0, count=20)
    for _ in range(20):
        throttle.give_back()
        told_to(throttle, 0.0, 0.0, refusal, meant=True)
    assert throttle.pause_until == pytest.approx(longest)
    assert len(drawn) == 1
    told_to(throttle, 0.0, 1.0, refusal, meant=True)  # a later one asks for longer
    assert throttle.pause_until == pytest.approx(1.0 + longest)
