"""`whilst get` for real: processes, servers on loopback, exit codes, what is asked and what is written."""

from __future__ import annotations

import base64
import csv
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyreqwest")

import commandkit
from commandkit import WHILST
from httpkit import Scripted, Seen, answer, scripted

import whilst
from whilst.cli.main import run as run_here
from whilst.http import clients

JSON = {"Content_Type": "application/json"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run to the end; return exit code, standard output and messages."""
    code, out, err = commandkit.run(*arguments, stdin=stdin.encode(), env=env)
    return code, out.decode(), err.decode()


def get(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> tuple[int, list[Any], str]:
    """Run `whilst get`; its output as JSON lines."""
    code, out, err = run("get", *arguments, stdin=stdin, env=env)
    return code, [json.loads(line) for line in out.splitlines()], err


def echo(seen: Seen) -> bytes:
    """Answer with what was asked."""
    method, path, _ = seen.line.split()
    return answer(body=json.dumps({"method": method, "path": path, "body": seen.body.decode()}), **JSON)


def paths(server: Scripted) -> list[str]:
    return [seen.line.split()[1] for seen in server.seen]


# -- how it starts and ends -------------------------------------------------------------------------------------


def test_it_loads_nothing_that_it_does_not_use() -> None:
    script = (
        "import sys; from whilst.cli.main import run\n"
        "assert run(['get', sys.argv[1]]) == 0; print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    with scripted(echo) as server:
        command = [sys.executable, "-c", script, f"{server.url}/a"]
        done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=50)
    of_others = {"dataclasses", "http", "random", "glob", "email", "urllib.parse", "rich"}
    of_ours = {
        "core.retry",
        "core.adaptive",
        "flow",
        "bridge",
        "journal",
        "io.csv",
        "io.parquet",
        "io.store",
        "cli.target",
    }
    assert not {*done.stderr.split()} & {*of_others, *(f"whilst.{name}" for name in of_ours)}


def test_a_client_that_cannot_be_made_ahead_says_so_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("no certificates")

    monkeypatch.setattr(clients, "ClientBuilder", broken)
    monkeypatch.setattr(clients, "_clients", {})
    clients.make_ahead()
    with pytest.raises(OSError, match="no certificates"):
        clients.async_client()


def test_a_client_that_is_being_made_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on, made = threading.Event(), threading.Event(), clients.ClientBuilder

    def slow() -> clients.ClientBuilder:
        began.set()
        assert go_on.wait(10)
        return made()

    monkeypatch.setattr(clients, "ClientBuilder", slow)
    monkeypatch.setattr(clients, "_clients", {})
    clients.make_ahead()
    assert began.wait(10)
    monkeypatch.setattr(clients, "ClientBuilder", None)  # a second one would fail
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(clients.async_client)
        go_on.set()
        assert asked.result(10) is clients.async_client()


# -- what is fetched ------------------------------------------------------------------------------------------


def test_a_template_stands_for_many_urls_and_answers_come_in_their_order(here: Path) -> None:
    with scripted(echo) as server:
        code, lines, err = get(f"{server.url}/{{a,b}}/{{08..10}}", f"{server.url}/one")
    assert code == 0
    wanted = ["/a/08", "/a/09", "/a/10", "/b/08", "/b/09", "/b/10", "/one"]
    assert [(line["input"], line["value"]["path"]) for line in lines] == [(server.url + it, it) for it in wanted]
    assert err.startswith("done: 7 ok in ")


@pytest.mark.parametrize(
    ("name", "content", "flags", "wanted"),
    [
        ("in.txt", "{url}/1\n\n{url}/2\n", [], ["/1", "/2"]),
        ("in.txt", "a b\nc/d\n", ["--url", "{url}/x/{{}}?q={{}}"], ["/x/a%20b?q=a%20b", "/x/c%2Fd?q=c%2Fd"]),
        ("in.csv", "id,url\n7,{url}/1\n", [], ["/1"]),
        ("in.csv", "address\n{url}/1\n", [], ["/1"]),
        ("in.csv", "id,kind\n7,ä&b\n", ["--url", "{url}/{{kind}}/{{id}}"], ["/%C3%A4%26b/7"]),
        ("in.jsonl", '"{url}/1"\n', [], ["/1"]),
        ("in.jsonl", '{{"id": 7, "big": true}}\n', ["--url", "{url}/{{id}}?big={{big}}"], ["/7?big=true"]),
        ("in.jsonl", '{{"input": "{url}/1", "error": "x", "attempts": 1}}\n', [], ["/1"]),
    ],
)
def test_rows_of_a_file_are_urls_or_fill_a_template(
    here: Path, name: str, content: str, flags: list[str], wanted: list[str]
) -> None:
    with scripted(echo) as server:
        (here / name).write_text(content.format(url=server.url))
        code, lines, err = get(name, *[it.format(url=server.url) for it in flags])
    assert (code, [line["value"]["path"] for line in lines]) == (0, wanted), err


def test_standard_input_is_a_url_a_line(here: Path) -> None:
    with scripted(echo) as server:
        assert get(stdin=f"{server.url}/1\n")[1][0]["value"]["path"] == "/1"
        assert get("-", "--take", "1", stdin=f"{server.url}/1\n{server.url}/2\n")[1][0]["value"]["path"] == "/1"


def test_rows_that_cannot_be_asked_for_are_rejected_with_their_line(here: Path) -> None:
    with scripted(echo) as server:
        rows = f"{server.url}/1\nexample.com\nhttp://a:99999/\n{server.url}/2\nftp://x/\n"
        code, lines, err = get(stdin=rows)
        assert code == 1
        assert [(line.get("line"), line.get("error")) for line in lines] == [
            (None, None),
            (2, "'example.com' cannot be fetched: it has no http:// or https:// at its start"),
            (3, "'http://a:99999/' cannot be fetched: it is not a URL: invalid port number"),
            (None, None),
            (5, "'ftp://x/' cannot be fetched: it has no http:// or https:// at its start"),
        ]
        assert "2 ok, 3 rows rejected in " in err
        (here / "in.jsonl").write_text('{"id": 1}\n{"id": ".."}\n{"id": null}\n{"no": 1}\n{"id": ""}\n7\n')
        code, lines, _ = get("in.jsonl", "--url", server.url + "/{id}")
        assert code == 1
        assert [line["error"] for line in lines[1:]] == [
            "'id' is '..', which would change what the URL means",
            "'id' is None, which cannot be part of a URL",
            "the row has no field 'id'",
            "'id' is '', which would change what the URL means",
            "the row is 7 and has no field 'id'",
        ]
    assert sorted(paths(server)) == ["/1", "/1", "/2"]  # the two of the first run go out together


def test_bodies_are_made_of_the_fields_of_a_row(here: Path) -> None:
    (here / "in.jsonl").write_text('{"id": 7, "text": "hi", "more": {"a": [1]}}\n')
    with scripted(echo) as server:
        url = ["in.jsonl", "--url", server.url + "/{id}"]
        for flags, wanted in (
            (["--json-field", "id", "--json-field", "more"], ("POST", '{"id":7,"more":{"a":[1]}}')),
            (["--body-field", "text", "--method", "put"], ("PUT", "hi")),
            (["--body-field", "more"], ("POST", '{"a":[1]}')),
            (["--method", "DELETE"], ("DELETE", "")),
        ):
            code, [line], _ = get(*url, *flags)
            assert (code, (line["value"]["method"], line["value"]["body"])) == (0, wanted)
        assert [seen.headers.get("content-type") for seen in server.seen] == [
            "application/json", "text/plain; charset=utf-8", "application/json", None,
        ]  # fmt: skip


def test_a_dry_run_asks_nothing_and_shows_no_secret(here: Path) -> None:
    with scripted(echo) as server:
        url = f"{server.url}/{{1..9}}?page=2&api_key=SECRET"
        code, out, err = run("get", url, "--dry-run", "2", "--header-env", "X-Token=TOKEN", env={"TOKEN": "SECRET"})
        (here / "in.txt").write_text(f"{server.url.replace('//', '//me:SECRET@')}/1\n")
        assert run("get", "in.txt", "--dry-run", "1")[1] == f"GET {server.url.replace('//', '//…@')}/1  # line 1\n"
    shown = [f"GET {server.url}/{number}?page=2&api_key=…  # line {number}" for number in (1, 2)]
    assert (code, out.splitlines()) == (0, shown)
    assert err == "dry run: the first 2 of the calls are shown, none was made\n"
    assert not server.seen


# -- what is written ------------------------------------------------------------------------------------------


def test_json_is_written_as_it_came_on_one_line(here: Path) -> None:
    bodies = {
        "/number": b'{"big": 123456789012345678901234567890, "exact": 1.10}',
        "/pretty": b'{\r\n  "a": [\n    1\n  ]\n}\n',
        "/bom": b'\xef\xbb\xbf"x"',
        "/scalar": b" null ",
    }
    with scripted(lambda seen: answer(body=bodies[seen.line.split()[1]])) as server:
        code, out, _ = run("get", server.url + "/{number,pretty,bom,scalar}", "--values")
    assert code == 0
    assert out.splitlines() == [bodies["/number"].decode(), '{"a":[1]}', '"x"', "null"]


def test_what_is_no_json_fails_its_own_input(here: Path) -> None:
    bodies = {
        "/a": b"<html>",
        "/b": b'{"a": ',
        "/c": b"",
        "/d": b'"\xff"',
        "/e": b"[" * 100_000,
        "/f": b"NaN",
        "/g": b"7",
    }
    with scripted(lambda seen: answer(body=bodies[seen.line.split()[1]])) as server:
        code, lines, err = get(server.url + "/{a,b,c,d,e,f,g}")
    assert code == 1
    assert all(line["error"].startswith("NotJSON: the answer is not JSON: ") for line in lines[:6])
    assert lines[6]["value"] == 7
    assert "1 ok, 6 failed (6 NotJSON)" in err
    assert "\n  answers that are not JSON are taken with --as text, or --as bytes\n" in err


def test_answers_are_json_text_or_bytes(here: Path) -> None:
    with scripted(lambda _: answer(body=b"\xe9\x00", Content_Type="text/plain; charset=latin-1")) as server:
        assert get(server.url, "--as", "text")[1][0]["value"] == "é\x00"
        assert base64.b64decode(get(server.url, "--as", "bytes")[1][0]["value"]) == b"\xe9\x00"


def test_a_csv_gets_values_and_the_columns_of_its_input(here: Path) -> None:
    (here / "in.csv").write_text("id,n\n7,x\n8,y\n")
    bodies = {"/7": "1.5", "/8": '{"a": null}'}
    with scripted(lambda seen: answer(body=bodies[seen.line.split()[1]])) as server:
        assert get("in.csv", "--url", server.url + "/{id}", "-o", "out.csv")[0] == 0
    with open("out.csv", newline="") as file:
        assert [tuple(row.values())[:3] for row in csv.DictReader(file)] == [
            ("7", "x", "1.5"),
            ("8", "y", '{"a":null}'),
        ]


def test_a_failure_says_what_was_answered_and_can_be_run_again(here: Path) -> None:
    missing = {"/2"}

    def reply(seen: Seen) -> bytes:
        path = seen.line.split()[1]
        return answer("404 Not Found", '{"detail": "none of that name"}', **JSON) if path in missing else echo(seen)

    with scripted(reply) as server:
        code, lines, err = get(f"{server.url}/{{1..3}}", "--failed", "failed.jsonl")
        assert (code, len(lines)) == (1, 2)
        text = f'StatusError: 404 Not Found: GET {server.url}/2: {{"detail": "none of that name"}}'
        failed = json.loads((here / "failed.jsonl").read_text())
        assert failed == {"input": f"{server.url}/2", "error": text, "attempts": 1}
        assert "2 ok, 1 failed (1 404) in " in err
        assert f"first: {text} (row 2 of the URLs given)" in err
        missing.clear()
        assert get("failed.jsonl")[1] == [
            {"input": f"{server.url}/2", "value": {"method": "GET", "path": "/2", "body": ""}}
        ]


def test_connections_are_kept_and_no_more_are_opened_than_calls_may_be_in_flight(here: Path) -> None:
    with scripted(echo) as server:
        assert get(f"{server.url}/{{1..200}}", "-j", "5")[0] == 0
    assert len(server.seen) == 200
    assert server.connections <= 5


def test_a_timeout_fails_its_own_input(here: Path) -> None:
    with scripted(lambda seen: b"silent" if "/2 " in seen.line else echo(seen)) as server:
        code, lines, _ = get(f"{server.url}/{{1..3}}", "--timeout", "0.5")
    assert code == 1
    assert [line.get("error", "").partition(":")[0] for line in lines] == ["", "TimeoutError", ""]


# -- pages ----------------------------------------------------------------------------------------------------


def book(*, link: Callable[[int], dict[str, Any]], header: bool = False) -> Callable[[Seen], bytes]:
    """Answer pages of two things each; `link` says what the page with a number leads to."""

    def reply(seen: Seen) -> bytes:
        number = int(seen.line.split()[1].rpartition("=")[2])
        body: dict[str, Any] = {"data": {"things": [2 * number, {"n": 2 * number + 1}]}}
        return answer(body=json.dumps({**body, **({} if header else link(number))}), **(link(number) if header else {}))

    return reply


@pytest.mark.parametrize(
    "end", [{"page": {"next": None}}, {"page": {"next": ""}}, {"page": {}}, {}, {"page": {"next": False}}]
)
def test_pages_go_on_by_a_field_and_each_is_an_outcome(here: Path, end: dict[str, Any]) -> None:
    link = book(link=lambda n: {"page": {"next": f"?p={n + 1}"}} if n < 4 else end)
    with scripted(link) as server:
        code, lines, err = get(f"{server.url}/x?p=1", "--next", "page.next")
    assert (code, [line["input"] for line in lines]) == (0, [f"{server.url}/x?p={n}" for n in (1, 2, 3, 4)]), err
    assert "4 ok" in err


def test_pages_go_on_by_the_link_header_and_items_are_lines(here: Path) -> None:
    link = {
        1: '</x?p=0>; rel="prev", </x?p=2>; title="a, b"; rel="next last"',
        2: "</x?p=3>; rel=next",
        3: '</x?p=1>; rel="first"',
    }
    with scripted(book(link=lambda n: {"Link": link[n]}, header=True)) as server:
        code, out, _ = run("get", f"{server.url}/x?p=1", "--follow", "link", "--items", "data.things", "--values")
    assert (code, out.split()) == (0, ["2", '{"n":', "3}", "4", '{"n":', "5}", "6", '{"n":', "7}"])


def test_pages_end_where_they_go_round_or_are_too_many(here: Path) -> None:
    with scripted(book(link=lambda n: {"next": f"?p={n % 3 + 1}"})) as server:
        code, lines, _ = get(f"{server.url}/x?p=1", "--next", "next")
        assert (code, [line["input"][-1] for line in lines]) == (1, ["1", "2", "3", "3"])
        assert lines[2]["value"]["data"]["things"] == [6, {"n": 7}]  # the page that leads back is no less a page
        assert lines[3]["error"].startswith("BadAnswer: the pages go round: GET ")
        assert len(server.seen) == 3
        assert len(get(f"{server.url}/x?p=1", "--next", "next", "--max-pages", "2")[1]) == 2


def test_pages_that_go_round_are_written_once_with_a_journal_and_into_a_database(here: Path) -> None:
    with scripted(book(link=lambda n: {"cursor": n % 3 + 1})) as server:
        flags = [
            f"{server.url}/x?p=1",
            "--next",
            "cursor",
            "--next-param",
            "p",
            "-o",
            "sqlite:///out.db?table=outcomes",
            "--journal",
            "run.db",
        ]
        for _ in range(2):
            code, _, err = run("get", *flags, "--overwrite")
            assert (code, "3 ok" in err, "1 failed" in err) == (1, True, True), err
            assert len(server.seen) == 3
            with closing(sqlite3.connect(here / "out.db")) as database:
                rows = database.execute("SELECT input, error FROM outcomes ORDER BY input, error").fetchall()
            assert [(row[0][-2], row[1] is None) for row in rows] == [
                ("1", True),
                ("2", True),
                ("3", True),
                ("3", False),
            ]


def test_many_rows_have_pages_at_the_same_time_and_a_row_stays_its_own_input(here: Path) -> None:
    (here / "in.csv").write_text("id,n\n" + "".join(f"{n},{n * 10}\n" for n in range(30)))
    with scripted(book(link=lambda n: {"next": f"?p={n + 1}"} if n % 10 < 2 else {})) as server:
        code, lines, _ = get("in.csv", "--url", server.url + "/{id}?p={n}", "--next", "next", "--items", "data.things")
    assert code == 0
    assert len(lines) == 30 * 3 * 2
    mine = [line["value"] for line in lines if line["input"] == {"id": "7", "n": "70"}]
    assert mine == [140, {"n": 141}, 142, {"n": 143}, 144, {"n": 145}]


def test_a_next_page_that_cannot_be_followed_fails_after_its_page_is_given(here: Path) -> None:
    with scripted(book(link=lambda n: {"next": [7, "ftp://x/", "http://a:99999/"][n]})) as server:
        code, lines, _ = get(f"{server.url}/x?p={{0..2}}", "--next", "next")
    assert code == 1
    assert sorted(line["input"][-1] for line in lines if "value" in line) == ["0", "1", "2"]
    failed = sorted((line for line in lines if "error" in line), key=lambda line: str(line["input"]))
    assert [line["error"].partition(": GET")[0] for line in failed] == [
        "BadAnswer: 'next' is not the URL of a further page",
        "BadAnswer: the next page cannot be fetched: it has no http:// or https:// at its start",
        "BadAnswer: the next page is not a URL: invalid port number",
    ]


def test_secrets_do_not_follow_a_page_to_another_host(here: Path) -> None:
    with (
        scripted(book(link=lambda _: {})) as other,
        scripted(book(link=lambda _: {"next": f"{other.url}/x?p=9"})) as server,
    ):
        flags = [f"{server.url}/x?p=1", "--next", "next"]
        code, lines, _ = get(*flags, "--header-env", "X-Api-Key=TOKEN", env={"TOKEN": "SECRET"})
        assert (code, other.seen) == (1, [])
        assert "value" in lines[0]
        assert "where the headers given must not go" in lines[1]["error"]
        code, lines, _ = get(*flags, "--header", "Accept: application/json")
        assert (code, len(lines), len(other.seen)) == (0, 2, 1)


def test_an_answer_without_the_items_fails_its_own_input(here: Path) -> None:
    bodies = {"/a": '{"items": [1]}', "/b": '{"items": 7}', "/c": "[]", "/d": '{"items": []}'}
    with scripted(lambda seen: answer(body=bodies[seen.line.split()[1]])) as server:
        code, lines, err = get(server.url + "/{a,b,c,d}", "--items", "items")
    assert code == 1
    assert lines[0] == {"input": f"{server.url}/a", "value": 1}
    assert [line["error"].partition(": GET")[0] for line in lines[1:]] == [
        "BadAnswer: the answer has no list 'items'"
    ] * 2
    assert "2 ok (1 item), 2 failed" in err


# -- journal --------------------------------------------------------------------------------------------------


def test_a_run_with_a_journal_asks_only_for_what_is_missing(here: Path) -> None:
    broken = {"/3"}

    def reply(seen: Seen) -> bytes:
        return answer("500 Internal Server Error") if seen.line.split()[1] in broken else echo(seen)

    with scripted(reply) as server:
        flags = [f"{server.url}/{{1..5}}", "--journal", "run.db", "--header-env", "Authorization=TOKEN"]
        assert get(*flags, env={"TOKEN": "SECRET"})[0] == 1
        broken.clear()
        server.seen.clear()
        code, lines, err = get(*flags, env={"TOKEN": "OTHER-SECRET"})
        assert (code, paths(server)) == (0, ["/3"]), err
        assert [line["value"]["path"] for line in lines] == ["/1", "/2", "/3", "/4", "/5"]
        code, _, err = get(f"{server.url}/{{1..5}}", "--as", "text", "--journal", "run.db")
        assert code == 4
        assert err.startswith("error: get() is bound to other arguments than when run.db was written")
    assert not [path.name for path in here.iterdir() if b"SECRET" in path.read_bytes()]


@pytest.mark.parametrize("rows", ["URLs", "fields"])
def test_a_run_over_pages_that_was_killed_goes_on_after_the_last_page_it_has(here: Path, rows: str) -> None:
    last, at_once = 12, 3
    half = threading.Event()

    def reply(seen: Seen) -> bytes:
        name, _, page = seen.line.split()[1].partition("?page=")
        if len(server.seen) == at_once * last // 2:
            half.set()
        following = f"{name}?page={int(page or 1) + 1}" if int(page or 1) < last else None
        return answer(body=json.dumps({"next": following, "items": [f"{name} {page or 1}"]}), **JSON)

    with scripted(reply) as server:
        (here / "in.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n{"id": "c"}\n')
        given = [f"{server.url}/{{a,b,c}}"] if rows == "URLs" else ["in.jsonl", "--url", server.url + "/{id}"]
        flags = ["--next", "next", "--items", "items", "--values", "-o", "out.jsonl", "--journal", "run.db"]
        with subprocess.Popen([*WHILST, "get", *given, *flags, "--commit", "strict"]) as killed:
            assert half.wait(50)
            killed.kill()
        code, _, err = run("resume", "run.db")
        asked = Counter(paths(server))
    assert code == 0, err
    assert len(asked) == at_once * last
    assert sum(asked.values()) - len(asked) <= at_once  # those that were in flight, once more
    written = [json.loads(line) for line in (here / "out.jsonl").read_text().splitlines()]
    assert sorted(written) == sorted(f"/{name} {page}" for name in "abc" for page in range(1, last + 1))


def test_more_pages_may_be_asked_for_when_a_run_goes_on(here: Path) -> None:
    def reply(seen: Seen) -> bytes:
        page = int(seen.line.split()[1].removeprefix("/"))
        return answer(body="[]", **JSON, Link=f'</{page + 1}>; rel="next"')

    with scripted(reply) as server:
        flags = [f"{server.url}/1", "--follow", "link", "--journal", "run.db"]
        assert len(get(*flags, "--max-pages", "2")[1]) == 2
        code, lines, err = get(*flags, "--max-pages", "4")
        assert (code, [line["input"] for line in lines]) == (0, [f"{server.url}/{page}" for page in (1, 2, 3, 4)]), err
        assert paths(server) == ["/1", "/2", "/3", "/4"]
        code, _, err = get(f"{server.url}/1", "--journal", "run.db")
        assert (code, "is bound to other arguments" in err) == (4, True)


# -- messages -------------------------------------------------------------------------------------------------

SECRET = "s3cret-value"
REFUSED: list[tuple[list[str], list[str]]] = [
    (["htps://example.com/a"], ["htps: is not a scheme of a URL", "try: https://example.com/a"]),
    (["https:/example.com/a"], ["it has no http:// or https:// at its start"]),
    (["example.com/a?key=s3cret-value"], ["there is no file example.com/a", "try: https://example.com/a"]),
    (["http://a:99999/"], ["http://a:99999/ cannot be fetched: it is not a URL: invalid port number"]),
    (["http://a/{1..x}"], ["{1..x} is neither a range nor a list"]),
    (["http://a/{id}"], ["{id} is neither a range nor a list", "--url '…/{id}'"]),
    (["http://a/{1..3"], ["the braces of http://a/{1..3 do not match"]),
    (["http://a/{1..9..0}"], ["a step of 0"]),
    (["http://a/", "in.txt"], ["URLs and a FILE cannot be given together", "in.txt is not a URL"]),
    (["in.txt", "more.txt"], ["one FILE at a time"]),
    (["nosuch.txt"], ["nosuch.txt cannot be read: No such file or directory", "try: in.txt"]),
    (["http://a/", "--url", "http://b/{}"], ["--url is for the rows of a FILE"]),
    (["two.csv"], ["it is not clear how to make a URL from a row", "the fields id, n", "--url 'https://…/{id}'"]),
    (["two.csv", "--url", "http://a/{idd}"], ["has no field 'idd'", "its fields are id, n", "{id} instead of {idd}"]),
    (["two.csv", "--url", "example.com/{id}"], ["it has no http:// or https://"]),
    (["http://a/", "--method", "X Y"], ["is not an HTTP method", "--method PROPFIND"]),
    (["in.txt", "--body-field", "a", "--json-field", "b"], ["both make the body"]),
    (["in.txt", "--json-field", "b", "--method", "GET"], ["a GET has no body"]),
    (["http://a/", "--next", "a", "--follow", "link"], ["both say where the next page is"]),
    (["http://a/", "--max-pages", "3"], ["--max-pages needs --next or --follow, which say where the next page is"]),
    (["http://a/", "--items", "a", "--as", "text"], ["--items reads JSON"]),
    ([f"http://me:{SECRET}@a/"], ["a user and a password must not be an argument", "--header-env"]),
    (
        ["http://a/", "--header", f"Authorization: Bearer {SECRET}"],
        ["--header Authorization", "--header-env Authorization="],
    ),
    (["http://a/", "--header", f"x-api-key:{SECRET}"], ["--header x-api-key", "--header-env x-api-key=X_API_KEY"]),
    (["http://a/", "--header", f"Cookie: a={SECRET}"], ["--header Cookie"]),
    (["http://a/", "--header", SECRET], ["a --header must be a name, a colon and a value"]),
    (
        ["http://a/", "--header-env", f"Authorization=Bearer {SECRET}"],
        ["no variable has that name", "export API_TOKEN=…"],
    ),
    (
        ["http://a/", "--header-env", "Authorization=GET_TOKN"],
        ["GET_TOKN is not set", "try: --header-env Authorization=GET_TOKEN"],
    ),
    (["http://a/", "--header-env", "Authorization"], ["--header-env is NAME=VARIABLE"]),
    (["http://a/", "--header-file", "Authorization=nosuch"], ["cannot be read: No such file or directory"]),
    (["http://a/", "--header-file", "Authorization=empty"], ["is empty"]),
    (["http://a/", "--header-file", "Authorization=two-lines"], ["contains a line end"]),
    (["http://a/", "--header", "A: 1", "--header", "a: 2"], ["the header a is given twice"]),
    (["http://a/", "--retrry", "3"], ["whilst get has no option --retrry", "try: whilst get --retry"]),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=lambda it: " ".join(it)[:60])
def test_what_cannot_be_meant_is_said_before_anything_is_asked(
    here: Path,
    arguments: list[str],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GET_TOKEN", SECRET)
    (here / "in.txt").write_text("http://a/\n")
    (here / "two.csv").write_text("id,n\n1,2\n")
    (here / "empty").write_text("\n")
    (here / "two-lines").write_text(f"{SECRET}\n{SECRET}\n")
    code = run_here(["get", *arguments])
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert [it for it in words if it not in err] == [], err
    assert SECRET not in err


def test_no_secret_is_in_any_output(here: Path) -> None:
    canaries = [f"canary-{number:02d}-{'y' * (number % 7)}" for number in range(50)]
    (here / "env").mkdir()

    def reply(seen: Seen) -> bytes:
        if "/ok" in seen.line:
            return answer(body="1", Set_Cookie=canaries[0])
        if "/away" in seen.line:
            return answer("302 Found", Location="http://127.0.0.1:9/")
        return answer("403 Forbidden", json.dumps({"line": seen.line, "headers": seen.headers}), **JSON)

    env = {f"TOKEN_{number}": canary for number, canary in enumerate(canaries)}
    flags: list[str] = []
    for number, canary in enumerate(canaries):
        if number % 2:
            (here / "env" / str(number)).write_text(canary)
            flags += ["--header-file", f"X-Secret-{number}=env/{number}"]
        else:
            flags += ["--header-env", f"X-Secret-{number}=TOKEN_{number}"]
    with scripted(reply) as server:
        urls = [f"{server.url}/{{ok,no,away}}", "http://127.0.0.1:9/"]
        shown = [
            *run("get", *urls, *flags, env=env)[1:],
            *run("get", *urls, *flags, "--failed", "failed.jsonl", "-o", "out.csv", env=env)[1:],
            *run("get", *urls, *flags, "--values", "--journal", "run.db", env=env)[1:],
            *run("get", *urls, *flags, "--dry-run", "9", env=env)[1:],
            *run("status", "run.db", env=env)[1:],
            *run("export", "run.db", env=env)[1:],
        ]
    assert {seen.headers["x-secret-7"] for seen in server.seen} == {canaries[7]}
    written = [path.read_bytes().decode("latin-1") for path in here.iterdir() if path.is_file()]
    assert len(written) >= 3
    assert [canary for canary in canaries if canary in "\n".join([*shown, *written])] == []


def test_what_a_row_itself_hides_is_not_in_the_messages_about_it(here: Path) -> None:
    port = "http://me:hidden-password@127.0.0.1:9/a?api_key=hidden-key"
    code, lines, err = get(stdin=port + "\n")
    assert (code, lines[0]["input"]) == (1, port)  # an input is written as it came
    assert "hidden" not in lines[0]["error"] + err


# -- how many calls are left ----------------------------------------------------------------------------------


class Quota:
    """Permits so many requests in each second, says with each answer what is left, and refuses the rest."""

    def __init__(self, per_second: int, say: Callable[[int, float], dict[str, str]]) -> None:
        self.per_second, self.say = per_second, say
        self.answered: Counter[int] = Counter()
        self.refused = 0
        self._began = 0.0
        self._guard = threading.Lock()

    def __call__(self, seen: Seen) -> bytes:
        with self._guard:
            now = time.monotonic()
            self._began = self._began or now
            second = int(now - self._began)
            allowed = self.answered[second] < self.per_second
            self.answered[second] += allowed
            self.refused += not allowed
            left = self.say(self.per_second - self.answered[second], self._began + second + 1 - now)
        status = "200 OK" if allowed else "429 Too Many Requests"
        return answer(status, "1", **JSON, **left)


SAID: dict[str, Callable[[int, float], dict[str, str]]] = {
    "draft": lambda left, reset: {"RateLimit": f'"second";r={left};t={reset:.3f}'},
    "x": lambda left, reset: {"X_RateLimit_Remaining": f"{left}", "X_RateLimit_Reset": f"{reset:.3f}"},
}


@pytest.mark.parametrize("form", sorted(SAID))
def test_an_api_that_says_how_many_calls_are_left_refuses_none_and_gives_what_it_permits(here: Path, form: str) -> None:
    told: list[list[int]] = []
    while len(told) < 4:  # a machine that is busy with something else has several chances
        quota = Quota(100, SAID[form])
        with scripted(quota) as server:
            code, lines, err = get(f"{server.url}/{{1..350}}")
        assert (code, len(lines)) == (0, 350), err
        _, *whole, _ = quota.answered.values()  # the first may pass while the command is still loading
        if quota.refused == 0 and min(whole) >= 85:
            return
        told.append([quota.refused, *whole])
    raise AssertionError(told)


def test_get_json_tells_of_what_is_left_in_both_colours() -> None:
    for fetch in (whilst.http.get_json, whilst.http.aio.get_json):
        quota = Quota(100, SAID["draft"])
        with scripted(quota) as server:
            assert whilst.map(fetch, [f"{server.url}/{number}" for number in range(150)]).list() == [1] * 150
        assert quota.refused == 0
