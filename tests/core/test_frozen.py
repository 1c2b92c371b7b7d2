"""What is frozen is made of all its fields and nothing else, and keeps nothing that it worked out for another one."""

from __future__ import annotations

import copy
import pickle
from functools import cached_property

import pytest

from whilst.core.frozen import Frozen


class Size(Frozen):
    width: int
    height: int = 2

    @cached_property
    def area(self) -> int:
        return self.width * self.height


class Named(Size):
    name: str = "box"


def test_fields_are_those_of_all_classes_in_order_with_their_defaults() -> None:
    assert repr(Named(3, name="a")) == "Named(width=3, height=2, name='a')"
    assert Named.__match_args__ == ("width", "height", "name")


@pytest.mark.parametrize(
    ("given", "named"),
    [((), {}), ((), {"height": 1}), ((1, 2, 3), {}), ((1,), {"depth": 3}), ((), {"width": 1, "area": 3})],
)
def test_what_is_missing_or_unknown_is_refused(given: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError, match=r"Size takes width, height, got"):
        Size(*given, **named)
    with pytest.raises(TypeError, match=r"Size takes width, height, got"):
        Size(1)._replace(depth=1)


def test_another_one_works_out_its_own() -> None:
    small = Size(2)
    assert small.area == 4
    assert small._replace(width=5).area == 10
    assert small._replace(width=5) == Size(5)
    assert small == Size(2, 2)  # whatever it has worked out


def test_it_can_be_copied_and_sent_and_not_be_changed() -> None:
    size = Size(2)
    assert copy.copy(size) == copy.deepcopy(size) == pickle.loads(pickle.dumps(size)) == size
    assert hash(size) == hash(Size(2))
    assert size != Named(2)
    with pytest.raises(AttributeError, match="frozen"):
        size.width = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match="frozen"):
        del size.width
