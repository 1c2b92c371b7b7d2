"""A changed function is noticed; what only looks different is not taken for a change."""

import functools
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst.journal.fingerprint import Fingerprint, fingerprint

MODULES = iter(range(1_000_000))


@pytest.fixture
def define(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Give a function that defines `f` from source, in a module of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(source: str, name: str = "f") -> Any:
        module = f"defined_{next(MODULES)}"
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        namespace: dict[str, Any] = {}
        exec(compile(Path(tmp_path / f"{module}.py").read_text(), str(tmp_path / f"{module}.py"), "exec"), namespace)
        return namespace[name]

    return make


SAME = [
    ("def f(x): return x + 1", "def f(x):\n\n    # a comment\n    return (x + 1)"),
    ('def f(x):\n    "one"\n    return x', 'def f(x):\n    """Another."""\n    return x'),
    ("import os\ndef f(x): return [x]", "def f(x): return [x,]"),
    ("f = lambda x: x + 1", "g = 3; f = (lambda x: x + 1)"),
    ("f = [lambda x: x + 1, lambda x: x + 2][1]", "f = lambda x: x + 2"),
    ("f = lambda x: (lambda y: y + x)(1)", "f = lambda x: (\n    lambda y: y + x)(1)"),
]
DIFFERENT = [
    ("def f(x): return x + 1", "def f(x): return x + 2"),
    ("def f(x): return 'a'", "def f(x): return 'b'"),
    ("def f(x): return x.a", "def f(x): return x.b"),
    ("def f(x): return x", "async def f(x): return x"),
    ("f = lambda x: x + 1", "f = lambda x: x + 2"),
    ("f = [lambda x: x + 1, lambda x: x + 2][0]", "f = [lambda x: x + 1, lambda x: x + 2][1]"),
    ("f = lambda x: (lambda y: y + x)(1)", "f = lambda x: (lambda y: y + x)(2)"),
    ("class f:\n    def __init__(c, x): c.x = x", "class f:\n    def __init__(c, x): c.x = -x"),
    (
        "class C:\n    def __call__(self, x): return x\nf = C()",
        "class C:\n    def __call__(self, x): return -x\nf = C()",
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_only_looks_different_is_no_change(define: Callable[..., Any], one: str, other: str) -> None:
    assert fingerprint(define(one)) == fingerprint(define(other))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_does_something_else_is_a_change(define: Callable[..., Any], one: str, other: str) -> None:
    assert fingerprint(define(one)).code != fingerprint(define(other)).code


def scaled(x: float, by: float = 2.0) -> float:
    return x * by


def closed_over(by: Any) -> Callable[[float], Any]:
    def inner(x: float) -> Any:
        return x, by

    return inner


class Client:
    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, x: str) -> str:
        return self.url + x


class Other(Client):
    pass


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (functools.partial(scaled, by=1), functools.partial(scaled, by=2)),
        (functools.partial(pow, 2), functools.partial(pow, 3)),
        (closed_over(1), closed_over(2)),
        (closed_over({"a": 1}), closed_over({"a": 2})),
        (closed_over([object, 1]), closed_over([object, 2])),
        ({"a": 1}.get, {"a": 2}.get),
    ],
)
def test_what_is_bound_counts_and_is_told_from_the_code(one: Any, other: Any) -> None:
    first, second = fingerprint(one), fingerprint(other)
    assert first.code == second.code
    assert first.bound != second.bound


@pytest.mark.parametrize(
    ("one", "other"),
    [(closed_over(scaled), closed_over(closed_over(1))), (len, abs), (Client("a").get, Other("a").get), (int, float)],
)
def test_what_is_called_counts(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Client("a").get, Client("b").get),  # state is not looked into, it changes on its own
        (closed_over(object()), closed_over(object())),
        (functools.cache(scaled), functools.cache(scaled)),
        (len, len),
        (functools.partial(scaled, by=2), functools.partial(scaled, by=2)),
    ],
)
def test_what_has_no_content_counts_by_its_type(one: Any, other: Any) -> None:
    assert fingerprint(one) == fingerprint(other)


def test_a_function_that_refers_to_itself_ends() -> None:
    def endless(x: int) -> Any:
        return endless

    assert isinstance(fingerprint(endless), Fingerprint)


def test_a_flow_counts_with_its_steps_and_its_shape_and_without_its_policies() -> None:
    one = whilst.sequence(abs, whilst.together(a=scaled, b=float), whilst.batched(3))
    assert fingerprint(one) == fingerprint(
        whilst.sequence(abs, whilst.step(whilst.together(a=scaled, b=float)), whilst.batched(3, within=1.0))
    ) or fingerprint(one) == fingerprint(
        whilst.sequence(abs, whilst.together(a=scaled, b=float), whilst.batched(3, within=1.0))
    )
    for other in (
        whilst.sequence(abs, whilst.together(a=scaled, b=int), whilst.batched(3)),
        whilst.sequence(abs, whilst.together(a=scaled, c=float), whilst.batched(3)),
        whilst.sequence(abs, whilst.first(scaled, float), whilst.batched(3)),
        whilst.sequence(abs, whilst.together(a=scaled, b=float), whilst.batched(4)),
        whilst.sequence(abs, whilst.together(a=scaled, b=float)),
    ):
        assert fingerprint(one) != fingerprint(other)


def test_policies_of_a_step_are_no_part_of_it() -> None:
    one = whilst.step(scaled, timeout=1.0)
    assert fingerprint(one) == fingerprint(whilst.step(scaled, timeout=2.0))
    each = whilst.sequence(list, whilst.each(scaled, concurrency=2))
    assert fingerprint(each) == fingerprint(whilst.sequence(list, whilst.each(scaled, concurrency=9)))


def test_a_function_without_source_is_known_by_what_its_code_says() -> None:
    def made(source: str) -> Any:
        namespace: dict[str, Any] = {}
        exec(source, namespace)
        return namespace["f"]

    assert fingerprint(made("def f(x): return x + 1")) == fingerprint(made("def f(x): return x + 1"))
    assert fingerprint(made("def f(x): return x + 1")) != fingerprint(made("def f(x): return x + 20"))


def test_the_fingerprint_is_the_same_in_another_process(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import functools\nfrom whilst.journal.fingerprint import fingerprint\n"
        "def f(x, *, y={'a', 'b', 'c'}):\n    return f'{x!r:>{3}}', {1, 2}, x if y else None\n"
        "print(fingerprint(functools.partial(f, y=frozenset('abc'))))\n"
    )
    seen = {
        subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=env).stdout
        for env in ({"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed} for seed in "123")
    }
    assert len(seen) == 1


def test_lambdas_are_told_by_what_they_do_in_every_version_of_python() -> None:
    """Before 3.13 the last instruction of a lambda claims to stand at the start of its line."""
    one, two = fingerprint(lambda number: number * 11), fingerprint(lambda number: number + 11)
    assert one.code != two.code
    same = fingerprint(
        lambda number: number * 11  # in another layout
    )
    assert one.code == same.code
