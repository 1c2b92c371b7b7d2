"""Every way to call `whilst map` wrongly: what it says, with which exit code, and that nothing was called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from whilst.cli.main import run

JOBS = """\
import functools
CALLED = []
URLS = ["a", "b"]
def fetch(url, token):
    CALLED.append(url)
def check(url):
    CALLED.append(url)
def takes_nothing():
    CALLED.append(None)
def many(x):
    yield x
def named(*, id, n=1):
    return id
def both(id, n):
    return [id, n]
class Api:
    @staticmethod
    def get(url):
        return url
"""

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with jobs.py and inputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHILST_LOOP", "asyncio")
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "urls.txt").write_text("https://a\nhttps://b\n")
    (tmp_path / "rows.csv").write_text("id,n\n1,2\n")
    (tmp_path / "rows.jsonl").write_text('{"id": 1}\n{"id": 2, "n": 3}\n')
    return tmp_path


@pytest.fixture
def call(here: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return call


def usage(call: Call, *arguments: str) -> str:
    """Return the message of a wrong command line, having seen that nothing was called or left behind."""
    before = sorted(path.name for path in Path().iterdir())
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    after = sorted(path.name for path in Path().iterdir() if path.name != "__pycache__")
    assert after == [name for name in before if name != "__pycache__"]
    if "jobs" in sys.modules:
        assert sys.modules["jobs"].CALLED == []
    return err


@pytest.mark.parametrize(
    ("target", "fact", "evidence", "remedy"),
    [
        (
            "jobs.py",
            "'jobs.py' does not name a function",
            "jobs.py defines fetch, check, takes_nothing, many, named",
            "whilst map jobs.py:fetch",
        ),
        ("jobs", "'jobs' does not name a function", "jobs.py defines fetch", "whilst map jobs:fetch"),
        ("nope", "'nope' does not name a function", "TARGET is module:name or file.py:name", "whilst map nope:NAME"),
        ("os.getcwd", "'os.getcwd' does not name a function", "TARGET is", "whilst map os:getcwd"),
        (":fetch", "':fetch' does not say where fetch is", "TARGET is module:name", "whilst map jobs.py:fetch"),
        (":nope", "':nope' does not say where nope is", "TARGET is module:name", "whilst map FILE.py:nope"),
        ("./jobs:fetch", "there is no module ./jobs", "looked in ", "whilst map jobs:fetch"),
        ("jbs.py:fetch", "there is no file jbs.py", "which has jobs.py", "whilst map jobs.py:fetch"),
        ("jbs:fetch", "there is no module jbs", "looked in ", "whilst map jobs:fetch"),
        ("jobs.py:fecth", "jobs.py has no fecth", "its functions are fetch, check", "whilst map jobs.py:fetch"),
        ("jobs:Api.got", "jobs:Api has no got", "its functions are get", "whilst map jobs:Api.get"),
        ("jobs:URLS", "jobs:URLS is not a function", "it is a list: ['a', 'b']", "whilst map jobs:"),
        (
            "jobs:many",
            "many() is a generator function: one input gives many outputs",
            "jobs.py line 10",
            "a function that returns list(many(x))",
        ),
        (
            "jobs:takes_nothing",
            "takes_nothing() takes no argument, but each row is one",
            "jobs.py line 8",
            "def takes_nothing(row): …, or --call none",
        ),
    ],
)
def test_a_wrong_target(call: Call, target: str, fact: str, evidence: str, remedy: str) -> None:
    first, second, third = usage(call, "map", target, "urls.txt").splitlines()
    assert first == f"error: {fact}"
    assert second.startswith(f"  {evidence}") or evidence in second
    assert third.startswith(f"  try: {remedy}")


@pytest.mark.parametrize("where", ["/", ".", "new/"])
def test_a_folder_is_no_module_and_nothing_is_made_up(call: Call, here: Path, where: str) -> None:
    (here / "new").mkdir()
    first, second = usage(call, "map", f"{where}:fetch", "urls.txt").splitlines()
    assert first == f"error: there is no module {where}"
    assert second.startswith("  looked in ")


def test_a_module_that_cannot_be_imported_shows_its_own_error(call: Call, here: Path) -> None:
    (here / "broken.py").write_text("import json\ndef load():\n    return json.loads('{')\nX = load()\n")
    assert usage(call, "map", "broken.py:x", "urls.txt").splitlines() == [
        "error: broken.py cannot be imported",
        "  broken.py line 4: X = load()",
        "  broken.py line 3: return json.loads('{')",
        "  JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "  try: python broken.py",
    ]


def test_a_missing_import_inside_the_module_is_not_a_missing_module(call: Call, here: Path) -> None:
    (here / "needy.py").write_text("import no_such_package\n")
    assert usage(call, "map", "needy:x", "urls.txt").splitlines() == [
        "error: needy cannot be imported",
        "  needy.py line 1: import no_such_package",
        "  ModuleNotFoundError: No module named 'no_such_package'",
        '  try: python -c "import needy"',
    ]


def test_a_syntax_error_and_an_exit_are_told_too(call: Call, here: Path) -> None:
    (here / "bad.py").write_text("x = 1\ndef f(:\n")
    assert "  bad.py line 2: def f(:\n  SyntaxError: " in usage(call, "map", "bad.py:f", "urls.txt")
    (here / "script.py").write_text("import sys\nsys.exit(3)\n")
    err = usage(call, "map", "script.py:f", "urls.txt")
    assert "it calls sys.exit(3) when imported" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["jobs.py:fetch", "urls.txt"],
            "error: fetch() needs 2 values, each row gives 1\n"
            "  fetch(url, token), jobs.py line 4; row 1 of urls.txt is 'https://a'\n"
            "  try: functools.partial(fetch, token=…), or rows with columns 'url' and 'token'\n",
        ),
        (
            ["jobs.py:fetch", "rows.csv"],
            "error: fetch() needs 'url' and 'token', which the row does not have\n"
            "  fetch(url, token), jobs.py line 4; row 2 of rows.csv is {'id': '1', 'n': '2'}\n"
            "  try: functools.partial(fetch, url=…, token=…), or rows with 'url' and 'token'\n",
        ),
        (
            ["jobs.py:both", "rows.jsonl"],
            "error: both() needs 'n', which the row does not have\n"
            "  both(id, n), jobs.py line 14; row 1 of rows.jsonl is {'id': 1}\n"
            "  try: functools.partial(both, n=…), or rows with 'n'\n",
        ),
        (
            ["jobs.py:check", "rows.jsonl", "--call", "names"],
            "error: check() needs 'url', which the row does not have\n"
            "  check(url), jobs.py line 6; row 1 of rows.jsonl is {'id': 1}\n"
            "  try: functools.partial(check, url=…), or rows with 'url'\n",
        ),
        (
            ["jobs.py:both", "rows.csv", "--call", "one"],
            "error: both() cannot take one value\n"
            "  both(id, n), jobs.py line 14; row 2 of rows.csv is {'id': '1', 'n': '2'}\n"
            "  try: --call names\n",
        ),
        (
            ["jobs.py:fetch", "urls.txt", "--call", "none"],
            "error: --call none passes no row, but fetch() needs 'url' and 'token'\n"
            "  fetch(), jobs.py line 4\n"
            "  try: leave out --call\n",
        ),
        (
            ["jobs.py:takes_nothing", "urls.txt", "--call", "none", "--batch", "2"],
            "error: --call none hands over none, and --batch hands over many\n  try: leave out --call\n",
        ),
        (
            ["jobs.py:named", "urls.txt"],
            "error: named() needs names, the row is 'https://a'\n"
            "  named(*, id, n=1), jobs.py line 12; row 1 of urls.txt is 'https://a'\n"
            "  try: rows with the column 'id'\n",
        ),
    ],
)
def test_a_row_that_does_not_fit_the_function_shows_both_sides(call: Call, arguments: list[str], message: str) -> None:
    assert usage(call, "map", *arguments) == message


def test_a_column_too_many_is_named(call: Call, here: Path) -> None:
    (here / "wide.csv").write_text("id,n,x\n1,2,3\n")
    assert usage(call, "map", "jobs.py:both", "wide.csv").splitlines() == [
        "error: both() does not take 'x', which the row has",
        "  both(id, n), jobs.py line 14; row 2 of wide.csv is {'id': '1', 'n': '2', 'x': '3'}",
        "  try: def both(id, n, **rest): … to take the other columns too",
    ]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["jobs.py:check", "url.txt"], ["url.txt cannot be read: No such file or directory", "try: urls.txt"]),
        (
            ["jobs.py:check", "."],
            [". is a directory", "try: 'files:./**', for the paths in it"],
        ),
        (["jobs.py:check", "files:/usr/bin"], ["files:/usr/bin names no file", "try: 'files:/usr/bin/**'"]),
        (["jobs.py:check", "urls.txt", "-o", "."], [". is a directory", "try: ./out.jsonl"]),
        (["jobs.py:check", "urls.txt", "-o", "a.db"], ["a.db has no", "known", "try: sqlite:///a.db?table=NAME"]),
        (
            ["jobs.py:check", "urls.txt", "-o", "sqlite:a.db?table=t"],
            ["sqlite:a.db?… lacks the slashes of a URL", "try: 'sqlite:///a.db?table=t'"],
        ),
        (
            ["jobs.py:check", "s3:bucket/a.jsonl"],
            ["s3:bucket/a.jsonl lacks the slashes", "try: 's3://bucket/a.jsonl'"],
        ),
        (["jobs.py:check", "urls.txt", "-o=a.jsonl"], ["-o =a.jsonl begins with =", "try: -o a.jsonl"]),
        (
            ["jobs.py:check", "urls.txt", "--out=~/a b.jsonl"],
            ["-o ~/a b.jsonl: there is no folder ~", "a shell makes a home", "try: -o '/home/me/a b.jsonl'"],
        ),
        (["jobs.py:check", "~/a.txt"], ["~/a.txt: there is no folder ~", "a shell", "try: /home/me/a.txt"]),
        (
            ["jobs.py:check", "sqlite:///~/a.db?table=t"],
            ["sqlite:///~/a.db?table=t: there is no", "a shell", "try: 'sqlite:////home/me/a.db?table=t'"],
        ),
        (["jobs.py:check", "urls.txt", "--summary", "-"], ["--summary - would be a", "try: --summary summary.json"]),
        (["jobs.py:check", "urls.txt", "--trace", "-"], ["--trace - would be a", "try: --trace run.trace"]),
        (["jobs.py:check", "urls.txt", "--journal", "-"], ["--journal - would be a", "try: --journal run.db"]),
        (
            ["jobs.py:check", "urls.txt", "rows.jsonl"],
            [
                "whilst map takes one INPUT, and got 2",
                "for the rows in them: cat urls.txt rows.jsonl | whilst map jobs.py:check",
                "try: whilst map jobs.py:check ::: urls.txt rows.jsonl",
            ],
        ),
        (
            ["jobs.py:check", "https://a", "b c"],
            ["whilst map takes one INPUT, and got 2", "try: whilst map jobs.py:check ::: https://a 'b c'"],
        ),
        (
            ["jobs.py:check", "jobs.py"],
            ["jobs.py is a kind of file that is not read", "try: --format text, if its lines are meant"],
        ),
        (
            ["jobs.py:check", "urls.txt", "-o", "out.xml"],
            ["out.xml has no ending that says what is in it", "known endings: .jsonl", "try: out.jsonl"],
        ),
        (
            ["jobs.py:check", "urls.txt", "-o", "no/out.csv"],
            ["no/out.csv cannot be written: No such file or directory", "in ", "try: mkdir -p no"],
        ),
        (
            ["jobs.py:check", "urls.txt", "-o", "rows.jsonl"],
            ["rows.jsonl exists", "it has 28 bytes and is not replaced", "try: --overwrite"],
        ),
        (
            ["jobs.py:check", "urls.txt", "-o", "a.jsonl", "--failed", "rows.jsonl"],
            ["rows.jsonl exists", "it has 28 bytes", "try: --overwrite"],
        ),
        (
            ["jobs.py:check", "urls.txt", "--failed", "f.csv"],
            ["--failed f.csv: failures are written as JSON lines", "so that", "try: --failed f.jsonl"],
        ),
        (
            ["jobs.py:check", "urls.txt", "-o", "a.jsonl", "--failed", "./a.jsonl"],
            ["-o and --failed are the same file: a.jsonl", "failures are in OUT", "try: leave out"],
        ),
        (
            ["jobs.py:check", "urls.txt", "--stop-after", "0"],
            ["--stop-after must be at least 1", "try: --stop-after 5%"],
        ),
        (["jobs.py:check", "urls.txt", "-j", "0"], ["--concurrency must be at least 1, got 0", "try: -j 1"]),
        (["jobs.py:check", "urls.txt", "--timeout", "0"], ["--timeout must be more than 0", "try: --timeout 30"]),
        (
            ["jobs.py:check", "urls.txt", "--concurency", "3"],
            ["whilst map has no option --concurency", "try: whilst map --concurrency"],
        ),
        ([], ["missing argument 'TARGET'", "try: whilst map --help"]),
        (["jobs.py:check", "urls.txt", "--format", "jsonll"], ["invalid value for '--format'", "try: --format jsonl"]),
        (["jobs.py:check", "urls.txt", "--call", "name"], ["invalid value for '--call'", "try: --call names"]),
        (["jobs.py:check", "urls.txt", "--take", "0"], ["--take must be at least 1, got 0", "try: --take 1"]),
        (
            ["jobs.py:check", "urls.txt", "--take", "x"],
            ["--take must be a whole number, got 'x'", "try: --take 1"],
        ),
        (["jobs.py:check", "urls.txt", "-o", "a.csv.bz2"], ["a.csv.bz2 has no ending", "known", "try: a.csv.gz"]),
        (["jobs.py:check", "urls.txt", "-o", "a.xz"], ["a.xz has no ending", "known", "try: a.jsonl.gz"]),
        (
            ["jobs.py:check", "urls.txt", "-o", "new/out.jsonl"],
            ["new/out.jsonl cannot be written: No such file", "in ", "try: mkdir -p new"],
        ),
        (
            ["jobs.py:check", "rows.jsonl", "-o", "./rows.jsonl", "--overwrite"],
            ["-o ./rows.jsonl is INPUT", "a run that ends early would delete the rows", "try: -o ./rows-out.jsonl"],
        ),
        (
            ["jobs.py:check", "rows.jsonl", "--failed", "rows.jsonl", "--overwrite"],
            ["--failed rows.jsonl is INPUT", "a run that ends early", "try: --failed rows-out.jsonl"],
        ),
        (
            ["jobs.py:check", "urls.txt", "-o", "s.json", "--summary", "s.json"],
            ["-o and --summary are the same file: s.json", "one would replace", "try: -o s-out.jsonl"],
        ),
        (
            ["jobs.py:check", "urls.txt", "-o", "sqlite:///a.db?table=t", "--trace", "a.db"],
            ["-o and --trace are the same file", "one would replace", "try: -o sqlite:///a-out.db?table=t"],
        ),
        (
            ["jobs.py:check", "urls.txt", "--append"],
            ["--append has no file to grow: outcomes go to standard output", "try: -o out.jsonl --append"],
        ),
        (
            ["jobs.py:check", "rows.jsonl", "--journal", "run.db", "--journal-key", ""],
            ["row 1 of rows.jsonl has no field '', which --journal-key names", "it has "],
        ),
        (["jobs.py:check", "urls.txt", "--journal", ""], ["--journal names no file", "try: --journal run.db"]),
        (
            ["jobs.py:check", "urls.txt", "--journal", "run.db", "--journal-key", "id"],
            [
                "row 1 of urls.txt has no field id, which --journal-key names",
                "it is 'https://a'",
                "try: rows with fields",
            ],
        ),
        (
            ["jobs.py:both", "wide.csv", "--journal", "run.db", "--journal-key", "idd"],
            ["row 2 of wide.csv has no field idd, which --journal-key names", "it has id, n", "try: --journal-key id"],
        ),
    ],
)
def test_a_wrong_argument(
    call: Call, here: Path, arguments: list[str], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    (here / "wide.csv").write_text("id,n\n1,2\n")
    said = usage(call, "map", *arguments).splitlines()
    assert not (here / "run.db").exists()
    assert len(said) == len(lines)
    for line, start in zip(said, ["error: " + lines[0], *(f"  {it}" for it in lines[1:])], strict=True):
        assert line.startswith(start)


def test_rows_in_another_encoding_name_the_option_that_reads_them(call: Call, here: Path) -> None:
    (here / "latin.txt").write_bytes("café\nthé\n".encode("latin-1"))
    code, _, err = call("map", "jobs.py:check", "latin.txt")
    assert code == 1
    assert "first: not UTF-8: byte 0xe9 at position 3 (row 1 of latin.txt)\n" in err
    assert "--encoding latin-1" in err


def test_a_field_that_occurs_twice_is_named_in_the_summary_too(call: Call, here: Path) -> None:
    (here / "twice.jsonl").write_text('{"a": 1, "a": 2}\n')  # after the word `key` it would be taken for a secret
    assert "first: the field 'a' occurs twice (row 1" in call("map", "jobs.py:check", "twice.jsonl")[2]


def test_a_csv_without_a_usable_header(call: Call, here: Path) -> None:
    (here / "twice.csv").write_text("id,id\n1,2\n")
    assert usage(call, "map", "jobs.py:check", "twice.csv") == (
        "error: twice.csv is not CSV: its header names 'id' twice\n"
    )


def test_a_wrong_command_gets_the_close_one(call: Call) -> None:
    assert usage(call, "mapp") == "error: whilst has no command mapp\n  try: whilst map\n"
    assert usage(call, "zzz") == "error: whilst has no command zzz\n  try: whilst --help\n"


def test_what_arrived_from_outside_cannot_steer_the_terminal(call: Call, here: Path) -> None:
    err = usage(call, "map", "jobs.py:\x1b[2Jfetch", "urls.txt")
    assert "\x1b" not in err
    assert "\\x1b[2Jfetch" in err


def test_dry_run_shows_calls_and_makes_none(call: Call, here: Path) -> None:
    (here / "mixed.jsonl").write_text('{"id": 1, "n": "x"}\n{"id": 2}\n{{\n{"id": 4, "n": 5}\n')
    code, out, err = call("map", "jobs.py:both", "mixed.jsonl", "--dry-run", "3", "-o", "out.jsonl")
    assert code == 1
    assert out.splitlines() == [
        "both(id=1, n='x')  # line 1",
        "# line 2 is rejected: both() needs 'n', which the row does not have",
        "# line 3 is rejected: not JSON: object keys must be strings (byte 1)",
    ]
    assert err == "dry run: the first 3 of the calls are shown, none was made\n"
    assert not (here / "out.jsonl").exists()
    code, out, _ = call("map", "jobs.py:check", "urls.txt", "--dry-run", "1")
    assert (code, out) == (0, "check('https://a')  # line 1\n")
    assert sys.modules["jobs"].CALLED == []


def test_help_fits_a_narrow_terminal(call: Call) -> None:
    for arguments in (["--help"], ["map", "--help"], ["-h"]):
        code, out, err = call(*arguments)
        assert (code, err) == (0, "")
        assert max(map(len, out.splitlines())) <= 80
    assert call("--version")[1].startswith("whilst ")
