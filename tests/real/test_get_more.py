"""`whilst get` in real life: empty answers, cursors, any method, sizes, files, certificates, proxies."""

from __future__ import annotations

import gzip
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyreqwest")

import commandkit
from httpkit import OTHER_CHARSETS, Seen, answer, scripted
from installed import program

from whilst.cli.room import Room, _of_groups, usable_memory
from whilst.cli.sizes import Size
from whilst.io.rows import Row

JSON = {"Content_Type": "application/json"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "https_proxy", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


def get(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> tuple[int, list[Any], str]:
    code, out, err = commandkit.run("get", *arguments, stdin=stdin.encode(), env=env)
    assert b"Traceback" not in err
    return code, [json.loads(line) for line in out.splitlines()], err.decode()


def echo(seen: Seen) -> bytes:
    method, path, _ = seen.line.split()
    return answer(body=json.dumps({"method": method, "path": path, "headers": seen.headers}), **JSON)


# -- what is asked, and what an answer is ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "data"),
    [
        (["--method", "DELETE"], answer("204 No Content")),
        (["--method", "DELETE"], answer("200 OK")),
        ([], answer("204 No Content")),
        ([], answer("205 Reset Content")),
        (
            ["--method", "HEAD"],
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n",
        ),
        (["--method", "PUT"], answer("201 Created")),
    ],
)
def test_an_empty_body_that_is_meant_is_null(here: Path, arguments: list[str], data: bytes) -> None:
    with scripted(lambda seen: data) as server:
        code, lines, err = get(server.url, *arguments)
    assert (code, [line["value"] for line in lines]) == (0, [None]), err


@pytest.mark.parametrize("form", ["json", "response"])
@pytest.mark.parametrize(("data", "charset"), OTHER_CHARSETS)
def test_json_in_another_charset_is_json(here: Path, form: str, data: bytes, charset: str) -> None:
    with scripted(lambda seen: answer(body=data, Content_Type=f"APPLICATION/JSON{charset}")) as server:
        code, lines, err = get(server.url, "--as", form)
    assert code == 0, err
    assert (lines[0]["value"] if form == "json" else lines[0]["value"]["body"]) == {"a": "é"}


def test_half_a_character_is_called_that(here: Path) -> None:
    with scripted(lambda seen: answer(body=rb'["\ud83d"]', **JSON)) as server:
        code, lines, _ = get(server.url)
    assert (code, "\\ud83d is half a character" in lines[0]["error"]) == (1, True)


def test_an_empty_body_where_json_was_meant_is_still_a_failure(here: Path) -> None:
    with scripted(lambda seen: answer()) as server:
        code, lines, _ = get(server.url)
    assert code == 1
    assert "the answer is not JSON" in lines[0]["error"]


@pytest.mark.parametrize("method", ["PROPFIND", "purge", "REPORT", "M-SEARCH", "options", "TRACE"])
def test_any_method_can_be_asked_by(here: Path, method: str) -> None:
    with scripted(echo) as server:
        code, lines, err = get(server.url, "--method", method)
    asked = "OPTIONS" if method == "options" else method
    assert (code, lines[0]["value"]["method"]) == (0, asked), err


def test_a_response_has_status_final_url_and_all_headers(here: Path) -> None:
    def reply(seen: Seen) -> bytes:
        if "/old" in seen.line:
            return answer("302 Found", Location="/new")
        head = b"HTTP/1.1 203 OK\r\nX-One: a\r\nX-One: b\r\nX-Odd: caf\xe9\r\nContent-Type: application/json\r\n"
        return head + b'Content-Length: 7\r\n\r\n{"a":1}'

    with scripted(reply) as server:
        with_login = server.url.replace("//", "//me:hidden@")
        code, lines, err = get("-", "--as", "response", stdin=f"{with_login}/old\n")
    value = lines[0]["value"]
    assert (code, value["status"], value["url"], value["body"]) == (0, 203, f"{server.url}/new", {"a": 1}), err
    assert value["headers"] == {"x-one": "a, b", "content-type": "application/json", "content-length": "7"}


def test_a_response_of_text_or_nothing_has_that(here: Path) -> None:
    with scripted(lambda seen: answer(body="" if "/no" in seen.line else "né", Content_Type="text/plain")) as server:
        _, lines, _ = get(f"{server.url}/{{yes,no}}", "--as", "response")
    assert [line["value"]["body"] for line in lines] == ["né", None]


def test_a_body_has_one_content_type(here: Path) -> None:
    raw: list[bytes] = []
    (here / "in.jsonl").write_text('{"a":1}\n')
    with scripted(lambda seen: raw.append(seen.body) or echo(seen)) as server:  # type: ignore[func-returns-value]
        flags = ["--url", server.url, "--json-field", "a", "--header", "Content-Type: application/vnd.api+json"]
        code, lines, err = get("in.jsonl", *flags)
    assert (code, lines[0]["value"]["headers"]["content-type"]) == (0, "application/vnd.api+json"), err


def test_a_template_without_a_field_is_asked_about_first(here: Path) -> None:
    (here / "in.csv").write_text("id\n1\n2\n")
    with scripted(echo) as server:
        code, _, err = get("in.csv", "--url", f"{server.url}/all")
        assert code == 2
        assert f"every row of in.csv would ask for the same: GET {server.url}/all" in err
        assert "--yes" in err
        assert server.seen == []
        assert get("in.csv", "--url", f"{server.url}/all", "--yes")[0] == 0
        assert len(server.seen) == 2
        assert get("in.csv", "--url", f"{server.url}/all", "--json-field", "id")[0] == 0


# -- pages ---------------------------------------------------------------------------------------------------------


def pages(count: int, **more: Any) -> Any:
    """Answer by a cursor: page n names cursor n + 1."""

    def reply(seen: Seen) -> bytes:
        path = seen.line.split()[1]
        number = int(path.partition("cursor=")[2].partition("&")[0] or 0)
        told = {"items": [number], "meta": {"cursor": number + 1 if number + 1 < count else None}}
        return answer(body=json.dumps({**told, **{name: value(number) for name, value in more.items()}}), **JSON)

    return reply


def test_pages_go_on_by_a_cursor(here: Path) -> None:
    with scripted(pages(4)) as server:
        url = f"{server.url}/a?limit=5"
        code, lines, err = get(url, "--next", "meta.cursor", "--next-param", "cursor", "--items", "items")
    assert (code, [line["value"] for line in lines]) == (0, [0, 1, 2, 3]), err
    assert [seen.line.split()[1] for seen in server.seen] == [
        "/a?limit=5",
        *(f"/a?limit=5&cursor={number}" for number in (1, 2, 3)),
    ]


@pytest.mark.parametrize("word", ["false", "False"])
def test_pages_end_where_a_field_says_so(here: Path, word: str) -> None:
    endless = pages(10**9, has_more=lambda number: number < 2)
    with scripted(endless) as server:
        flags = ["--next", "meta.cursor", "--next-param", "cursor", "--until", f"has_more={word}", "--items", "items"]
        code, lines, err = get(server.url, *flags)
    assert (code, [line["value"] for line in lines]) == (0, [0, 1, 2]), err


def test_items_are_counted_over_pages_too(here: Path) -> None:
    def reply(seen: Seen) -> bytes:
        return answer(body='{"items":[1,2,3],"next":%s}' % ("null" if "/2" in seen.line else '"/2"'), **JSON)

    with scripted(reply) as server:
        code, lines, err = get(server.url, "--next", "next", "--items", "items", "--summary", "end.json")
    assert (code, len(lines)) == (0, 6)
    assert err.startswith("done: 2 ok (6 items) in ")
    assert json.loads(Path("end.json").read_text())["items"] == 6


def test_an_answer_that_is_a_list_has_its_elements_as_items(here: Path) -> None:
    def reply(seen: Seen) -> bytes:
        link = {} if "/2" in seen.line else {"Link": '</2>; rel="next"'}
        return answer(body="[1,[2]]", **JSON, **link)

    with scripted(reply) as server:
        code, lines, err = get(server.url, "--follow", "link", "--items", ".")
    assert (code, [line["value"] for line in lines]) == (0, [1, [2], 1, [2]]), err


@pytest.mark.parametrize(
    ("items", "said"),
    [("itms", "has no list 'itms' (is it items?)"), (".", "is no list"), ("items.a", "has no list 'items.a'")],
)
def test_items_that_are_none_say_what_was_likely_meant(here: Path, items: str, said: str) -> None:
    with scripted(lambda seen: answer(body='{"items":[1]}', **JSON)) as server:
        code, lines, _ = get(server.url, "--items", items)
    assert (code, lines[0]["error"]) == (1, f"BadAnswer: the answer {said}: GET {server.url}/")


@pytest.mark.parametrize("form", ["link", "field"])
def test_a_last_page_that_names_itself_is_the_end_and_kept(here: Path, form: str) -> None:
    def reply(seen: Seen) -> bytes:
        path = seen.line.split()[1]
        number = min(int(path.rpartition("/")[2]) + 1, 3)
        link = {"Link": f'<http://x/>; rel="prev", </{number}>; rel="next"'} if form == "link" else {}
        return answer(body=json.dumps({"page": path, "next": f"/{number}"}), **JSON, **link)

    with scripted(reply) as server:
        code, lines, err = get(f"{server.url}/1", *(["--follow", "link"] if form == "link" else ["--next", "next"]))
    assert (code, [line["value"]["page"] for line in lines]) == (0, ["/1", "/2", "/3"]), err


def test_several_link_headers_are_one(here: Path) -> None:
    def reply(seen: Seen) -> bytes:
        if "/2" in seen.line:
            return answer(body="2", **JSON)
        links = b'Link: </0>; rel="prev"\r\nLink: </2>; rel="next"\r\n'
        return b"HTTP/1.1 200 OK\r\n" + links + b"Content-Length: 1\r\n\r\n1"

    with scripted(reply) as server:
        code, lines, err = get(f"{server.url}/1", "--follow", "link")
    assert (code, [line["value"] for line in lines]) == (0, [1, 2]), err


def test_a_next_that_names_nothing_on_the_first_page_is_an_error_with_the_likely_name(here: Path) -> None:
    with scripted(lambda seen: answer(body='{"meta":{"cursor":null}}', **JSON)) as server:
        code, lines, _ = get(server.url, "--next", "meta.curser", "--next-param", "c")
        assert code == 1
        assert "the first page has no field 'meta.curser', which --next names (is it meta.cursor?)" in lines[0]["error"]
        code, lines, _ = get(server.url, "--next", "meta.cursor", "--next-param", "c", "--until", "more=false")
        assert "no field 'more', which --until names" in lines[0]["error"]
        assert get(server.url, "--next", "meta.cursor", "--next-param", "c")[0] == 0


# -- how large -----------------------------------------------------------------------------------------------------


def test_an_answer_that_is_too_large_names_the_flag_and_is_not_retried(here: Path) -> None:
    bomb = gzip.compress(b"[" + b" " * 5_000_000 + b"]")
    with scripted(lambda seen: answer(body=bomb, Content_Encoding="gzip", **JSON)) as server:
        code, lines, _ = get(server.url, "--max-size", "1MiB", "--retry", "3")
        assert code == 1
        assert lines[0]["error"].startswith("SizeExceeded: the answer is larger than the 1 MiB of --max-size: GET http")
        assert lines[0]["attempts"] == len(server.seen) == 1
        assert get(server.url, "--max-size", "5m")[1][0]["value"] == []
        assert "of --max-memory:" in get(server.url, "--max-memory", "1MiB")[1][0]["error"]


@pytest.mark.parametrize("order", ["--ordered", "--unordered"])
def test_all_answers_together_wait_for_room_and_none_is_lost(here: Path, order: str) -> None:
    body = json.dumps("x" * 1_500_000)
    with scripted(lambda seen: answer(body=body, **JSON)) as server:
        flags = ["--max-memory", "4MiB", order, "-j", "16", "--values"]
        code, lines, err = get(f"{server.url}/{{1..40}}", *flags)
    assert (code, len(lines), set(map(len, lines))) == (0, 40, {1_500_000}), err


PEAK = """
import resource, sys
from whilst.cli.main import run
code = run(sys.argv[1:])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""


@pytest.mark.parametrize("flags", [[], ["--values"], ["--as", "text"], ["-o", "out.csv"]])
def test_an_answer_takes_three_times_its_size_at_most(here: Path, flags: list[str]) -> None:
    size = 60 << 20
    bodies = [answer(body="1", **JSON), answer(body=b'"%b"' % (b"x" * size), **JSON)]
    peaks: list[int] = []
    for body in bodies:
        with scripted(lambda seen, body=body: body) as server:
            command = [sys.executable, "-c", PEAK, "get", server.url, "-o", "out.jsonl", "--overwrite", "-q", *flags]
            done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
        code, peak = done.stderr.split()
        assert code == "0"
        peaks.append(int(peak))
    assert peaks[1] - peaks[0] <= 3.2 * size / (1 << 20)  # 2.1 of JSON, 3.1 of text and of CSV


def test_room_is_given_to_the_oldest_and_to_others_when_there_is_some() -> None:
    import asyncio

    async def main() -> None:
        room, rows = Room(100, 80), [Row(line, line, b"") for line in range(1, 5)]
        await room.grow(rows[2], 90)
        waiting = [asyncio.ensure_future(room.grow(row, 60)) for row in (rows[3], rows[1])]
        await asyncio.sleep(0)
        assert [it.done() for it in waiting] == [False, True]  # the oldest of those that have a large answer may
        await room.grow(rows[0], 70)  # and so may an older one
        for row in (rows[0], rows[1]):
            room.written(row)
            await asyncio.sleep(0.01)
            assert not waiting[0].done()
        room.drop(rows[2])  # it failed
        await asyncio.wait_for(waiting[0], 10)
        room.written(rows[3])
        await asyncio.sleep(0.01)
        assert not room.is_holding

    asyncio.run(main())


def test_what_a_process_may_use_is_the_least_of_what_limits_it(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "memory.max").write_text("1000\n")
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n")
    assert _of_groups(str(tmp_path), str(tmp_path / "cgroup")) == [1000]
    (tmp_path / "cgroup").write_text("4:cpu,memory:/c\n1:name=systemd:/\n")
    (tmp_path / "memory" / "c").mkdir(parents=True)
    (tmp_path / "memory" / "c" / "memory.limit_in_bytes").write_text("2000\n")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert _of_groups(str(tmp_path), str(tmp_path / "cgroup")) == [2000]
    assert usable_memory() > 1 << 20


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MiB", 64 << 20), ("64m", 64 << 20), ("1.5G", 3 << 29), ("500k", 500 << 10), ("7", 7), ("7b", 7)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


# -- files ---------------------------------------------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def body_of(seen: Seen) -> bytes:
    return answer(body=seen.line.split()[1].encode() * 1000, Content_Type="image/png")


def test_answers_are_saved_under_the_name_of_their_url(here: Path) -> None:
    (here / "out").mkdir()
    with scripted(body_of) as server:
        code, lines, err = get(f"{server.url}/a/{{1..3}}.png?x=1", "--save", "out/{name}")
    assert code == 0, err
    assert lines[0]["value"] == {"file": "out/1.png", "bytes": 12_000, "type": "image/png"}
    assert files(here / "out") == {f"{number}.png": f"/a/{number}.png?x=1".encode() * 1000 for number in (1, 2, 3)}
    assert stat.S_IMODE((here / "out" / "1.png").stat().st_mode) == 0o666 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_rows_and_folders_name_files_too_and_a_packed_body_is_unpacked(here: Path) -> None:
    (here / "in.csv").write_text("id,kind\n1,cat\n2,dog\n")
    with scripted(lambda seen: answer(body=gzip.compress(b"abc"), Content_Encoding="gzip")) as server:
        code, _, err = get("in.csv", "--url", f"{server.url}/{{id}}", "--save", "{kind}/{line}-{id}.bin")
    assert code == 0, err
    assert files(here) == {"in.csv": (here / "in.csv").read_bytes(), "cat/2-1.bin": b"abc", "dog/3-2.bin": b"abc"}


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", "..", "", ".", "a\0b", "x" * 300])
def test_no_file_is_outside_the_directory(here: Path, name: str) -> None:
    (here / "out").mkdir()
    (here / "in.jsonl").write_text(json.dumps({"u": 1, "n": name}) + "\n")
    with scripted(body_of) as server:
        code, lines, _ = get("in.jsonl", "--url", f"{server.url}/{{u}}", "--save", "out/{n}")
    assert code == 1
    assert "file" in lines[0]["error"]
    assert files(here).keys() == {"in.jsonl"}


@pytest.mark.parametrize("path", ["%2e%2e", "..%2fx", "a%2fb", "a/", "%00"])
def test_no_url_names_a_file_outside_the_directory(here: Path, path: str) -> None:
    (here / "out").mkdir()
    with scripted(body_of) as server:
        code, _, _ = get(f"{server.url}/{path}", "--save", "out/{name}")
    assert code == 1
    assert files(here) == {}


@pytest.mark.parametrize("plant", ["name", "folder"])
def test_no_link_is_followed(here: Path, plant: str) -> None:
    (here / "out").mkdir()
    (here / "precious").mkdir()
    (here / "precious" / "1").write_bytes(b"precious")
    if plant == "name":
        (here / "out" / "1").symlink_to(here / "precious" / "1")
    else:
        (here / "out" / "sub").symlink_to(here / "precious")
    template = "out/{name}" if plant == "name" else "out/{kind}/{id}"
    (here / "in.csv").write_text("id,kind\n1,sub\n")
    with scripted(body_of) as server:
        code, _, err = get("in.csv", "--url", f"{server.url}/{{id}}", "--save", template)
        assert code == 1, err
        get("in.csv", "--url", f"{server.url}/{{id}}", "--save", template, "--overwrite")
    assert (here / "precious" / "1").read_bytes() == b"precious"
    assert not list(here.rglob("*.part"))


def test_a_file_that_is_there_is_not_replaced_unless_it_is_the_same(here: Path) -> None:
    (here / "1").write_bytes(b"mine")
    with scripted(body_of) as server:
        code, lines, _ = get(f"{server.url}/1", "--save", "{name}")
        assert (code, (here / "1").read_bytes()) == (1, b"mine")
        assert "1 exists and is not replaced (--overwrite)" in lines[0]["error"]
        assert get(f"{server.url}/1", "--save", "{name}", "--overwrite")[0] == 0
        assert get(f"{server.url}/1", "--save", "{name}")[0] == 0  # a run that was killed goes on
    assert files(here) == {"1": b"/1" * 1000}


def test_two_answers_of_one_run_never_share_a_name(here: Path) -> None:
    def reply(seen: Seen) -> bytes:
        return answer(body=seen.line.split()[1].encode())

    (here / "x").write_bytes(b"of an earlier run")
    with scripted(reply) as server:
        for more in (["--overwrite"], ["--overwrite"], []):
            urls = [f"{server.url}/{it}/x" for it in "ab"]
            code, lines, _ = get(*urls, "--save", "{name}", "-j", "1", *more)
            assert (code, (here / "x").read_bytes()) == (1, b"/a/x")
            assert [it.get("error", "") for it in lines if "error" in it] == [
                "BadAnswer: x is another answer of this run (--save '…{line}' tells them apart)"
            ]
        same = f"{server.url}/a/x"
        assert get(same, same, "--save", "{name}", "--overwrite")[0] == 0
    assert files(here) == {"x": b"/a/x"}


def test_a_body_that_breaks_off_leaves_no_file_and_is_tried_again(here: Path) -> None:
    def reply(seen: Seen) -> bytes:
        return answer(body=b"x" * 50_000, length=100_000 if len(server.seen) < 3 else 50_000)

    with scripted(reply) as server:
        code, lines, err = get(f"{server.url}/1", "--save", "{name}", "--retry", "5")
        assert (code, lines[0].get("attempts", 3)) == (0, 3), err
        assert files(here) == {"1": b"x" * 50_000}
        (here / "1").unlink()
        assert get(f"{server.url}/1?{'x' * 10}", "--save", "{name}", "--max-size", "10k")[0] == 1
    assert files(here) == {}


def test_what_is_saved_has_no_largest_size_and_takes_no_memory(here: Path) -> None:
    piece = b"x" * (1 << 20)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * len(piece)))
            for _ in range(100):
                connection.sendall(piece)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    code, lines, err = get(f"http://127.0.0.1:{listener.getsockname()[1]}/big", "--save", "{name}")
    thread.join(30)
    listener.close()
    assert (code, lines[0]["value"]["bytes"]) == (0, 100 << 20), err


# -- certificates and proxies ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Give the URL of a server with a certificate that an authority of our own signed, and that authority."""
    import ssl

    from httpkit import certificates

    folder = tmp_path_factory.mktemp("certificates")
    authority = certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "localhost.pem", folder / "localhost.key")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(65536)
                    connection.sendall(answer(body="1", **JSON))
            except OSError:
                plain.close()

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://localhost:{listener.getsockname()[1]}/", authority
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_an_authority_that_is_named_is_trusted(here: Path, certified: tuple[str, Path]) -> None:
    url, authority = certified
    code, lines, _ = get(url)
    assert (code, "CertificateError" in lines[0]["error"]) == (1, True)
    assert get(url, "--cacert", str(authority))[:2] == (0, [{"input": url, "value": 1}])
    assert get(url, env={"SSL_CERT_FILE": str(authority)})[0] == 0


def test_insecure_is_said_loudly(here: Path, certified: tuple[str, Path]) -> None:
    code, _, err = get(certified[0], "--insecure", "-q")
    assert code == 0
    assert err.startswith("warning: --insecure: no certificate is checked")


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["--cacert", "/nowhere.pem"], {}, "--cacert names /nowhere.pem, which cannot be read: No such file"),
        (
            ["--cacert", "in.txt"],
            {},
            "in.txt, which has no certificate in PEM form: no line is -----BEGIN CERTIFICATE----- try: openssl x509 ",
        ),
        (["--cacert", "in.txt", "--insecure"], {}, "--insecure accepts any certificate"),
        ([], {"SSL_CERT_FILE": "/nowhere.pem"}, "SSL_CERT_FILE names /nowhere.pem, which cannot be read"),
        ([], {"SSL_CERT_DIR": "/nowhere"}, "SSL_CERT_DIR names /nowhere, which is not a directory"),
        ([], {"HTTPS_PROXY": "htp://me:hidden@proxy"}, "HTTPS_PROXY is not a proxy: it begins with htp:"),
        ([], {"http_proxy": "foo bar"}, "http_proxy is not a proxy"),
        ([], {"all_proxy": "http://"}, "all_proxy is not a proxy"),
        (["--proxy", "ftp://x"], {}, "--proxy is not a proxy"),
        (["--proxy", "http://me:hidden@x"], {}, "must not be an argument"),
        (["--next", "a", "--until", "b"], {}, "--until b is not FIELD=VALUE"),
        (["--next-param", "b"], {}, "--next FIELD --next-param PARAM"),
        (["--until", "a=b"], {}, "--until needs --next"),
        (["--save", "x"], {}, "--save gives every answer the same name"),
        (["--save", "x-{name"], {}, "the braces of --save x-{name do not match"),
        (["--save", "{name}}"], {}, "the braces of --save {name}} do not match"),
        (["--save", "nowhere/{name}"], {}, "the directory of --save does not exist"),
        (["--save", "{name}/../x"], {}, "empty part, . or .."),
        (["--save", "{name}", "--as", "text"], {}, "--as text needs to read them"),
        (["--save", "{name}", "--items", "a"], {}, "--items needs to read them"),
        (["--save", "{name}", "--max-memory", "1G"], {}, "--max-memory is for answers in memory"),
        (["--max-size", "large"], {}, "is not a size"),
        (["--max-size", "0"], {}, "is not a size"),
        (["--method", "CONNECT"], {}, "is not an HTTP method"),
        (["--as", "response", "--items", "a"], {}, "--as is response"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_asked(
    here: Path, arguments: list[str], env: dict[str, str], words: str
) -> None:
    (here / "in.txt").write_text("http://127.0.0.1:9/\n")
    code, out, err = get("http://127.0.0.1:9/", *arguments, env=env)
    assert (code, out) == (2, []), err
    assert words in " ".join(err.split())
    assert "hidden" not in err


@pytest.mark.parametrize("how", ["flag", "variable", "no scheme"])
def test_a_proxy_is_asked_through_and_named_where_it_fails(here: Path, how: str) -> None:
    with scripted(echo) as proxy:
        place = proxy.url.removeprefix("http://")
        given = place if how == "no scheme" else proxy.url
        env = {} if how == "flag" else {"http_proxy": given}
        flags = ["--proxy", given] if how == "flag" else []
        code, lines, err = get("http://example.invalid/a", *flags, env=env)
        assert (code, lines[0]["value"]["path"]) == (0, "http://example.invalid/a"), err
    code, lines, err = get("http://example.invalid/a", *flags, env=env)
    name = "--proxy" if how == "flag" else "http_proxy"
    assert f"the proxy {place} ({name}) cannot be reached" in lines[0]["error"]


def test_a_proxy_that_is_no_host_is_named_not_the_host_that_was_asked(here: Path) -> None:
    _, lines, _ = get("http://127.0.0.1:9/a", env={"http_proxy": "http://me:hidden@proxy.invalid:1"})
    assert "the proxy proxy.invalid:1 (http_proxy) is not a host" in lines[0]["error"]
    assert "hidden" not in lines[0]["error"]


def test_a_server_that_shows_its_own_authority_says_how_to_make_one_that_works(here: Path) -> None:
    import ssl

    openssl = program("openssl", "openssl")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run(
        [
            openssl,
            "req",
            "-x509",
            *curve,
            "-keyout",
            "k.pem",
            "-out",
            "c.pem",
            "-addext",
            "subjectAltName=DNS:localhost",
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("c.pem", "k.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            try:
                context.wrap_socket(plain, server_side=True).close()
            except OSError:
                plain.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        _, lines, _ = get(f"https://localhost:{listener.getsockname()[1]}/", "--cacert", "c.pem")
        thread.join(10)
    assert "basicConstraints=critical,CA:FALSE" in lines[0]["error"]
