"""Read from the text alone: do turns depend on each other, and how would it be written? One row a shape of loop."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import Any

import pytest

from whilst.doctoring import rewrite
from whilst.doctoring.loops import is_independent, is_repeated, loops_around, mapped, nest
from whilst.doctoring.report import public
from whilst.doctoring.source import Source


def parsed(text: str) -> tuple[Source, ast.Call]:
    """Return a text, and the call of it that stands before a `#`, or the first one of `f`."""
    source = Source(textwrap.dedent(text))
    calls = [it for it in ast.walk(source.tree) if isinstance(it, ast.Call) and ast.unparse(it.func).endswith("f")]
    return source, calls[0]


def independent(text: str) -> bool:
    source, call = parsed(text)
    return any(is_independent(source, loop, call) for loop in loops_around(source, call))


INDEPENDENT = [
    "for x in xs: y = f(x)",
    "for x in xs: total += f(x)",
    "for i, x in enumerate(xs): ys[i] = f(x)",
    "for x in xs: ys.append(f(x, key=1))",
    "for x in xs:\n    z = x + 1\n    y = f(z)",
    "for x in xs:\n    if x:\n        y = f(x)",
    "for x in xs:\n    try:\n        f(x)\n    except OSError:\n        pass",
    "for x in xs:\n    with open(x) as file:\n        y = f(file)",
    "for x in xs:\n    for y in x:\n        f(y)",
    "while True:\n    for x in xs: f(x)",
    "for a in xs:\n    for x in ys: f(a)",
    "[f(x) for x in xs]",
    "{x: f(x) for x in xs if x}",
    "sum(f(x) for x in xs)",
    "def g(xs):\n    for x in xs:\n        yield f(x)",
    "for x in xs:\n    while not ready(x): pass\n    f(x)",
    "for x in xs:\n    for y in x:\n        if y: break\n    f(x)",
    "for x in xs: x.f()",
    "for x in xs: client.get.f(x)",
]
DEPENDENT = [
    "f(x)",
    "while x: x = f(x)",
    "for _ in xs: f(a)",
    "for x in xs: y = f(x, y)",
    "for x in xs:\n    y = f(x + z)\n    z = y",
    "for x in xs:\n    n += 1\n    f(x, n)",
    "for x in xs:\n    ys.append(f(x, ys[-1]))",
    "for x in xs:\n    if f(x): break",
    "def g():\n    for x in xs:\n        if f(x): return x",
    "for x in xs:\n    f(x)\n    xs.append(x)",
    "for x in xs:\n    f(x)\n    time.sleep(1)",
    "for x in xs:\n    with lock:\n        f(x)",
    "async def g():\n    async with db.transaction():\n        for x in xs:\n            await f(x)",
    "for x in xs:\n    if done: continue\n    f(x)\n    done = x",
    "for x in xs:\n    state[0] = f(x, state)",
    "[f(y) for x in xs]",
    "[x for x in f(xs)]",
    "[x for x in xs if f(x)]",
    "for x in f(xs): pass",
    "for x in xs:\n    pass\nelse:\n    f(x)",
    "for x in xs:\n    def g(): return 1\n    q = f(a)",
]


@pytest.mark.parametrize("text", INDEPENDENT)
def test_turns_that_do_not_need_each_other(text: str) -> None:
    assert independent(text)


@pytest.mark.parametrize("text", DEPENDENT)
def test_turns_that_may_need_each_other(text: str) -> None:
    assert not independent(text)


ORDERED = ["ws.send", "queue.put", "cursor.execute", "reader.readexactly", "file.read", "q.get_nowait", "task.join"]
FREE = ["client.get", "pool.execute", "storage.read", "session.post", "api.delete", "bucket.read_object"]


@pytest.mark.parametrize("method", ORDERED)
def test_methods_whose_object_cares_for_the_order(method: str) -> None:
    assert not independent_call(f"for x in xs: {method}(x)", method)


@pytest.mark.parametrize("method", FREE)
def test_methods_whose_object_does_not(method: str) -> None:
    assert independent_call(f"for x in xs: {method}(x)", method)


def independent_call(text: str, method: str) -> bool:
    source = Source(text)
    call = next(it for it in ast.walk(source.tree) if isinstance(it, ast.Call) and ast.unparse(it.func) == method)
    return any(is_independent(source, loop, call) for loop in loops_around(source, call))


WRITTEN = [
    ("for x in xs:\n    y = f(x)\n    print(y)", "for y in whilst.map(f, xs):\n    pass\n    print(y)"),
    ("for x in xs:\n    total += f(x)", "for result in whilst.map(f, xs):\n    total += result"),
    ("for x in xs:\n    print(x, f(x))",
     "for outcome in whilst.map(f, xs).outcomes():\n    x = outcome.input\n    print(x, outcome.unwrap())"),
    ("for i, x in enumerate(xs):\n    ys[i] = f(x, 2)",
     "for outcome in whilst.map(lambda row: f(row[1], 2), enumerate(xs)).outcomes():\n"
     "    i, x = outcome.input\n    ys[i] = outcome.unwrap()"),
    ("for x in xs:\n    z = x + 1\n    y = f(z)\n    print(y)",
     "for outcome in whilst.map(lambda x: f(x + 1), xs).outcomes():\n"
     "    x = outcome.input\n    z = x + 1\n    y = outcome.unwrap()\n    print(y)"),
    ("ys = [f(x) for x in xs]", "ys = whilst.map(f, xs).list()"),
    ("ys = [f(x) for x in xs if x > 1]", "ys = whilst.map(f, [x for x in xs if x > 1]).list()"),
    ("ys = {x: f(x) for x in xs}",
     "ys = {outcome.input: outcome.unwrap() for outcome in whilst.map(f, xs).outcomes()}"),
    ("ys = {f(x) for x in xs}", "ys = {result for result in whilst.map(f, xs)}"),
    ("y = sum(f(x) for x in xs)", "y = sum(result for result in whilst.map(f, xs))"),
    ("ys = [f(a, b) for a, b in xs]", "ys = whilst.map(lambda row: f(row[0], row[1]), xs).list()"),
    ("for x in xs: y = f(x)", "for y in whilst.map(f, xs): pass"),
    ("ys = [f(x, y) for x in xs for y in x if y]",
     "ys = whilst.map(lambda row: f(row[0], row[1]), [(x, y) for x in xs for y in x if y]).list()"),
    ("for x in xs:\n    for y in x:\n        print(f(x, y))",
     "for result in whilst.map(lambda row: f(row[0], row[1]), [(x, y) for x in xs for y in x]):\n"
     "        print(result)"),
    ("for i, x in xs:\n    for y in x:\n        print(y, f(x, i))",
     "for outcome in whilst.map(lambda row: f(row[0][1], row[0][0]), "
     "[((i, x), y) for i, x in xs for y in x]).outcomes():\n"
     "        (i, x), y = outcome.input\n        print(y, outcome.unwrap())"),
    ("for x in xs:\n    for y in x:\n        print(f(y))\n    done(x)",
     "for x in xs:\n    for result in whilst.map(f, x):\n        print(result)\n    done(x)"),
    ("for x in 1, 2:\n    print(f(x))", "for result in whilst.map(f, (1, 2)):\n    print(result)"),
    ("for x in xs if xs else ys:\n    print(f(x))",
     "for result in whilst.map(f, (xs if xs else ys)):\n    print(result)"),
    ("größe = [f(ä) for ä in ößen]", "größe = whilst.map(f, ößen).list()"),
]  # fmt: skip
BY_HAND = [
    "for x in xs:\n    if x:\n        y = f(x)",
    "for x in xs:\n    try:\n        y = f(x)\n    except OSError:\n        pass",
    "for x in xs:\n    if not x: continue\n    y = f(x)",
    "for x in xs:\n    y = f(x) if x else 0",
    "for x in xs:\n    y = x and f(x)",
    "for x in xs:\n    with open(x) as file:\n        y = f(file)",
    "for x[0] in xs:\n    f(x[0])",
]


@pytest.mark.parametrize(("text", "wanted"), WRITTEN)
def test_a_loop_is_written_with_map(text: str, wanted: str) -> None:
    source, call = parsed(text)
    change = rewrite.together("file.py", source, next(iter(loops_around(source, call))), call)
    assert change is not None
    made = rewrite.apply(text, [change])
    assert made == f"import whilst\n{wanted}"
    compile(made, "file.py", "exec")
    shown = [line.strip() for line in change["new"].split("\n") if line.strip() != "…"]
    stands = [line.strip() for line in wanted.split("\n") if line.strip() != "pass"]
    at = stands.index(shown[0])
    assert stands[at : at + len(shown)] == shown


def test_a_loop_is_shown_down_to_the_line_that_changes() -> None:
    """So what stands there can be pasted in place of those lines."""
    text = "for x in xs:\n    print(x)\n    total[x] = f(x)  # this\n    print(total)\n    done(x)"
    source, call = parsed(text.replace("print(x)", "pass"))
    change = rewrite.together("file.py", source, next(iter(loops_around(source, call))), call)
    assert change is not None
    assert change["new"].split("\n") == [
        "for outcome in whilst.map(f, xs).outcomes():", "    x = outcome.input", "    pass",
        "    total[x] = outcome.unwrap()  # this", "    …",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ys = list(map(f, xs))", "ys = list(whilst.map(f, xs))"),
        ("y = ','.join(map(f, xs, zs))", "y = ','.join(whilst.map(f, xs, zs))"),
        ("for y in map(f, xs): print(y)", "for y in whilst.map(f, xs): print(y)"),
        ("ys = [y + 1 for y in map(f, xs)]", "ys = [y + 1 for y in whilst.map(f, xs)]"),
        ("for y in map(f, xs):\n    if y: break", None),
        ("y = any(map(f, xs))", None),
        ("y = next(map(f, xs))", None),
        ("ys = list(map(file.readline, xs))", None),
        ("ys = list(pool.map(f, xs))", None),
        ("ys = list(map(f, *xs))", None),
        ("with lock:\n    ys = list(map(f, xs))", None),
    ],
)
def test_the_builtin_map_is_written_with_ours_where_it_makes_all_calls(text: str, wanted: str | None) -> None:
    source = Source(text)
    calls = [it for it in ast.walk(source.tree) if isinstance(it, ast.Call) and "map(" in ast.unparse(it)]
    found = mapped(source, calls[0])  # where the interpreter says that it is, while a call is made
    made = None if found is None else rewrite.apply(text, [rewrite.with_map("file.py", source, found)])
    assert made == (None if wanted is None else f"import whilst\n{wanted}")


@pytest.mark.parametrize("text", BY_HAND)
def test_what_cannot_be_written_in_place_is_left_to_the_reader(text: str) -> None:
    source, call = parsed(text)
    assert rewrite.together("file.py", source, next(iter(loops_around(source, call))), call) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("y = f(x)", "y = await whilst.unblock(f)(x)"),
        ("y = f(x).json()", "y = (await whilst.unblock(f)(x)).json()"),
        ("y = f(x)[0]", "y = (await whilst.unblock(f)(x))[0]"),
        ("y = 1 + f(x)", "y = 1 + (await whilst.unblock(f)(x))"),
        ("if f(\n    x,\n    key=2,\n):\n    pass", "if await whilst.unblock(f)(x, key=2):\n    pass"),
        ("return_value(f(x))", "return_value(await whilst.unblock(f)(x))"),
    ],
)
def test_a_call_is_written_so_that_it_does_not_block(text: str, wanted: str) -> None:
    source, call = parsed(text)
    arguments = ", ".join([ast.unparse(it) for it in call.args] + [ast.unparse(it) for it in call.keywords])
    change = rewrite.instead("file.py", source, call, f"await whilst.unblock(f)({arguments})")
    assert change is not None
    assert rewrite.apply(text, [change]) == f"import whilst\n{wanted}"


def test_imports_stand_behind_the_docstring_and_the_future() -> None:
    text = '"""What it is."""\n\nfrom __future__ import annotations\n\nimport os\n\nys = [f(x) for x in xs]\n'
    source, call = parsed(text)
    change: Any = rewrite.together("file.py", source, next(iter(loops_around(source, call))), call)
    lines = rewrite.apply(text, [change]).splitlines()
    assert lines[4:6] == ["import whilst", "import os"]


def test_secrets_that_are_written_out_are_not_shown() -> None:
    assert public('requests.get("https://ann:word@host/")') == 'requests.get("…")'
    assert public("login(user, password='hunter22')") == "login(user, password='…')"
    assert public("f(url, token=token)") == "f(url, token=token)"


def test_a_file_that_cannot_be_read_is_none() -> None:
    from whilst.doctoring.source import source

    assert source("<no such file>") is None
    assert source(str(Path(__file__).with_name("nothing.py"))) is None


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("for x in xs:\n    for y in x: f(y)", False),  # both at once
        ("for x in xs:\n    log(x)\n    for y in x: f(y)", True),
        ("while xs:\n    for y in xs.pop(): f(y)", True),
        ("[f(x) for x in xs]", False),
        ("for xs in xss: ys = [f(x) for x in xs]", True),
    ],
)
def test_a_loop_that_is_gone_through_again_promises_no_more_than_it_may(text: str, again: bool) -> None:
    source, call = parsed(text)
    loop = next(iter(loops_around(source, call)))
    assert is_repeated(source, [*nest(source, loop, call), loop][0]) is again
