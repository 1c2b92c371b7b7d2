"""A change of anything that a function depends on is noticed and named; what changes by itself is not looked into."""

from __future__ import annotations

import functools
import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whilst
from whilst.journal import read_header
from whilst.journal.fingerprint import Fingerprint
from whilst.journal.parts import MOST_PARTS, Parts, is_ignored

Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Give a function that writes modules and imports the first, anew each time."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names: set[str] = set()

    def load(jobs: str, **others: str) -> Any:
        import linecache

        for name, source in {"jobs_": jobs, **others}.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
            sys.modules.pop(name, None)
            names.add(name)
        linecache.clearcache()
        importlib.invalidate_caches()
        return importlib.import_module("jobs_")

    yield load
    for name in names:
        sys.modules.pop(name, None)


CONFIG = "MODEL = 'small'\nclass Settings:\n    depth = 3\n"
JOBS = """
import functools, re, threading
from datetime import date
from typing import Any
import config_
import config_ as c
from config_ import Settings as S

MODEL = "small"
LIMIT: int = 60 * 60
BASE = "https://host"
URL = BASE + "/v1"
FIRST, SECOND = 1, 2
HANDLERS = {"a": len}
if LIMIT:
    MODE = "fast"
else:
    MODE = "slow"
TODAY = date.today()
PATTERN = re.compile("x")

def clean(text):
    return deeper(text)

def deeper(text):
    return text.strip()

@functools.lru_cache
def cached(text):
    return deeper(text)

class Parser:
    kind = "json"
    def parse(self, text):
        return clean(text) + self.kind

class Base:
    def shared(self, text):
        return text

class Model(Base):
    scale = 2
    def __init__(self, temperature, parser=None):
        self.temperature = temperature
        self.parser = parser
        self._private = object()
        self.lock = threading.Lock()
    def ask(self, text):
        return self.prompt(text), self.scale, self.name, self.shared(text)
    def prompt(self, text):
        return clean(text)
    @property
    def name(self):
        return MODEL
    def unrelated(self):
        return 1
    def __call__(self, text):
        return self.ask(text)

def one(text):
    return MODEL + clean(text) + cached(text)
def two(text):
    def inner():
        return [LIMIT for _ in range(3)]
    return inner(), URL, FIRST, MODE, HANDLERS
def three(text):
    return Parser().parse(text), config_.MODEL, c.Settings, S
def four(text):
    return TODAY.year and PATTERN.flags and text
def five(text, by=2, *, plus=3):
    return text
"""


def both(load: Load, get: Callable[[Any], Any], old: str, new: str, where: str = "jobs") -> tuple[Parts, Parts]:
    """Return the parts of a function before and after a change of the source."""
    assert old in (JOBS if where == "jobs" else CONFIG)
    before = Parts(get(load(JOBS, config_=CONFIG)))
    changed = {"jobs": JOBS, "config_": CONFIG}
    changed[where] = changed[where].replace(old, new, 1)
    return before, Parts(get(load(changed["jobs"], config_=changed["config_"])))


def differ(before: Parts, after: Parts) -> list[str]:
    """Return the names of the parts that changed."""
    one, other = (Fingerprint("", "", each.digests) for each in (before, after))
    return list(other.changed_since(one) or ())


@pytest.mark.parametrize(
    ("get", "old", "new", "names"),
    [
        (lambda m: m.one, 'MODEL = "small"', 'MODEL = "large"', ["jobs_.MODEL"]),
        (lambda m: m.one, "text.strip()", "text.strip().lower()", ["jobs_.deeper()"]),
        (lambda m: m.one, "return deeper(text)", "return deeper(deeper(text))", ["jobs_.clean()"]),
        (lambda m: m.one, "MODEL + clean", "MODEL + MODEL + clean", ["jobs_.one()"]),
        (lambda m: m.two, "60 * 60", "60 * 61", ["jobs_.LIMIT"]),
        (lambda m: m.two, '"https://host"', '"https://other"', ["jobs_.BASE"]),
        (lambda m: m.two, '"/v1"', '"/v2"', ["jobs_.URL"]),
        (lambda m: m.two, "= 1, 2", "= 3, 2", ["jobs_.FIRST"]),
        (lambda m: m.two, '"slow"', '"slower"', ["jobs_.MODE"]),
        (lambda m: m.two, '{"a": len}', '{"b": len}', ["jobs_.HANDLERS"]),
        (lambda m: m.three, 'kind = "json"', 'kind = "yaml"', ["class jobs_.Parser"]),
        (lambda m: m.three, "text.strip()", "text", ["jobs_.deeper()"]),
        (lambda m: m.five, "by=2", "by=3", ["jobs_.five()", "default by of five()"]),
        (lambda m: m.five, "plus=3", "plus=4", ["jobs_.five()", "default plus of five()"]),
        (lambda m: m.Model(2).ask, "return clean(text)\n    @p", "return text\n    @p", ["jobs_.Model.prompt()"]),
        (lambda m: m.Model(2).ask, "scale = 2", "scale = 3", ["jobs_.Model.scale"]),
        (lambda m: m.Model(2).ask, 'MODEL = "small"', 'MODEL = "large"', ["jobs_.MODEL"]),
        (lambda m: m.Model(2).ask, "return text\n\nclass Model", "return 2\n\nclass Model", ["jobs_.Base.shared()"]),
        (lambda m: m.Model(2), "return self.ask(text)", "return 1, self.ask(text)", ["jobs_.Model.__call__()"]),
        (lambda m: m.Model(2, m.Parser()).ask, '"json"', '"yaml"', ["class jobs_.Parser"]),
        (lambda m: functools.partial(m.five, m.clean), "text.strip()", "text", ["jobs_.deeper()"]),
        (lambda m: whilst.sequence(m.one, m.five), 'MODEL = "small"', 'MODEL = "large"', ["jobs_.MODEL"]),
        (lambda m: m.cached, "text.strip()", "text", ["jobs_.deeper()"]),
        (lambda m: m.Parser, 'kind = "json"', 'kind = "yaml"', ["class jobs_.Parser"]),
    ],
)
def test_a_change_of_the_source_is_noticed_and_named(
    load: Load, get: Callable[[Any], Any], old: str, new: str, names: list[str]
) -> None:
    assert differ(*both(load, get, old, new)) == names


GIVEN = """
import enum, functools, json
from typing import NamedTuple

class Kind(enum.Enum):
    JSON = "json"

class Level(enum.IntEnum):
    LOW = 1
    def next(self):
        return self + 1

class Row(NamedTuple):
    width: int = 80

class Borrowed:
    load = json.loads
    key = "id"

@functools.total_ordering
class Ordered:
    first = "a"
    def __lt__(self, other):
        return True

def any_of_them(text):
    return Kind.JSON.value, Level.LOW.next(), Row().width, Borrowed.key, Ordered.first
"""


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ('"json"', '"yaml"', "Kind"),
        ("self + 1", "self + 2", "Level"),
        ("= 80", "= 100", "Row"),
        ('"id"', '"name"', "Borrowed"),
        ('"a"', '"b"', "Ordered"),
    ],
)
def test_a_class_that_was_given_functions_of_another_module_is_looked_into(
    load: Load, old: str, new: str, name: str
) -> None:
    before = Parts(load(GIVEN).any_of_them)
    after = Parts(load(GIVEN.replace(old, new)).any_of_them)
    assert f"class jobs_.{name}" in differ(before, after)


def test_a_constant_or_class_of_another_module_of_the_user_is_looked_into(load: Load) -> None:
    before, after = both(load, lambda m: m.three, "'small'", "'large'", "config_")
    assert differ(before, after) == ["config_.MODEL"]
    before, after = both(load, lambda m: m.three, "depth = 3", "depth = 4", "config_")
    assert differ(before, after) == ["class config_.Settings"]


@pytest.mark.parametrize(
    ("get", "old", "new"),
    [
        (lambda m: m.one, "def five", "def six(): pass\ndef five"),
        (lambda m: m.one, "return text.strip()", "# comment\n    return (text.strip())"),
        (lambda m: m.one, '"https://host"', '"https://other"'),  # which it does not name
        (lambda m: m.Model(2).ask, "def unrelated(self):\n        return 1", "def unrelated(self):\n        return 2"),
        (lambda m: m.four, "date.today()", "date(2001, 1, 1)"),  # not looked into
    ],
)
def test_what_has_no_part_in_it_is_no_change(load: Load, get: Callable[[Any], Any], old: str, new: str) -> None:
    assert differ(*both(load, get, old, new)) == []


SET = """
import sys
import config_
from config_ import TABLE
C = []
C.append(2)
D = {}
for n in range(3):
    k = n * 2
    D[k] = n
WORDS = set()
WORDS |= {"a"}
try:
    import json
    FAST = True
except ImportError:
    FAST = False
if "x" in sys.argv:
    MODE = "fast"
else:
    MODE = "slow"
match len("ab"):
    case 1:
        KIND = "one"
    case _:
        KIND = "two"
LEVEL = "small"
def configure(name):
    global LEVEL
    LEVEL = name + "!"
if (DEEP := 5) > 1:
    configure("large")
class Store:
    def reset(self):
        global LATER
        LATER = 5
LATER = 4
HANDLERS = {}
def handler(function):
    HANDLERS[function.__name__] = function
    return function
@handler
def red(x):
    return 1
config_.MODEL = "large"
TABLE["a"] = 1
SETTINGS = type("Settings", (), {})()
SETTINGS.depth = 3
with open(__file__) as FILE:
    pass
def other():
    C.append(7)
def uses(x):
    return C, D, WORDS, FAST, MODE, KIND, LEVEL, DEEP, LATER, HANDLERS, config_.MODEL, TABLE, SETTINGS
"""
TABLES = "MODEL = 'small'\nTABLE = {}\n"


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("C.append(2)", "C.append(3)", "C"),
        ("C.append(2)\n", "", "C"),
        ("C.append(2)", "C.append(2)\nC.append(3)", "C"),
        ("D[k] = n", "D[k] = -n", "D"),
        ("range(3)", "range(4)", "D"),
        ("n * 2", "n * 3", "D"),
        ('|= {"a"}', '|= {"b"}', "WORDS"),
        ("except ImportError", "except Exception", "FAST"),
        ('"x" in', '"y" in', "MODE"),
        ('"two"', '"three"', "KIND"),
        ("case 1", "case 2", "KIND"),
        ('name + "!"', "name", "LEVEL"),
        ('"large")', '"larger")', "LEVEL"),
        ("DEEP := 5", "DEEP := 6", "DEEP"),
        ("LATER = 5", "LATER = 6", "LATER"),
        ("function.__name__", "function.__qualname__", "HANDLERS"),
        ("@handler\n", "", "HANDLERS"),
        ('MODEL = "large"', 'MODEL = "larger"', "config_.MODEL"),
        ('TABLE["a"] = 1', 'TABLE["a"] = 2', "TABLE"),
        ("depth = 3", "depth = 4", "SETTINGS"),
    ],
)
def test_statements_that_change_what_a_name_holds_are_noticed(load: Load, old: str, new: str, name: str) -> None:
    assert SET.count(old) == 1
    before = Parts(load(SET, config_=TABLES).uses)
    after = Parts(load(SET.replace(old, new), config_=TABLES).uses)
    # The journal's header says that they were looked for: one that is new is a change then, and was none before.
    new_ones = Fingerprint("", "", after.digests).changed_since(Fingerprint("", "", before.digests, has_setters=True))
    assert f"what sets jobs_.{name}" in (new_ones or ())


def test_a_statement_that_is_new_refuses_no_journal_of_an_earlier_version(load: Load) -> None:
    plain, more = (Parts(load(source).f) for source in ("C = []\ndef f(x): return C", APPENDED))
    assert "what sets jobs_.C" in more.digests
    assert Fingerprint("", "", more.digests).changed_since(Fingerprint("", "", plain.digests)) is None
    told = Fingerprint("", "", plain.digests, has_setters=True)
    assert Fingerprint("", "", more.digests).changed_since(told) == ("what sets jobs_.C",)
    assert Fingerprint("", "", more.digests).changed_since(told, ignore=("C",)) is None


APPENDED = "C = []\nC.append(1)\ndef f(x): return C"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("C.append(7)", "C.append(8)"),  # of a function that nothing of the module calls
        ("import json\n", "import json, re\n"),
        ("as FILE:\n    pass", "as FILE:\n    print(1)"),
        ("log = 1", "log = 2"),
    ],
)
def test_statements_that_change_nothing_that_is_named_are_no_change(load: Load, old: str, new: str) -> None:
    source = SET + "import logging\nlog = 1\nlogging.getLogger('x').debug('y')\n"
    before, after = (Parts(load(each, config_=TABLES).uses) for each in (source, source.replace(old, new)))
    assert before.digests == after.digests


def test_what_statements_take_from_elsewhere_is_named_too(load: Load) -> None:
    module = load(
        "import sys\nC = []\nfor line in sys.path:\n    C.append(line)\nD = {}\nD['a'] = 1\ndef f(x): return C, D\n"
    )
    assert list(Parts(module.f).unseen) == ["jobs_.C"]


def test_what_is_not_looked_into_is_named(load: Load) -> None:
    module = load(JOBS, config_=CONFIG)
    assert list(Parts(module.four).unseen) == ["jobs_.TODAY", "jobs_.PATTERN"]
    assert list(Parts(module.Model(2, object()).ask).unseen) == ["self.parser", "self._private", "self.lock"]
    assert list(Parts(module.one).unseen) == list(Parts(module.three).unseen) == []


def test_a_value_that_differs_from_run_to_run_is_no_change(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(JOBS, config_=CONFIG)
    before = Parts(module.two)
    monkeypatch.setattr(module, "LIMIT", 17)  # the text of the source counts
    assert differ(before, Parts(module.two)) == []


def test_the_same_script_is_known_again_when_it_is_run_and_when_it_is_imported(load: Load, tmp_path: Path) -> None:
    imported = Parts(load(JOBS, config_=CONFIG).two).digests
    import runpy

    ran = runpy.run_path(str(tmp_path / "jobs_.py"), run_name="__main__")
    assert Parts(ran["two"]).digests == imported


def test_a_function_that_imports_inside_names_what_is_not_looked_into(load: Load) -> None:
    module = load("def f(x):\n    import json\n    from config_ import MODEL\n    return MODEL\n", config_=CONFIG)
    assert list(Parts(module.f).unseen) == ["config_.MODEL"]
    module.f(1)  # now it is loaded, which changes nothing
    parts = Parts(module.f)
    assert (list(parts.unseen), list(parts.digests)) == (["config_.MODEL"], ["jobs_.f()"])


PACKAGE = {
    "__init__": "from .config import MODEL\nVERSION = '1'\n",
    "config": "MODEL = 'small'\nOTHER = 'x'\n",
    "deep": "from .config import OTHER as O\ndef inner(x):\n    return O\n",
    "jobs": """
import functools
import package_.config
import package_.deep as other
from os.path import *
from .config import MODEL
from . import config, deep
try:
    import nothing_here
except ImportError:
    nothing_here = None

def decorated(fn):
    @functools.wraps(fn)
    def wrapper(*given):
        return fn(*given), config.OTHER
    return wrapper

@decorated
def f(x):
    return MODEL, package_.VERSION, package_.MODEL, deep.inner(x), other.inner(x), nothing_here, join

@functools.singledispatch
def g(x):
    return x

@g.register
def _(x: int):
    return config.OTHER

def ping(x):
    return pong(x)

def pong(x):
    return ping(x)

class K:
    @staticmethod
    def plain(x):
        return MODEL
    @classmethod
    def of(cls, x):
        return cls.plain(x)
    @functools.cached_property
    def cached(self):
        return config.OTHER
    bound = functools.partialmethod(lambda self, y, x: MODEL, 3)
    def use(self, x):
        return self.cached, self.bound(x)

async def first(x):
    return await second(x)
async def second(x):
    return [MODEL for _ in range(x)]
""",
}


@pytest.mark.parametrize(
    ("get", "names"),
    [
        (
            lambda m: m.f,
            ["jobs.f()", "config.MODEL", "package_.VERSION", "deep.inner()", "config.OTHER", "jobs.f() #2"],
        ),
        (lambda m: m.g, ["jobs.g()", "jobs._()", "config.OTHER"]),
        (lambda m: m.ping, ["jobs.ping()", "jobs.pong()"]),
        (lambda m: m.K.of, ["jobs.K.of()", "jobs.K.plain()", "config.MODEL"]),
        (
            lambda m: m.K().use,
            ["jobs.K.use()", "jobs.K.cached()", "config.OTHER", "jobs.K.<lambda>()", "config.MODEL"],
        ),
        (lambda m: m.first, ["jobs.first()", "jobs.second()", "config.MODEL"]),
    ],
)
def test_relative_imports_decorators_and_the_like_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, get: Callable[[Any], Any], names: list[str]
) -> None:
    folder = tmp_path / "package_"
    folder.mkdir()
    for name, source in PACKAGE.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        parts = Parts(get(importlib.import_module("package_.jobs")))
    finally:
        for name in [each for each in sys.modules if each.partition(".")[0] == "package_"]:
            del sys.modules[name]
    assert sorted(parts.digests) == sorted(names)


# -- objects ---------------------------------------------------------------------------------------------------


@dataclass
class Frozen:
    by: int
    seen: int = field(default=0, compare=False)

    def __call__(self, x: int) -> int:
        return x * self.by


class Slotted:
    __slots__ = ("_hidden", "by")

    def __init__(self, by: Any) -> None:
        self.by, self._hidden = by, 1

    def ask(self, x: int) -> Any:
        return self.by, x


class Plain:
    def __init__(self, by: Any, **more: Any) -> None:
        self.by = by
        self.__dict__.update(more)

    def ask(self, x: int) -> Any:
        return self.by, x

    def __call__(self, x: int) -> Any:
        return self.by, x


def closed_over(by: Any) -> Callable[[Any], Any]:
    def inner(x: Any) -> Any:
        return x, by

    return inner


def scaled(x: Any, by: Any = 1) -> Any:
    return x, by


MANY = tuple(range(200_000))


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        (Plain(2).ask, Plain(10).ask, ["self.by"]),
        (Plain(2), Plain(10), ["self.by"]),
        (Plain([1, 2]).ask, Plain([1, 3]).ask, ["self.by"]),
        (Plain(Plain(2)).ask, Plain(Plain(3)).ask, ["self.by.by"]),
        (Plain(Frozen(2)).ask, Plain(Frozen(3)).ask, ["self.by.by"]),
        (Plain([object(), 1]).ask, Plain([object(), 2]).ask, ["self.by[1]"]),
        (Frozen(2), Frozen(3), ["self.by"]),
        (Frozen(2).__call__, Frozen(3).__call__, ["self.by"]),
        (Slotted(2).ask, Slotted(3).ask, ["self.by"]),
        (closed_over(2), closed_over(3), ["variable by of inner()"]),
        (closed_over(Plain(2)), closed_over(Plain(3)), ["variable by of inner().by"]),
        (functools.partial(scaled, by=2), functools.partial(scaled, by=3), ["argument by of scaled()"]),
        (functools.partial(scaled, 2), functools.partial(scaled, 3), ["argument 1 of scaled()"]),
        (functools.partial(Plain(2).ask), functools.partial(Plain(3).ask), ["self.by"]),
        ({"a": 1}.get, {"a": 2}.get, ["self"]),
        (Plain(scaled).ask, Plain(closed_over).ask, ["test_parts.scaled()", "default by of scaled()"]),
        (whilst.step(Plain(2).ask), whilst.step(Plain(3).ask), ["self.by"]),
    ],
)
def test_what_an_object_or_an_argument_holds_counts(one: Any, other: Any, names: list[str]) -> None:
    assert differ(Parts(one), Parts(other)) == names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Plain(2, _hidden=1).ask, Plain(2, _hidden=2).ask),
        (Plain(object()).ask, Plain(object()).ask),
        (Frozen(2, seen=1), Frozen(2, seen=5)),
        (closed_over(object()), closed_over(object())),
        (Plain({"a": 1, "b": 2}).ask, Plain({"b": 2, "a": 1}).ask),
        (len, len),
    ],
)
def test_what_has_no_content_or_is_private_does_not_count(one: Any, other: Any) -> None:
    assert differ(Parts(one), Parts(other)) == []


def test_depth_and_size_are_bounded() -> None:
    endless = Plain(1)
    endless.by = endless
    deep: Any = 1
    for _ in range(5000):
        deep = Plain(deep)
    wide = Plain(1, **{f"a{number}": number for number in range(MOST_PARTS + 50)})
    assert list(Parts(endless.ask).digests) == ["test_parts.Plain.ask()", "test_parts.Plain.__call__()"]
    assert len(Parts(deep.ask).digests) < 40
    assert len(Parts(wide.ask).digests) == MOST_PARTS
    assert f"more than {MOST_PARTS} parts" in Parts(wide.ask).unseen
    assert "self.by" in Parts(Plain(MANY).ask).unseen
    assert "self.by" in Parts(Plain("x" * (17 << 20)).ask).unseen


class Awkward:
    """Answers to any name, and has no truth, length or equality."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __call__(self, x: Any) -> Any:
        return x


_PLAIN = st.none() | st.integers() | st.text(max_size=3) | st.builds(Awkward) | st.builds(object) | st.just(scaled)
_VALUES = st.recursive(_PLAIN, lambda v: st.lists(v, max_size=3) | st.builds(Plain, v) | st.builds(closed_over, v))


@given(_VALUES)
@settings(max_examples=200)
def test_whatever_a_function_holds_can_be_looked_into(value: Any) -> None:
    for fn in (Plain(value).ask, Plain(value), closed_over(value), functools.partial(scaled, value)):
        assert Parts(fn).digests == Parts(fn).digests
    Parts(Awkward())


# -- journals --------------------------------------------------------------------------------------------------


def run(path: Path, fn: Any, **options: Any) -> Any:
    made = whilst.map(fn, ["a", "b"], journal=whilst.Journal(path, **options))
    made.list()
    return made.summary()


def test_two_objects_do_not_share_a_journal_and_the_error_names_what_differs_but_no_value(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    run(path, Plain("s3cret-old").ask)
    with pytest.raises(whilst.JournalChanged) as changed:
        run(path, Plain("s3cret-new").ask)
    assert changed.value.changed == ("self.by",)
    assert changed.value.results == 2
    text = str(changed.value)
    assert text.startswith("Plain.ask() is bound to other arguments than when run.db was written (test_parts.py line ")
    assert "changed: self.by\n" in text
    assert "ignore=('by',)" in text
    assert "s3cret" not in text + repr(changed.value)
    assert run(path, Plain("s3cret-old").ask).recalled == 2
    assert run(path, Plain("s3cret-new").ask, accept="old").recalled == 2
    assert run(path, Plain("s3cret-new").ask).recalled == 2  # it is the new one's from then on


def test_a_constant_that_changed_is_named_with_its_place(load: Load, tmp_path: Path) -> None:
    run(tmp_path / "run.db", load(JOBS, config_=CONFIG).one)
    other = load(JOBS.replace('MODEL = "small"', 'MODEL = "large"'), config_=CONFIG).one
    with pytest.raises(whilst.JournalChanged, match=r"what one\(\) uses changed.*\n  changed: jobs_.MODEL \(jobs_.py"):
        run(tmp_path / "run.db", other)


def test_a_helper_that_moved_is_no_change(load: Load, tmp_path: Path) -> None:
    helper = "def helper(x):\n    return x * 2\n"
    run(tmp_path / "run.db", load(f"{helper}def f(x):\n    return helper(x)\n").f)
    moved = load("from other_ import helper\ndef f(x):\n    return helper(x)\n", other_=helper).f
    assert run(tmp_path / "run.db", moved).recalled == 2


def test_a_name_can_be_ignored(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    run(path, Plain(1, started_at="today").ask)
    with pytest.raises(whilst.JournalChanged, match=r"self\.started_at"):
        run(path, Plain(1, started_at="tomorrow").ask)
    summary = run(path, Plain(1, started_at="tomorrow").ask, ignore=("started_at",))
    assert (summary.recalled, summary.notes) == (2, ())
    with pytest.raises(whilst.JournalChanged, match=r"self\.by"):
        run(path, Plain(2).ask, ignore=["started_at"])
    notes = run(path, Plain(1).ask, ignore=["stated_at"]).notes
    assert notes == ("ignore= names nothing that Plain.ask() depends on: stated_at",)


def test_what_is_not_looked_into_is_said_once(load: Load, tmp_path: Path) -> None:
    module = load(JOBS, config_=CONFIG)
    path = tmp_path / "run.db"
    (note,) = run(path, module.four).notes
    assert note.endswith(": jobs_.TODAY, jobs_.PATTERN")
    assert run(path, module.four).notes == ()
    more = load(JOBS.replace("return TODAY", "return config_ and c and S and TODAY"), config_=CONFIG).four
    assert run(path, more, accept="old").notes == ()
    assert read_header(path).fingerprint.unseen == ("jobs_.TODAY", "jobs_.PATTERN")


def test_fresh_starts_afresh_whether_the_function_changed_or_not(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    run(path, scaled)
    assert run(path, scaled, accept="fresh").recalled == 0
    assert run(path, scaled).recalled == 2
    assert run(path, closed_over(1), accept="fresh").recalled == 0
    assert sorted(each.name for each in tmp_path.glob("*.old-?")) == ["run.db.old-1", "run.db.old-2"]


@pytest.mark.parametrize(
    ("ignore", "words"), [("started_at", "got one text"), ([3], "must be names"), ([""], "must be names")]
)
def test_names_to_be_ignored_are_checked(ignore: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        whilst.Journal("run.db", ignore=ignore)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("self.client.started_at", "started_at"),
        ("self.client.started_at", "client"),
        ("argument by of scaled()", "by"),
        ("variable by of inner().started_at", "by"),
        ("jobs.Model.ask()", "ask"),
        ("class jobs.Model", "Model"),
        ("jobs.MODEL", "MODEL"),
        ("jobs.MODEL", "jobs.MODEL"),
        ("what sets jobs.MODEL", "MODEL"),
        ("self.by[0].x", "x"),
    ],
)
def test_a_part_is_ignored_by_each_name_on_its_path(part: str, name: str) -> None:
    assert is_ignored(part, [name])
    assert not is_ignored(part, [name[:-1], "jobs", "self", "of", "argument", "class"])


def test_in_a_notebook_the_cell_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import linecache

    def notebook(*cells: str) -> dict[str, Any]:
        space: dict[str, Any] = {"__name__": "__main__", "_ih": [""]}
        for number, text in enumerate(cells, 1):
            name = f"<ipython-input-{number}-0123456789ab>"
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
            space["_ih"].append(text)
            exec(compile(text, name, "exec"), space)
        return space

    path = tmp_path / "run.db"
    first = "MODEL = 'small'\n", "def helper(x):\n    return x\n", "def f(x):\n    return MODEL, helper(x)\n"
    run(path, notebook(*first)["f"])
    assert run(path, notebook(*first)["f"]).recalled == 2
    with pytest.raises(whilst.JournalChanged, match=r"changed: MODEL \(cell 4 line 1\)"):
        run(path, notebook(*first, "MODEL = 'large'\n")["f"])
    with pytest.raises(
        whilst.JournalChanged, match=r"f\(\) changed since run.db was written \(cell 4 line 1\)\n  2 res"
    ):
        run(path, notebook(*first, "def f(x):\n    return MODEL, x\n")["f"])
    grown = "C = []\n", "C.append(1)\n", "def g(x):\n    return C\n"
    run(tmp_path / "g.db", notebook(*grown)["g"])
    assert run(tmp_path / "g.db", notebook(*grown, grown[1])["g"]).recalled == 2  # the same cell once more
    with pytest.raises(whilst.JournalChanged, match=r"changed: what sets C \(cell 2 line 1\)"):
        run(tmp_path / "g.db", notebook(*grown, "C.append(2)\n")["g"])
    with pytest.raises(whilst.JournalChanged, match=r"changed: helper\(\) \(cell 4 line 2\)"):
        run(path, notebook(*first, "\ndef helper(x):\n    return -x\n")["f"])
