"""A value of another type, or a slip of the pen, is answered with a line that works when it is copied."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import whilst


def mapped(**given: Any) -> Any:
    return whilst.map(abs, [1], **given)


def stepped(**given: Any) -> Any:
    return whilst.step(abs, **given)


def journal(**given: Any) -> Any:
    return whilst.Journal("run.db", **given)


@dataclass
class Place:
    name: str


# what takes it, what is given, the line that works
WRONG: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (mapped, {"concurrency": "8"}, "concurrency=8"),
    (mapped, {"concurrency": 2.0}, "concurrency=2"),
    (mapped, {"concurrency": "adaptiv"}, 'concurrency="adaptive"'),
    (mapped, {"total": "1e3"}, ""),
    (mapped, {"timeout": "5s"}, "timeout=5"),
    (mapped, {"timeout": "100 ms"}, "timeout=0.1"),
    (mapped, {"timeout": "2"}, "timeout=2"),
    (mapped, {"deadline": "1.5 minutes"}, "deadline=90"),
    (mapped, {"deadline": datetime.timedelta(hours=1)}, "deadline=3600"),
    (mapped, {"deadline": "soon"}, ""),
    (stepped, {"timeout": "1m"}, "timeout=60"),
    (whilst.batched, {"n": "3"}, "n=3"),
    (mapped, {"rate": "5"}, 'rate="5/s"'),
    (mapped, {"rate": "5 per second"}, 'rate="5/s"'),
    (mapped, {"rate": "1,000 / hours"}, 'rate="1000/h"'),
    (mapped, {"limit": "10/min"}, 'rate="10/min"'),
    (mapped, {"stop_after": 0.1}, 'stop_after="10%"'),
    (mapped, {"stop_after": "5 %"}, 'stop_after="5%"'),
    (mapped, {"executor": "threads"}, 'executor="thread"'),
    (mapped, {"executor": "proces"}, 'executor="process"'),
    (mapped, {"executor": "multiprocessing"}, 'executor="process"'),
    (mapped, {"name": 5}, "name='5'"),
    (stepped, {"name": 5}, "name='5'"),
    (whilst.Retry, {"attempts": "3"}, "attempts=3"),
    (whilst.Retry, {"base": "1s"}, "base=1"),
    (whilst.Retry, {"base": 50}, "base=50, cap=500"),
    (whilst.Retry, {"total": "1m"}, "total=60"),
    (whilst.Retry, {"budget": "20%"}, "budget=0.2"),
    (whilst.Retry, {"on": [ValueError]}, "on=(ValueError,)"),
    (whilst.Retry, {"on": [ValueError, OSError]}, "on=(ValueError, OSError)"),
    (whilst.Retry, {"on": "ConnectionError"}, "on=ConnectionError"),
    (whilst.Retry, {"on": 404}, 'on=lambda error: getattr(error, "status", 0) == 404'),
    (whilst.watch, {"port": "0"}, ""),
    (whilst.watch, {"port": 70000}, "port=0"),
    (journal, {"codec": "json"}, "codec=Place"),
    (journal, {"codec": json}, "codec=Place"),
]


@pytest.mark.parametrize(("taken_by", "given", "line"), WRONG)
def test_the_line_that_is_proposed_works(taken_by: Callable[..., Any], given: dict[str, Any], line: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        taken_by(**given)
    said = str(caught.value)
    assert said.partition("\n  try: ")[2].partition(", ")[0].startswith(line.partition(", ")[0])
    if not line:
        assert "try:" not in said
        return
    meant = taken_by(**eval(f"dict({line})"))
    if isinstance(meant, whilst.Watch):
        meant.close()


def opens(url: str, session: Any) -> str:
    return url + session


@pytest.mark.parametrize("use", [whilst.resource(str), [str], {"session": str}])
def test_resources_have_names(use: Any) -> None:
    with pytest.raises(TypeError, match=r"try: use=\{.session.: whilst.resource"):
        whilst.map(opens, ["a"], use=use)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (lambda: whilst.Flow(abs), "whilst.sequence(abs, …)"),  # type: ignore[arg-type]
        (lambda: whilst.Flow([abs]), "whilst.sequence(fn, …)"),  # type: ignore[arg-type]
        (lambda: whilst.Run(abs), "whilst.map(abs, inputs)"),  # type: ignore[arg-type]
        (lambda: whilst.get_json("x"), "whilst.http.get_json(…)"),  # type: ignore[attr-defined]
        (lambda: whilst.http.get("x"), "whilst.http.get_json(url)"),  # type: ignore[attr-defined]
        (lambda: whilst.http.post("x"), 'whilst.http.request("POST", url, …)'),  # type: ignore[attr-defined]
        (lambda: whilst.http.AsyncClient(), "await whilst.http.aio.get_json(url)"),  # type: ignore[attr-defined]
    ],
)
def test_a_name_that_is_elsewhere_is_answered(typed: Callable[[], Any], line: str) -> None:
    with pytest.raises((TypeError, AttributeError)) as caught:
        typed()
    assert f"\n  try: {line}" in str(caught.value)


def test_headers_that_are_no_texts_are_refused_without_their_values(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"the header 'X-Key' must be text, got int\n  try: headers=") as caught:
        whilst.http.get_text("http://127.0.0.1:9/", headers={"X-Key": 4711})  # type: ignore[dict-item]
    assert "4711" not in str(caught.value)
    with pytest.raises(TypeError, match="headers must be a mapping of texts, got str"):
        whilst.http.get_text("http://127.0.0.1:9/", headers="X-Key: 4711")  # type: ignore[arg-type]


def test_methods_that_everybody_knows_are_sent_in_capitals() -> None:
    from whilst.demo.pokeapi import serve

    with serve(latency=0.01) as api:
        assert whilst.http.request("get", f"{api.url}/pokemon/pikachu").json()["id"] == 25
