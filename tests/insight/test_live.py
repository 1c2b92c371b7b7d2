"""The live page answers this machine only, tells nothing without its cookie, and shows the run as it goes on."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
from chromium import Browser, browser
from recordings import recording

import whilst
from whilst.insight import answering
from whilst.insight.live import LAST, Live
from whilst.insight.recorded import Beginning

from installed import program  # isort: skip - `recordings` says where it is


@pytest.fixture
def watch() -> Iterator[whilst.Watch]:
    with whilst.watch(quiet=True) as found:
        yield found


def asked(watch: whilst.Watch, path: str = "", *, method: str = "GET", **headers: str) -> tuple[int, str, Any]:
    """Ask for a path behind the one that cannot be guessed; status, body, headers."""
    url = urlsplit(watch.url)
    assert url.port is not None
    connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=10)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path if path.startswith("/") else url.path + path, headers=given)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def entered(watch: whilst.Watch) -> str:
    """Use the token and return the cookie."""
    status, _, headers = asked(watch, "?" + urlsplit(watch.url).query)
    assert status == 200
    return str(headers["Set-Cookie"]).partition(";")[0]


def test_the_token_is_good_once_and_gives_a_cookie(watch: whilst.Watch) -> None:
    assert asked(watch)[0] == 403
    query = "?" + urlsplit(watch.url).query
    status, _, headers = asked(watch, query)
    assert status == 200
    for part in ("HttpOnly", "SameSite=Strict", f"Path={urlsplit(watch.url).path}"):
        assert part in headers["Set-Cookie"]
    assert asked(watch, query)[0] == 403, "whoever finds the address later gets nothing"
    cookie = headers["Set-Cookie"].partition(";")[0]
    status, text, headers = asked(watch, Cookie=cookie)
    assert status == 200
    assert "No run has begun" in text
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


def test_no_page_has_a_browser_ask_for_an_icon(watch: whilst.Watch) -> None:
    query = "?" + urlsplit(watch.url).query
    _, entry, headers = asked(watch, query)
    cookie = headers["Set-Cookie"].partition(";")[0]
    _, again, _ = asked(watch, query, Cookie=cookie)
    _, empty, _ = asked(watch, Cookie=cookie)
    whilst.map(str, [1], name="one").list()
    _, shown, _ = asked(watch, Cookie=cookie)
    for page in (entry, again, empty, shown):
        assert '<link rel="icon" href="data:,">' in page.partition("<body")[0]


def test_a_wrong_token_or_cookie_tells_nothing(watch: whilst.Watch) -> None:
    for query in ("?token=", "?token=x", "?token=" + "é" * 30, "?token=%00"):
        status, text, headers = asked(watch, query.encode("ascii", "ignore").decode() or "?token=x")
        assert status == 403
        assert "Set-Cookie" not in headers
        assert "run" not in text
    for path in ("", "events", "1/", "1/events"):
        assert asked(watch, path, Cookie="whilst=wrong; whilst=")[0] == 403
    assert asked(watch, "/")[0] == asked(watch, "/events")[0] == 404


def test_a_foreign_host_is_refused_even_with_the_cookie(watch: whilst.Watch) -> None:
    cookie, port = entered(watch), urlsplit(watch.url).port
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"127.0.0.1.evil.example:{port}",
        "",
    ):
        assert asked(watch, Cookie=cookie, Host=host)[0] == 421
    assert asked(watch, Cookie=cookie, Host=f"localhost:{port}")[0] == 200


def test_a_foreign_origin_is_refused(watch: whilst.Watch) -> None:
    cookie, port = entered(watch), urlsplit(watch.url).port
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", f"https://127.0.0.1:{port}"):
        assert asked(watch, "events", Cookie=cookie, Origin=origin)[0] == 403
    for site in ("cross-site", "same-site"):
        assert asked(watch, Cookie=cookie, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")[0] == 403
    assert asked(watch, Cookie=cookie, Origin=f"http://127.0.0.1:{port}")[0] == 200
    assert (
        asked(watch, Cookie=cookie, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document")[
            0
        ]
        == 200
    )


def test_nothing_can_be_changed(watch: whilst.Watch) -> None:
    cookie = entered(watch)
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"):
        assert asked(watch, Cookie=cookie, method=method)[0] == 501


def test_only_this_machine_is_listened_for(watch: whilst.Watch) -> None:
    assert watch._server.socket.getsockname()[0] == "127.0.0.1"
    token = urlsplit(watch.url).query.partition("=")[2]
    assert token not in repr(watch)


def test_paths_that_are_nonsense(watch: whilst.Watch) -> None:
    cookie = entered(watch)
    for path in ("x/", "../../etc/passwd", "1/2/", "99999999999999/", "-1/", "7/", "1/other", "%2e%2e/"):
        assert asked(watch, path, Cookie=cookie)[0] == 404


def test_who_opens_connections_and_says_nothing_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(answering, "MOST_AT_ONCE", 4)
    with whilst.watch(quiet=True) as watch:
        port = urlsplit(watch.url).port
        assert port is not None
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        for each in silent:
            each.close()
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            try:
                assert asked(watch)[0] == 403
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
        raise AssertionError("nobody is answered any more")


def test_a_run_is_shown_while_it_goes_on_and_after_it(watch: whilst.Watch) -> None:
    cookie, gate = entered(watch), threading.Event()

    def some_wait(number: int) -> int:
        if number == 250:
            gate.wait(30)
        if number % 50 == 3:
            raise ValueError("no <b>")
        return number

    def go() -> None:
        whilst.map(some_wait, range(300), concurrency=2, name="watched").outcomes().list()

    thread = threading.Thread(target=go)
    thread.start()
    try:
        found = news_until(watch, cookie, lambda said: said["columns"]["n"] >= 200)
        assert "watched" in found["sections"]["head"]
        assert "live" in found["sections"]["head"]
        assert "no &lt;b&gt;" in found["sections"]["failures"]
        assert "Where the time of the lanes went" in found["sections"]["account"]
    finally:
        gate.set()
        thread.join()
    found = news_until(watch, cookie, lambda said: said["columns"]["n"] == 300)
    found = news_until(watch, cookie, lambda said: 'id="state"' not in said["sections"]["head"])
    assert "<b>294</b> ok" in found["sections"]["head"]


def news_until(watch: whilst.Watch, cookie: str, is_enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    url = urlsplit(watch.url)
    connection = http.client.HTTPConnection("127.0.0.1", url.port or 0, timeout=20)
    connection.request("GET", url.path + "events", headers={"Cookie": cookie})
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    ends = time.monotonic() + 20
    try:
        while time.monotonic() < ends:
            line = answer.readline()
            if line.startswith(b"data: {"):
                said: dict[str, Any] = json.loads(line[6:])
                if is_enough(said):
                    return said
    finally:
        answer.close()
        connection.close()
    raise AssertionError("it did not come")


def test_several_runs_can_be_chosen_from(watch: whilst.Watch) -> None:
    cookie = entered(watch)
    for name in ("first", "second"):
        whilst.map(abs, range(10), name=name).list()
    latest = asked(watch, Cookie=cookie)[1]
    assert "<b>2. second</b>" in latest
    assert '<a href="1/">1. first</a>' in latest
    first = asked(watch, "1/", Cookie=cookie)[1]
    assert "<h1>first" in first
    assert '<a href="../2/">2. second</a>' in first


def test_runs_that_begin_after_it_was_closed_are_nobodys_business() -> None:
    from whilst.run import watchers

    watch = whilst.watch(quiet=True)
    watch.close()
    watch.close()
    assert watchers == {}
    assert repr(watch).endswith(", closed>")
    assert whilst.map(abs, [-1]).list() == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_child_maps_as_ever_and_is_not_watched(watch: whilst.Watch) -> None:
    code = (
        "import os, sys, whilst\n"
        "with whilst.watch(quiet=True) as watch:\n"
        "    whilst.map(abs, [-1]).list()\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os._exit(0 if whilst.map(abs, [-2]).list() == [2] else 1)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(watch._live._runs))\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout == "0 1\n", done.stderr


def test_a_port_can_be_chosen_and_one_that_is_taken_is_said_to_be(watch: whilst.Watch) -> None:
    port = urlsplit(watch.url).port
    assert port is not None
    with pytest.raises(OSError, match="in use"):
        whilst.watch(port=port, quiet=True)
    watch.close()
    with whilst.watch(port=port, quiet=True) as other:
        assert urlsplit(other.url).port == port


def test_a_loop_does_not_wait_for_who_looks_and_the_last_picture_comes_all_the_same(watch: whilst.Watch) -> None:
    whilst.map(abs, [-1]).list()
    cookie = entered(watch)
    port = urlsplit(watch.url).port
    connection = http.client.HTTPConnection("127.0.0.1", port or 0, timeout=20)
    with closing(connection):
        connection.request("GET", urlsplit(watch.url).path + "events", headers={"Cookie": cookie})
        answer = connection.getresponse()
        assert answer.readline().startswith(b"data: ")
        waits: list[Any] = []

        async def end() -> None:
            with mock.patch.object(threading.Thread, "join", waits.append):
                watch.close()

        asyncio.run(end())
        assert waits == []
        assert b"event: over" in answer.read()


def test_the_address_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with whilst.watch() as watch:
        assert capsys.readouterr().err == f"watch: {watch.url}\n"


def test_of_a_long_run_the_last_calls_are_shown_and_all_are_counted() -> None:
    live, recorded = Live(), recording(40_000)
    from whilst.core.summary import Summary
    from whilst.insight.chunks import Chunk, Columns

    run = live.begin(Beginning("long", 1.0), lambda: Summary("long", None, 40_000, 0, 0, 0, 1.0, 8))
    spans = recorded.spans
    for at in range(0, 40_000, 4000):
        part = slice(at, at + 4000)
        run.calls(Columns.of(spans.index[part], spans.started[part], spans.took[part]), Chunk(4000, 0.1, 1, 4000))
    _, said = live.news(None, None)
    found = json.loads(said or b"")
    assert LAST <= found["columns"]["n"] <= 1.5 * LAST
    assert found["about"]["from"] > 0
    assert "40,000</b> ok" in found["sections"]["head"]
    assert "Shown are the last" in found["sections"]["head"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser(program("chromium", "chromium")) as found:
        yield found


@pytest.mark.slow
def test_in_a_browser_it_draws_itself_anew(chromium: Browser) -> None:
    gate = threading.Event()

    def some_wait(number: int) -> int:
        if number == 400:
            gate.wait(60)
        return number

    with whilst.watch(quiet=True) as watch:
        shown = chromium.page()
        shown.open(watch.url)
        shown.until("document.querySelector('h1')?.textContent.includes('No run has begun')")
        assert "token" not in shown.run("location.href")
        run = whilst.map(some_wait, range(500), concurrency=2, name="alive")
        thread = threading.Thread(target=run.list)
        thread.start()
        try:
            shown.until("document.querySelector('h1').textContent.includes('alive')")
            shown.until("+document.documentElement.dataset.calls >= 390")
        finally:
            gate.set()
            thread.join()
        shown.until("document.documentElement.dataset.calls === '500'")
        other = chromium.page()
        other.open(watch.url)
        other.until("document.querySelector('h1')?.textContent.includes('alive')")  # by the cookie of the first
    shown.until("!document.getElementById('state') || document.getElementById('state').textContent !== 'live'")
    origin = watch.url.split("/", 3)[:3]
    assert all(url.startswith("/".join(origin)) for url in shown.requested), shown.requested
    assert shown.said == []


@pytest.mark.slow
def test_a_command_is_watched(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text("import time\ndef wait(x):\n    time.sleep(0.05)\n    return x\n")
    (tmp_path / "in.txt").write_text("x\n" * 2000)
    command = [sys.executable, "-m", "whilst", "map", "jobs.py:wait", "in.txt", "-j", "2", "-o", "out.jsonl", "--watch"]
    child = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "20"}
    )
    try:
        assert child.stderr is not None
        line = child.stderr.readline()
        found = re.fullmatch(r"watch: (http://127\.0\.0\.1:\d+/[\w-]+/\?token=[\w-]+)\n", line)
        assert found is not None, line
        url = urlsplit(found[1])
        connection = http.client.HTTPConnection("127.0.0.1", url.port or 0, timeout=10)
        connection.request("GET", f"{url.path}?{url.query}")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=20)
