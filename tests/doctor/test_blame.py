"""Of what was seen in a round, each line gets the time that was its own, and what it did in it."""

from __future__ import annotations

import dis
from collections.abc import Sequence

import pytest

from whilst.doctoring.held import held_findings
from whilst.doctoring.pulse import Round
from whilst.doctoring.records import Held
from whilst.doctoring.rounds import Look, Position, Rounds, Sight

TICK = 0.005


async def five() -> None:
    len("1")
    len("2")
    len("3")
    len("4")
    len("5")


CODE = five.__code__
LINES = {line - CODE.co_firstlineno: offset for offset, line in dis.findlinestarts(CODE) if line is not None}


def sight(user: tuple[Position, ...]) -> Sight:
    return Sight(user, None, None, mapped=False, ours=False, begins=False, elsewhere=False)


def seen(*looks: tuple[int, float, float], of: int = 0) -> list[Held]:
    """Return what is held against whom: of looks that saw a line, for so long, of which its thread computed so long."""
    places: dict[tuple[object, ...], Held] = {}
    rounds, now = Rounds(places, 0.05), 0.0
    for line, seconds, computed in looks:
        while seconds > TICK / 2:
            user: tuple[Position, ...] = ((CODE, LINES[line], CODE.co_firstlineno + line),)
            part = min(TICK, seconds)
            rounds.look(Look(0, of, True, sight(user), part, computed * part, False, False))
            seconds, now = seconds - TICK, now + part
    rounds.ended(Round(0, 0.0, now))
    return sorted(places.values(), key=lambda held: held.path[-1].line)


def told(found: Sequence[Held]) -> list[tuple[int, float, float]]:
    return [
        (held.path[-1].line - CODE.co_firstlineno, round(held.seconds, 2), round(held.computed, 2)) for held in found
    ]


def test_each_line_over_the_threshold_is_told_with_its_own_time() -> None:
    assert told(seen((1, 0.1, 0), (2, 0.1, 0), (3, 0.6, 0), (4, 0.1, 0), (5, 0.1, 0))) == [
        (1, 0.1, 0),
        (2, 0.1, 0),
        (3, 0.6, 0),
        (4, 0.1, 0),
        (5, 0.1, 0),
    ]


def test_one_line_waited_while_another_computed() -> None:
    assert told(seen((1, 0.3, 0.0), (2, 0.2, 1.0))) == [(1, 0.3, 0.0), (2, 0.2, 0.2)]


def test_a_line_that_has_nearly_all_is_told_with_the_length_of_the_round() -> None:
    assert told(seen((1, 0.03, 0), (2, 0.2, 0), (3, 0.02, 0))) == [(2, 0.25, 0)]


def test_a_line_that_has_half_is_not_given_what_others_took() -> None:
    assert told(seen((1, 0.04, 0), (2, 0.1, 0), (3, 0.04, 0))) == [(2, 0.1, 0)]


def test_lines_none_of_which_is_long_are_told_together() -> None:
    assert told(seen(*((line, 0.03, 0) for line in (1, 2, 4, 5)), (3, 0.04, 0))) == [(3, 0.16, 0)]


def test_a_loop_over_lines_is_told_once() -> None:
    assert told(seen(*[(1, 0.03, 0), (2, 0.02, 0)] * 6)) == [(1, 0.3, 0)]


@pytest.mark.parametrize("computed", [0.0, 1.0])
def test_a_round_right_after_another_is_told_for_what_it_did_itself(computed: float) -> None:
    """Whoever looks sees no rest between two rounds, so there is no moment from which to count the second alone."""
    places: dict[tuple[object, ...], Held] = {}
    rounds = Rounds(places, 0.05)
    for number, share in ((0, 1 - computed), (1, computed)):
        user: tuple[Position, ...] = ((CODE, LINES[number + 1], CODE.co_firstlineno + number + 1),)
        for _ in range(20):
            rounds.look(Look(number, 0, True, sight(user), TICK, share * TICK, False, False))
        rounds.ended(Round(number, number * 0.1, number * 0.1 + 0.1))
    assert told(list(places.values())) == [(1, 0.1, 0.1 * (1 - computed)), (2, 0.1, 0.1 * computed)]


async def two() -> None:
    len("1"), len("2"), len("3")


@pytest.mark.parametrize(
    ("shares", "several"), [((0.5, 0.5), True), ((0.4, 0.35, 0.25), True), ((0.9, 0.1), False), ((1.0,), False)]
)
def test_a_line_of_several_calls_is_none_of_them_alone(shares: tuple[float, ...], several: bool) -> None:
    code, places = two.__code__, dict[tuple[object, ...], Held]()
    rounds, line = Rounds(places, 0.05), two.__code__.co_firstlineno + 1
    offsets = [each.offset for each in dis.get_instructions(code) if each.opname.startswith("CALL")]
    for offset, share in zip(offsets, shares, strict=False):
        rounds.look(Look(0, 0, True, sight(((code, offset, line),)), share, 0.0, True, False))
    rounds.ended(Round(0, 0.0, 1.0))
    (held,) = places.values()
    assert (held.seconds, held.several) == (1.0, several)
    (found,) = held_findings([held])
    assert found.call == ("" if several else "len")
    assert found.text.startswith('len("1"), len("2"), len("3") held' if several else "len held")
    assert (found.change is None) == several
