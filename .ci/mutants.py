"""Which small changes of the code does no test notice? `python .ci/mutants.py [--sample N] [--seed N] [ROOM …]`.

A mutant is the code with one place changed: `<` for `<=`, `or` for `and`, a statement left out. Each is made in a copy
of the tree, and the tests that reach the changed line are run there, the quickest first, until one fails. Which test
reaches which line is measured before, and kept in `mutants/` for as long as the code and the test's file stay the same.

A sample is the mutants with the lowest digests of seed, place and change: whoever edits one function leaves those of
others in it. Those that change nothing that could be noticed stand in `equivalent.txt`, each with the reason.

Own code, because one line is changed and nothing else: mutmut 3 puts a function that chooses between all mutants around
each function, with frames, signatures and costs that our tests look at, and has no sample; cosmic-ray runs the same
command for all mutants, whichever lines they are in, and has no sample either.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import gc
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# What each child needs and is not under test is loaded once, here.
import _hypothesis_pytestplugin  # type: ignore[import-untyped]
import hypothesis.stateful
import msgspec
import pytest
import pytest_timeout  # type: ignore[import-untyped]

TOP = Path(__file__).resolve().parents[1]
ROOMS = ("engine", "limit", "lanes")
TESTS = ("limit", "lanes", "flow", "engine")
WANTED = 0.8  # of a sample, as a share
PATIENCE = 15.0  # seconds that the tests of one mutant may take, as measured: the quickest are taken
FIRST = 3  # test files, before the others
KEPT = TOP / "mutants"
PYTEST = ["-q", "-p", "no:cacheprovider", "--tb=line", "--assert=plain", "-m", "not clocked"]
LOADED = [asyncio, sqlite3, msgspec, hypothesis.stateful]
PLUGINS = [pytest_timeout, _hypothesis_pytestplugin]

Lines = dict[str, list[int]]
Reached = dict[str, tuple[float, Lines]]  # how long a test takes, which lines it reaches


class Mutant(NamedTuple):
    """One changed place: `text` instead of the bytes from `start` to `end` of a file."""

    file: str
    where: str
    imported: bool  # it runs while the file is imported: no test reaches it
    change: str
    first: int
    last: int
    start: int
    end: int
    text: str

    @property
    def name(self) -> str:
        """Return what stays the same as long as this place does."""
        return f"{self.file} {self.where}: {self.change}"


SWAPS: dict[type[ast.AST], Callable[[], Any]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Break: ast.Continue, ast.Continue: ast.Break,
}  # fmt: skip


def changed(node: ast.AST) -> Iterator[str]:
    """Say what else could stand where this node stands."""
    match node:
        case ast.Compare(left, [op], [right]) if type(op) in SWAPS:
            yield f"({ast.unparse(ast.Compare(left, [SWAPS[type(op)]()], [right]))})"
        case ast.BoolOp(op, values):
            yield f"({ast.unparse(ast.BoolOp(SWAPS[type(op)](), values))})"
        case ast.BinOp(left, op, right) if type(op) in SWAPS:
            yield f"({ast.unparse(ast.BinOp(left, SWAPS[type(op)](), right))})"
        case ast.UnaryOp(ast.Not(), operand):
            yield f"({ast.unparse(operand)})"
        case ast.Constant(bool(value)):
            yield str(not value)
        case ast.Constant(int(value) | float(value)):
            yield f"{value + 1}"
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            if isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr):
                yield f"(not ({ast.unparse(test)}))"
        case ast.AugAssign(target, op, value):
            if type(op) in SWAPS:
                yield ast.unparse(ast.AugAssign(target, SWAPS[type(op)](), value))
            yield "pass"
        case ast.Return(ast.Constant(None | bool())):
            return
        case ast.Return(ast.expr()):
            yield "return None"
        case ast.Expr(ast.Call() | ast.Await()) | ast.Raise() | ast.Delete() | ast.Return(None):
            yield "pass"
        case ast.Assign([ast.Attribute() | ast.Subscript()]):
            yield "pass"
        case ast.Break() | ast.Continue():
            yield ast.unparse(SWAPS[type(node)]())


def nodes(node: ast.AST, where: str = "", imported: bool = True) -> Iterator[tuple[str, bool, ast.AST]]:
    """Give the nodes that run, each with the name of what it is in: no annotations, texts, or protocols."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        now = imported and not (
            field == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        )
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr | ast.Assert):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in child.bases):
                continue
            named = isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            inside = f"{where}.{child.name}".lstrip(".") if named else where  # type: ignore[attr-defined]
            yield inside, now, child
            yield from nodes(child, inside, now)


def mutants(path: Path) -> Iterator[Mutant]:
    """Give all mutants of a file."""
    source = path.read_bytes()
    begins = [0]
    for line in source.splitlines(keepends=True):
        begins.append(begins[-1] + len(line))
    seen: Counter[str] = Counter()
    for where, imported, node in nodes(ast.parse(source)):
        place: Any = node.test if isinstance(node, ast.If | ast.While | ast.IfExp) else node
        for text in changed(node):
            change = f"`{ast.unparse(place)}` → `{text}`"
            seen[where + change] += 1
            if (times := seen[where + change]) > 1:
                change += f" ({times})"
            start, end = (
                begins[place.lineno - 1] + place.col_offset,
                begins[place.end_lineno - 1] + place.end_col_offset,
            )
            file = path.relative_to(TOP / "src/whilst").as_posix()
            yield Mutant(file, where or "module", imported, change, place.lineno, place.end_lineno, start, end, text)


class Reach:
    """A plugin of pytest's that notes how long each test takes, and which lines of the code it reaches."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.failed: list[str] = []
        self.lines: set[tuple[str, int]] = set()
        self.reached: Reached = {}

    def pytest_configure(self) -> None:
        """Look from now on: this is the child."""
        monitoring = sys.monitoring
        monitoring.use_tool_id(monitoring.COVERAGE_ID, "mutants")
        monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, self.line)
        monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)

    def line(self, code: Any, line: int) -> Any:
        """Note a line that runs, once a test."""
        if code.co_filename.startswith(self.source):
            self.lines.add((code.co_filename.removeprefix(self.source), line))
        return sys.monitoring.DISABLE

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Look at one test."""
        self.lines = set()
        sys.monitoring.restart_events()
        began = time.perf_counter()
        result = yield
        found: Lines = {}
        for file, line in sorted(self.lines):
            found.setdefault(file, []).append(line)
        self.reached[item.nodeid] = (round(time.perf_counter() - began, 3), found)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed:
            self.failed.append(report.nodeid)

    def told(self) -> Any:
        """Return what the parent shall know."""
        return {test: self.reached[test] for test in self.reached if test not in self.failed}


class Chosen:
    """A plugin of pytest's that runs the tests chosen, the quickest first, and notes which one failed."""

    def __init__(self, took: dict[str, float]) -> None:
        self.took, self.failed = took, ""

    def pytest_collection(self, session: pytest.Session) -> None:
        """A failure counts, not the smallest example of it; the conftest has been read, the tests have not."""
        session.config.option.maxfail = 1
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", hypothesis.settings.default, phases=phases)
        hypothesis.settings.load_profile("mutants")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Choose and sort, and give each as long as a busy machine may need."""
        items[:] = sorted((item for item in items if item.nodeid in self.took), key=lambda item: self.took[item.nodeid])
        for item in items:
            item.add_marker(pytest.mark.timeout(20 + 10 * self.took[item.nodeid]), append=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed:
            self.failed = report.nodeid

    def told(self) -> Any:
        """Return what the parent shall know."""
        return self.failed


class Child(NamedTuple):
    """A process in which pytest runs in a copy of the tree."""

    tree: Path
    ends: float
    then: Callable[[Path, int | None, Any], None]


class Children:
    """The copies of the tree, and what runs in each."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.pristine = copy(folder / "pristine")
        self.idle = [shutil.copytree(self.pristine, folder / f"tree{number}") for number in range(jobs)]
        self.running: dict[int, Child] = {}

    def start(self, prepare: Callable[[Path], Any], tests: list[str], within: float, then: Callable[..., None]) -> None:
        """Run tests in a copy that is free, with the plugin that `prepare` gives; `then` hears how it ended."""
        while not self.idle:
            self.wait()
        tree = self.idle.pop()
        plugin = prepare(tree)
        pid = os.fork()
        if pid == 0:
            run_here(tree, tests, plugin)
        self.running[pid] = Child(tree, time.monotonic() + within, then)

    def wait(self) -> None:
        """Wait until one has ended, or has to be ended: then its code is None."""
        while True:
            for pid, child in [*self.running.items()]:
                late = time.monotonic() > child.ends
                if late:
                    os.killpg(pid, signal.SIGKILL)
                ended, status = os.waitpid(pid, 0 if late else os.WNOHANG)
                if ended:
                    del self.running[pid]
                    told = child.tree.with_suffix(".json")
                    answer = json.loads(told.read_text()) if told.exists() else None
                    told.unlink(missing_ok=True)
                    self.idle.append(child.tree)
                    child.then(child.tree, None if late else os.waitstatus_to_exitcode(status), answer)
                    return
            time.sleep(0.02)

    def all_done(self) -> None:
        """Wait until nothing runs."""
        while self.running:
            self.wait()


def copy(tree: Path) -> Path:
    """Copy what git knows of the tree, as it is now; the code is compiled, so that only what changes is again."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=TOP, check=True, capture_output=True, text=True
    ).stdout
    for name in listed.rstrip("\0").split("\0"):
        if (TOP / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, tree / name)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "src", "tests"], cwd=tree, check=True)
    return tree


def run_here(tree: Path, tests: list[str], plugin: Any) -> None:
    """Be the child: a group of its own, the code of this tree, no words; its end is pytest's."""
    code = 70
    try:
        os.setsid()
        os.chdir(tree)
        os.environ["PYTHONPATH"] = f"{tree}/src"
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        sys.path.insert(0, f"{tree}/src")
        sys.dont_write_bytecode = True
        words = os.open(tree.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number, to in ((0, os.open(os.devnull, os.O_RDONLY)), (1, words), (2, words)):
            os.dup2(to, number)
        for part in (tests[:FIRST], tests[FIRST:]):  # most fail soon, and to read all files takes longer than that
            code = int(pytest.main([*PYTEST, "--rootdir", str(tree), *part], plugins=[*PLUGINS, plugin])) if part else 0
            if code:
                break
        tree.with_suffix(".json").write_text(json.dumps(plugin.told()))
    finally:
        os._exit(code)


def digest(*paths: Path) -> str:
    """Return what changes if one of these files does."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(paths) if path.exists())).hexdigest()


def reach(children: Children, rooms: list[str]) -> Reached:
    """Return how long each test takes and which lines it reaches; measured where that is not known yet."""
    KEPT.mkdir(exist_ok=True)
    code = digest(*(TOP / "src/whilst").rglob("*.py"))
    found: Reached = {}

    def measure(name: str, kept: Path, now: str) -> None:
        def then(tree: Path, exit_code: int | None, answer: Reached | None) -> None:
            if exit_code not in (0, 5):
                words = tree.with_suffix(".log").read_text()
                print(f"some of it fails before anything is changed, and is left out:\n{words}")
            kept.write_text(json.dumps([now, answer or {}]))
            found.update(answer or {})

        print(f"which lines does it reach: {name}", flush=True)
        children.start(lambda tree: Reach(f"{tree}/src/whilst/"), [name], 900, then)

    for path in sorted(path for room in rooms for path in (TOP / "tests" / room).glob("test_*.py")):
        now = code + digest(path, *path.parent.glob("*kit.py"), path.with_name("conftest.py"))
        kept = KEPT / f"{path.parent.name}-{path.stem}.json"
        known, answer = json.loads(kept.read_text()) if kept.exists() else ("", {})
        if known == now:
            found.update(answer)
        else:
            measure(path.relative_to(TOP).as_posix(), kept, now)
    children.all_done()
    return found


def tests_of(mutant: Mutant, reached: Reached, patience: float) -> dict[str, float]:
    """Return the tests that reach a mutant, as many of the quickest as there is patience for.

    What runs while its file is imported is noticed by any test that reaches the file, if at all.
    """
    lines = range(mutant.first, mutant.last + 1)
    near = {
        test: took for test, (took, found) in reached.items() if any(n in lines for n in found.get(mutant.file, ()))
    }
    if mutant.imported:
        near = {test: took for test, (took, found) in reached.items() if mutant.file in found}
    chosen: dict[str, float] = {}
    spent = 0.0
    for test, took in sorted(near.items(), key=lambda pair: pair[1]):
        spent += took
        if chosen and spent > patience:
            break
        chosen[test] = took
    return chosen


def equivalents() -> dict[str, str]:
    """Return the mutants that nobody could notice, each with the reason: a line, and lines below that are set in."""
    found: dict[str, str] = {}
    name = ""
    for line in (TOP / ".ci/equivalent.txt").read_text().splitlines():
        if line.startswith(" "):
            found[name] = f"{found[name]} {line.strip()}".strip()
        elif line and not line.startswith("#"):
            name = line
            found[name] = ""
    return found


def sample(rooms: list[str], size: int, seed: int) -> list[Mutant]:
    """Return the mutants of these rooms whose digests are lowest; tell which of `equivalent.txt` are gone."""
    found = [
        mutant
        for room in rooms
        for path in sorted((TOP / "src/whilst" / room).rglob("*.py"))
        for mutant in mutants(path)
    ]
    gone = equivalents().keys() - {mutant.name for mutant in found}
    for name in sorted(name for name in gone if name.partition("/")[0] in rooms):
        print(f"not in the code any more, take it out of .ci/equivalent.txt: {name}")
    found.sort(key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest())
    print(
        f"{len(found)} mutants of {', '.join(rooms)}, of which {min(size, len(found))} are tried (seed {seed})",
        flush=True,
    )
    return found[:size]


def tried(chosen: list[Mutant], children: Children, reached: Reached, patience: float) -> dict[Mutant, str]:
    """Try each mutant; return what became of it."""
    became: dict[Mutant, str] = {}
    same = equivalents()

    def attempt(mutant: Mutant, tests: dict[str, float]) -> None:
        begins = [0.0]
        file = f"src/whilst/{mutant.file}"

        def prepare(tree: Path) -> Chosen:
            begins[0] = time.monotonic()
            text = (children.pristine / file).read_bytes()
            (tree / file).write_bytes(text[: mutant.start] + mutant.text.encode() + text[mutant.end :])
            os.utime(tree / file, (0, 0))  # it is not what was compiled
            return Chosen(tests)

        def then(tree: Path, code: int | None, failed: str | None) -> None:
            shutil.copy2(children.pristine / file, tree / file)
            assert code != 5, f"no test was found of {tests}"
            told = {None: "timed out", 0: "equivalent" if mutant.name in same else "survived"}.get(code, "killed")
            tell(mutant, told, f"{failed or ''} {time.monotonic() - begins[0]:.0f} s, {len(tests)} tests".strip())

        files = [*dict.fromkeys(test.partition("::")[0] for test in tests)]
        children.start(prepare, files, 60 + 5 * sum(tests.values()), then)

    def tell(mutant: Mutant, told: str, more: str) -> None:
        became[mutant] = told
        print(f"{len(became):4} {told:10} {mutant.name}  [{mutant.first}; {more}]", flush=True)

    for mutant in chosen:
        if tests := tests_of(mutant, reached, patience):
            attempt(mutant, tests)
        else:
            tell(mutant, "equivalent" if mutant.name in same else "unreached", "no test reaches it")
    children.all_done()
    return became


def main() -> int:
    """Try a sample; 1 if too many survive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "rooms", nargs="*", metavar="ROOM", default=ROOMS, help=f"folders of src/whilst: {' '.join(ROOMS)}"
    )
    parser.add_argument(
        "--tests", nargs="+", metavar="ROOM", default=TESTS, help=f"folders of tests: {' '.join(TESTS)}"
    )
    parser.add_argument("--sample", type=int, default=200, metavar="N", help="how many (200)")
    parser.add_argument("--seed", type=int, default=9, metavar="N", help="which (9)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at a time (2)")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE, metavar="S", help=f"seconds of tests a mutant ({PATIENCE:g})"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="of these, those whose line has it")
    given = parser.parse_args()
    began = time.monotonic()
    chosen = [mutant for mutant in sample([*given.rooms], given.sample, given.seed) if given.only in mutant.name]
    with tempfile.TemporaryDirectory(prefix="whilst-mutants-") as folder:
        children = Children(Path(folder), given.jobs)
        gc.freeze()
        became = tried(chosen, children, reach(children, [*given.tests]), given.patience)
    for told in ("unreached", "survived"):
        for mutant in sorted(mutant for mutant, is_now in became.items() if is_now == told):
            print(f"{told}: src/whilst/{mutant.file}:{mutant.first}\n    {mutant.name}")
    count = Counter(became.values())
    noticed = (count["killed"] + count["timed out"]) / len(became)
    print(f"{len(became)} tried in {(time.monotonic() - began) / 60:.0f} min: {noticed:.1%} noticed; {dict(count)}")
    return noticed < WANTED


if __name__ == "__main__":
    sys.exit(main())
