"""Templates of URLs, and where an answer goes on: pure text, checked against simple models."""

from __future__ import annotations

import itertools
import re
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyreqwest")

from whilst.cli.messages import Problem
from whilst.cli.paging import next_in
from whilst.cli.template import Unfillable, expand, fields_of, fill

plain = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=8)
choices = st.lists(plain.filter(lambda it: "," not in it), min_size=2, max_size=4)
numbers = st.tuples(st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 7) | st.none())
part = st.one_of(plain, choices, numbers)


def written(it: Any) -> str:
    if isinstance(it, str):
        return it
    if isinstance(it, list):
        return "{" + ",".join(it) + "}"
    first, last, step = it
    return f"{{{first}..{last}" + (f"..{step}}}" if step else "}")


def meant(it: Any) -> list[str]:
    if isinstance(it, str):
        return [it]
    if isinstance(it, list):
        return it
    first, last, step = it
    values = range(first, last + 1, step or 1) if first <= last else range(first, last - 1, -(step or 1))
    return [str(value) for value in values]


@given(st.lists(part, max_size=3))
def test_a_template_is_every_combination_with_the_last_braces_fastest(parts: list[Any]) -> None:
    expansion = expand("".join(written(it) for it in parts))
    wanted = ["".join(it) for it in itertools.product(*(meant(it) for it in parts))]
    assert list(expansion) == wanted
    assert expansion.count == len(wanted)


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{01..10}", ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10"]),
        ("{8..010}", ["008", "009", "010"]),
        ("{0..1}", ["0", "1"]),
        ("{-01..1}", ["-01", "00", "01"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{0..100..40}", ["0", "40", "80"]),
        ("{5..5}", ["5"]),
        ("{a,}", ["a", ""]),
        ("{1..2,x}", ["1..2", "x"]),
        ("", [""]),
    ],
)
def test_ranges_count_as_in_a_shell(template: str, wanted: list[str]) -> None:
    assert list(expand(template)) == wanted


def test_a_template_of_a_billion_squared_is_counted_and_begun_at_once() -> None:
    expansion = expand("{1..1000000000}/{1..1000000000}")
    assert expansion.count == 10**18
    assert list(itertools.islice(expansion, 2)) == ["1/1", "1/2"]


@given(st.text(st.sampled_from("{}.,1a-"), max_size=12))
def test_any_text_is_a_template_or_says_what_is_wrong(text: str) -> None:
    try:
        expansion = expand(text)
    except Problem as problem:
        remedy = problem.remedy
    else:
        urls = list(itertools.islice(expansion, 100))
        remedy = "" if any("{" in url or "}" in url for url in urls) else "none is needed"
    assert remedy


@given(st.text(min_size=1, max_size=20).filter(lambda it: it not in (".", "..")))
def test_a_value_cannot_leave_its_place_in_a_url(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    url = urlsplit(fill("https://example.com/a/{name}/b?q={name}#end", {"name": value}))
    assert (url.scheme, url.netloc, url.fragment) == ("https", "example.com", "end")
    assert [unquote(it) for it in url.path.split("/")] == ["", "a", value, "b"]
    assert unquote(url.query) == f"q={value}"


@pytest.mark.parametrize("value", ["", ".", "..", None, [1], {"a": 1}])
def test_what_would_change_the_url_is_refused(value: Any) -> None:
    with pytest.raises(Unfillable):
        fill("https://example.com/{x}", {"x": value})
    with pytest.raises(Unfillable, match="no field 'y'"):
        fill("https://example.com/{y}", {"x": 1})


def test_fields_are_named_once_each() -> None:
    assert fields_of("{a}/{b}/{a}?{}") == ["a", "b", ""]
    assert [fill("/{}", value) for value in ("a b", 7, 1.5, True)] == ["/a%20b", "/7", "/1.5", "/true"]


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", None),
        ("<u>", None),
        ("<u>; rel=next", "u"),
        ('<u>;rel="next"', "u"),
        ('<u>; REL="Next"', "u"),
        ('<u>; title="rel=next"', None),
        ('<p>; rel="prev", <u>; rel="next", <l>; rel="last"', "u"),
        ('<p,a>; title="x, <y>; rel=next"; rel=prev, <u;b>; rel="last next"', "u;b"),
        ('<u>; rel="nexting"', None),
        ("garbage", None),
    ],
)
def test_the_next_link_of_a_header(header: str, wanted: str | None) -> None:
    assert next_in(header) == wanted


@given(st.text(max_size=60))
def test_any_header_can_be_looked_at(header: str) -> None:
    found = next_in(header)
    assert found is None or re.search(re.escape(found), header)
