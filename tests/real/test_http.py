"""`whilst.http` against real servers: what comes back, what fails and how it says so, what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("pyreqwest")

from httpkit import OTHER_CHARSETS, Nginx, Seen, answer, free_port, nginx, scripted

import whilst
from whilst import http
from whilst.http import aio

JSON = {"Content_Type": "application/json"}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    documents = tmp_path_factory.mktemp("documents")
    documents.chmod(0o755)
    for parent in list(documents.parents)[:3]:  # nginx's workers are somebody else when the tests run as root
        if parent.stat().st_uid == os.getuid() and parent.name.startswith("pytest"):
            parent.chmod(0o755)
    for number in range(300):
        (documents / str(number)).write_text(json.dumps({"id": number}))
    with nginx(tmp_path_factory.mktemp("nginx"), documents) as running:
        yield running


def blocking(method: str, url: str, **given: Any) -> Any:
    return http.request(method, url, **given)


def awaited(method: str, url: str, **given: Any) -> Any:
    return asyncio.run(aio.request(method, url, **given))


both_colours = pytest.mark.parametrize("request_", [blocking, awaited])
Request = Callable[..., Any]


@both_colours
def test_an_answer_has_status_headers_body_and_where_it_came_from(request_: Request) -> None:
    with scripted(lambda _: answer(body='{"id": 7}', X_Count="3", **JSON)) as server:
        got = request_("GET", f"{server.url}/a?b=c")
    assert (got.status, got.headers["x-count"], got.body, got.json()) == (200, "3", b'{"id": 7}', {"id": 7})
    assert got.url == f"{server.url}/a?b=c"
    assert repr(got) == f"<Response 200 OK: GET {server.url}/a?b=…, 9 bytes>"


@both_colours
@pytest.mark.parametrize(("data", "charset"), OTHER_CHARSETS)
def test_json_in_another_charset_is_json(request_: Request, data: bytes, charset: str) -> None:
    with scripted(lambda _: answer(body=data, Content_Type=f"application/json{charset}")) as server:
        assert request_("GET", server.url).json() == {"a": "é"}


@pytest.mark.parametrize(
    "charset", ["", "; charset=utf-8", "; charset=utf-16", "; charset=nonsense", "; charset=ascii", "; charset=rot13"]
)
def test_json_that_is_not_in_its_charset_says_so(charset: str) -> None:
    wrong = answer(body=b'{"a":"\xe9"}', Content_Type=f"application/json{charset}")
    with scripted(lambda _: wrong) as server, pytest.raises(http.NotJSON, match="not JSON: invalid UTF-8 encoded"):
        http.get_json(server.url)


@both_colours
def test_a_body_is_json_form_text_or_bytes(request_: Request) -> None:
    with scripted(lambda seen: answer(body=seen.body, X_Type=seen.headers["content-type"])) as server:
        sent = [
            request_("POST", server.url, json={"id": 7}),
            request_("PUT", server.url, data={"q": "a b", "n": [1, 2]}),
            request_("POST", server.url, data="grüezi"),
            request_("POST", server.url, data=b"\x00", headers={"Content-Type": "image/x"}),
        ]
    assert [(it.headers["x-type"], it.body) for it in sent] == [
        ("application/json", b'{"id":7}'),
        ("application/x-www-form-urlencoded", b"q=a+b&n=1&n=2"),
        ("text/plain; charset=utf-8", "grüezi".encode()),
        ("image/x", b"\x00"),
    ]


NO_TEXT = ("rot13", "hex", "zlib", "undefined", "idna")  # codecs that are none of a charset


def test_text_is_read_by_the_charset_it_says_it_has() -> None:
    def reply(seen: Seen) -> bytes:
        charset = seen.line.split()[1][1:]
        return answer(
            body="é".encode("latin-1" if charset == "latin-1" else "utf-8"), Content_Type=f"a/b; charset={charset}"
        )

    with scripted(reply) as server:
        assert [http.get_text(f"{server.url}/{it}") for it in ("latin-1", "utf-8", "nosuch", *NO_TEXT)] == ["é"] * 8
        assert http.get_bytes(f"{server.url}/latin-1") == b"\xe9"


def test_both_colours_are_mapped_as_they_are(web: Nginx) -> None:
    urls = [f"{web.url}/{number}" for number in range(300)]
    for fn in (http.get_json, aio.get_json):
        assert [it["id"] for it in whilst.map(fn, urls, concurrency=20)] == list(range(300))


def test_one_pool_serves_all_threads_and_loops() -> None:
    with scripted(lambda _: answer(body="1", **JSON)) as server:
        for _ in range(5):
            http.get_json(server.url)
            asyncio.run(aio.get_json(server.url))
        thread = threading.Thread(target=http.get_json, args=(server.url,))
        thread.start()
        thread.join()
        assert server.connections == 2  # one a colour


def test_http_2_is_spoken_where_it_is_offered(web: Nginx) -> None:
    code = (
        "import sys; from whilst.http.clients import blocking_client as client; "
        "print(*(client().get(url).build().send().version for url in sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, f"{web.tls}/1", f"{web.url}/1"],
        capture_output=True, text=True, env={**os.environ, "SSL_CERT_FILE": str(web.authority)}, timeout=30,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["HTTP/2.0", "HTTP/1.1"], "")


# -- failures -------------------------------------------------------------------------------------------------


@both_colours
def test_a_status_that_is_not_2xx_raises_with_all_that_pushback_needs(request_: Request) -> None:
    with (
        scripted(
            lambda _: answer("429 Too Many Requests", '{"error": "slow down"}', Retry_After="7", **JSON)
        ) as server,
        pytest.raises(http.StatusError) as caught,
    ):
        request_("GET", f"{server.url}/a")
    error = caught.value
    assert (error.status, error.headers["Retry-After"], error.body) == (429, "7", '{"error": "slow down"}')
    assert str(error) == f'429 Too Many Requests: GET {server.url}/a: {{"error": "slow down"}}'
    assert whilst.transient(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status, copy.headers["retry-after"]) == (str(error), 429, "7")


def test_a_page_for_people_is_kept_out_of_the_message() -> None:
    page = answer("404 Not Found", "<html>…</html>", Content_Type="text/html")
    wanted = r"^404 Not Found: GET http://[\d.:]+/$"
    with scripted(lambda _: page) as server, pytest.raises(http.StatusError, match=wanted):
        http.get_json(f"{server.url}/")


FAULTS: list[tuple[bytes | None, type[http.HTTPError], type[Exception], str, bool]] = [
    (answer(body="abc", length=100), http.TruncatedError, ConnectionError, "broke in the middle of the body", True),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        http.TruncatedError, ConnectionError, "broke in the middle of the body", True,
    ),
    (None, http.ConnectError, ConnectionError, "broke the connection", True),
    (b"silent", http.RequestTimeout, TimeoutError, "no whole answer from", True),
    (b"hello\r\n\r\n", http.BadAnswer, ValueError, "does not answer as it should", False),
    (answer(body="abc", Content_Encoding="gzip"), http.BadAnswer, ValueError, "is not packed as its", False),
    (answer(body='{"id": ', **JSON), http.NotJSON, ValueError, "the answer is not JSON", False),
    (answer(body="[" * 100_000, **JSON), http.NotJSON, ValueError, "nested too deep", False),
    (answer("503 Service Unavailable"), http.StatusError, Exception, "503 Service Unavailable", True),
    (answer("302 Found", Location="/again"), http.TooManyRedirects, Exception, "10 redirects", False),
    (answer("302 Found", Location="ftp://x/"), http.BadAnswer, ValueError, "to a ftp URL", False),
]  # fmt: skip


@both_colours
@pytest.mark.parametrize("fault", FAULTS, ids=lambda it: it[3])
def test_what_the_other_side_does_becomes_the_right_error(request_: Request, fault: Any) -> None:
    data, ours, builtin, words, again = fault
    with scripted(lambda _: data) as server, pytest.raises(ours, match=words) as caught:
        request_("GET", f"{server.url}/x?key=SECRET", timeout=0.3 if data == b"silent" else 20).json()
    assert isinstance(caught.value, builtin)
    assert whilst.transient(caught.value) is again
    assert server.url.removeprefix("http://") in str(caught.value)
    assert "SECRET" not in "".join([str(caught.value), caught.value.url])
    assert "SECRET" not in repr(caught.value.__context__)  # the client's own error has the whole URL


@both_colours
def test_what_is_not_there_cannot_be_reached(request_: Request) -> None:
    port = free_port()
    with pytest.raises(http.ConnectError, match=rf"127.0.0.1:{port} cannot be reached: Connection refused") as caught:
        request_("GET", f"http://127.0.0.1:{port}/")
    assert whilst.transient(caught.value)
    with pytest.raises(
        http.UnknownHost, match=r"there is no host nosuch\.invalid: GET http://nosuch\.invalid/"
    ) as unknown:
        request_("GET", "http://nosuch.invalid/")
    assert not whilst.transient(unknown.value)


@both_colours
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "it is empty"),
        ("example.com/a", "relative URL without a base"),
        ("http://a:99999/", "invalid port number"),
        ("ftp://example.com/", "only http and https"),
    ],
)
def test_a_url_that_is_none_says_so(request_: Request, url: str, words: str) -> None:
    with pytest.raises(http.InvalidURL, match=words) as caught:
        request_("GET", url)
    assert isinstance(caught.value, ValueError)


def test_a_certificate_that_is_not_trusted_names_the_mend(web: Nginx) -> None:
    with pytest.raises(
        http.CertificateError, match=r"nobody known here signed it \(if you trust .*SSL_CERT_FILE="
    ) as caught:
        http.get_json(f"{web.tls}/1")
    assert not whilst.transient(caught.value)
    code = (
        "import sys; from whilst import http\n"
        "print(http.get_json(sys.argv[1])['id'])\n"
        "try: http.get_json(sys.argv[2])\n"
        "except http.CertificateError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, f"{web.tls}/1", f"{web.wrong_name}/1"],
        capture_output=True, text=True, env={**os.environ, "SSL_CERT_FILE": str(web.authority)}, timeout=30,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "1"
    assert "is not trusted: it is for other.example (ask for that host" in done.stdout


def test_arguments_that_cannot_be_meant_say_so_and_show_no_header_value() -> None:
    with pytest.raises(TypeError, match="url must be a string, got dict"):
        http.get_json({"url": "x"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="one body"):
        http.request("POST", "http://x/", json=1, data=b"")
    with pytest.raises(TypeError, match="data must be"):
        http.request("POST", "http://x/", data=7)  # type: ignore[arg-type]
    for timeout in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="timeout must be more than 0 seconds"):
            http.get_json("http://x/", timeout=timeout)
    for timeout in ("1", True):
        with pytest.raises(TypeError, match="timeout must be seconds"):
            http.get_json("http://x/", timeout=timeout)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a header cannot be sent") as caught:
        http.get_json("http://x/", headers={"Authorization": "SECRET\n"})
    assert "SECRET" not in str(caught.value)
    with pytest.raises(ValueError, match="the request cannot be sent: invalid HTTP method"):
        http.request("GE T", "http://x/")


# -- redirects ------------------------------------------------------------------------------------------------


@both_colours
def test_redirects_are_followed_and_credentials_stay_with_their_host(request_: Request) -> None:
    with scripted(lambda seen: answer(body=f"{seen.line} {'x-api-key' in seen.headers}")) as other:

        def reply(seen: Seen) -> bytes:
            path = seen.line.split()[1]
            if path == "/here":
                return answer("302 Found", Location="/there")
            if path == "/away":
                return answer("307 Temporary Redirect", Location=f"{other.url}/")
            return answer(body=f"{seen.line} {'x-api-key' in seen.headers}")

        with scripted(reply) as server:
            headers = {"X-Api-Key": "SECRET", "Accept": "text/plain"}
            near = request_("POST", f"{server.url}/here", headers=headers, data="x")
            far = request_("POST", f"{server.url}/away", headers=headers, data="x")
    assert (near.text, near.url) == ("GET /there HTTP/1.1 True", f"{server.url}/there")
    assert (far.text, far.url) == ("POST / HTTP/1.1 False", f"{other.url}/")
    assert other.seen[0].headers["accept"] == "text/plain"
    assert other.seen[0].body == b"x"


# -- ends -----------------------------------------------------------------------------------------------------


# -- connections that are kept, and closed without a word ---------------------------------------------------


@both_colours
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_kept_connection_that_turns_out_closed_is_replaced_once(request_: Request, method: str) -> None:
    def reply(seen: Seen) -> bytes | None:
        return None if len(server.seen) == 2 else answer(body="" if method == "HEAD" else "ok")

    with scripted(reply) as server:
        assert [request_(method, f"{server.url}/").status for _ in range(2)] == [200, 200]
        assert (len(server.seen), server.connections) == (3, 2)


@both_colours
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_must_not_be_asked_twice_is_not(request_: Request, method: str) -> None:
    with scripted(lambda _: None if len(server.seen) == 2 else answer()) as server:
        request_("GET", f"{server.url}/")
        with pytest.raises(http.ConnectError, match="broke the connection"):
            request_(method, f"{server.url}/")
        assert len(server.seen) == 2


@both_colours
def test_a_connection_that_was_not_kept_is_not_replaced(request_: Request) -> None:
    with scripted(lambda _: None if len(server.seen) > 1 else answer(Connection="close")) as server:
        request_("GET", f"{server.url}/")
        for count in (2, 3):
            with pytest.raises(http.ConnectError, match="broke the connection"):
                request_("GET", f"{server.url}/")
            assert len(server.seen) == count


@both_colours
def test_a_connection_in_place_of_a_kept_one_is_not_replaced_again(request_: Request) -> None:
    with scripted(lambda _: None if len(server.seen) > 1 else answer()) as server:
        request_("GET", f"{server.url}/")
        with pytest.raises(http.ConnectError, match="broke the connection"):
            request_("GET", f"{server.url}/")
        assert (len(server.seen), server.connections) == (3, 2)


@pytest.mark.parametrize("function", [http.get_text, aio.get_text])
def test_a_server_that_closes_after_each_answer_without_saying_so_fails_nobody(function: Callable[..., Any]) -> None:
    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.recv(65_536)
            connection.sendall(answer(body="ok"))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):  # what is on its way is not answered
                pass

    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        run = whilst.map(function, [f"http://127.0.0.1:{listener.getsockname()[1]}/"] * 400, concurrency=16)
        assert run.list() == ["ok"] * 400
        assert run.summary().retried == 0
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_cancelling_ends_the_request() -> None:
    async def main(url: str) -> None:
        task = asyncio.ensure_future(aio.get_json(url))
        while not server.seen:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with scripted(lambda _: b"silent") as server:  # whose thread ends when the connection does
        asyncio.run(asyncio.wait_for(main(server.url), 20))


def test_a_process_that_was_forked_says_what_to_do() -> None:
    code = """if True:
        import os, sys
        from whilst import http
        url = sys.argv[1]
        if "before" in sys.argv: http.get_json(url)
        pid = os.fork()
        if not pid:
            try: print(http.get_json(url), flush=True)
            except RuntimeError as error: print(error, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
    """
    with scripted(lambda _: answer(body="7", **JSON)) as server:
        for arguments, words in ([], "7\n"), (["before"], "whilst.http was used before this process was forked"):
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", code, server.url, *arguments],
                capture_output=True, text=True, timeout=30,
            )  # fmt: skip
            assert (done.stdout.startswith(words), done.stderr) == (True, ""), done


def test_an_exit_with_open_connections_says_nothing() -> None:
    code = (
        "import asyncio, sys; from whilst import http; "
        "http.get_json(sys.argv[1])\n"
        "with asyncio.Runner() as runner:\n"
        "    runner.get_loop().slow_callback_duration = 60\n"  # a busy machine is no fault
        "    runner.run(http.aio.get_json(sys.argv[1]))"
    )
    with scripted(lambda _: answer(body="7", **JSON)) as server:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", code, server.url], capture_output=True, timeout=30
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_program_may_end_right_after_an_answer() -> None:
    code = "import asyncio, sys; from whilst import http\nfor _ in '123': asyncio.run(http.aio.get_json(sys.argv[1]))"

    def ended(_: int) -> int:
        return subprocess.run(
            [sys.executable, "-c", code, server.url], stderr=subprocess.DEVNULL, timeout=30
        ).returncode

    with scripted(lambda _: answer(body="7", **JSON)) as server, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ended, range(32))) == [0] * 32  # without a pause at the end it was one in eight


def test_without_the_extra_the_message_names_it() -> None:
    code = (
        "import sys; sys.modules['pyreqwest'] = None\nimport whilst\n"
        "try: whilst.http\nexcept ModuleNotFoundError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "pip install 'whilst[http]'" in done.stdout, done


# -- secrets --------------------------------------------------------------------------------------------------


def test_no_secret_of_a_request_is_in_what_its_errors_show() -> None:
    canaries = [f"canary-{number:02d}-{'x' * (number % 7)}" for number in range(50)]

    def echo(seen: Seen) -> bytes:
        return answer("403 Forbidden", json.dumps({"line": seen.line, "headers": seen.headers}), **JSON)

    shown: list[str] = []
    with scripted(echo) as server:
        for number, canary in enumerate(canaries):
            url, headers = server.url, {}
            match number % 5:
                case 0:
                    url = f"{url}/?key={canary}"
                case 1:
                    url = url.replace("//", f"//me:{canary}@")
                case 2:
                    headers = {"Authorization": f"Bearer {canary}"}
                case 3:
                    headers = {"X-Api-Key": canary}
                case _:
                    url = f"{url}/?{canary}"
            for colour in (blocking, awaited):
                with pytest.raises(http.StatusError) as caught:
                    colour("GET", url, headers=headers)
                error = caught.value
                shown += [str(error), repr(error), error.url, error.body, repr(error.headers), repr(error.__dict__)]
            with pytest.raises(http.ConnectError) as refused:
                http.get_json(url.replace(server.url.rpartition(":")[2].partition("/")[0], str(free_port())))
            shown += [str(refused.value), repr(refused.value), refused.value.url]
    assert len(server.seen) == 100
    assert [canary for canary in canaries if canary in "\n".join(shown)] == []


# -- how large answers may be ----------------------------------------------------------------------------------


def packed(data: bytes, level: int = 9) -> bytes:
    """Pack without a time in it: names of tests are made of it."""
    return gzip.compress(data, level, mtime=0)


ZEROS = b"\0" * 5_000_000
BOMB = packed(ZEROS)


def chunked(*pieces: bytes, ends: bool = True, **headers: str) -> bytes:
    """Make an answer that does not say its size; without its end it breaks off."""
    lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body + (b"0\r\n\r\n" if ends else b"")


TOO_LARGE = [
    (answer(body=b"x" * 70_001), "has 70,001 bytes, more than the 70,000 bytes of max_size="),
    (answer(body=b"x" * 70_000, length=10**15), "has 931322.6 GiB, more than"),
    (chunked(b"x" * 70_001), "is larger than the 70,000 bytes of max_size="),
    (chunked(*[b"x" * 1000] * 71), "is larger than"),
    (answer(body=BOMB, Content_Encoding="gzip"), "is larger than"),
    (answer(body=packed(BOMB), Content_Encoding="gzip, gzip"), "is larger than"),
    (answer(body=zlib.compress(ZEROS), Content_Encoding="deflate"), "is larger than"),
    (answer(body=packed(b"x" * 69_999) + packed(b"yy"), Content_Encoding="gzip"), "is larger than"),
]


@pytest.mark.parametrize(("data", "words"), TOO_LARGE)
@both_colours
def test_an_answer_that_is_too_large_is_refused_and_not_retried(request_: Request, data: bytes, words: str) -> None:
    with scripted(lambda seen: data) as server, pytest.raises(whilst.SizeExceeded, match=re.escape(words)) as failed:
        request_("GET", f"{server.url}/?key=hidden", max_size=70_000)
    assert isinstance(failed.value, http.SizeExceeded)
    assert isinstance(failed.value, http.HTTPError)
    assert failed.value.url == f"{server.url}/?key=…"
    assert "hidden" not in str(failed.value)
    assert not whilst.transient(failed.value)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 70_000])
@pytest.mark.parametrize("form", ["plain", "chunked", "gzip", "members", "deflate", "raw"])
@both_colours
def test_an_answer_of_the_largest_size_is_whole(request_: Request, form: str, size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    raw = zlib.compressobj(wbits=-15)
    data = {
        "plain": answer(body=body),
        "chunked": chunked(*([body] if body else [])),
        "gzip": answer(body=packed(body), Content_Encoding="gzip"),
        "members": answer(
            body=b"".join(packed(body[i : i + 7000]) for i in range(0, size or 1, 7000)),
            Content_Encoding="x-gzip",
        ),
        "deflate": answer(body=zlib.compress(body), Content_Encoding="deflate"),
        "raw": answer(body=raw.compress(body) + raw.flush(), Content_Encoding="deflate"),
    }[form]
    with scripted(lambda seen: data) as server:
        assert request_("GET", server.url, max_size=70_000).body == body


def test_without_a_largest_size_an_answer_may_have_any() -> None:
    body = b"x" * (65 << 20)
    with scripted(lambda seen: answer(body=body)) as server:
        with pytest.raises(whilst.SizeExceeded, match="has 65 MiB, more than the 64 MiB of max_size="):
            http.get_bytes(server.url)
        assert len(http.get_bytes(server.url, max_size=None)) == len(body)


@pytest.mark.parametrize("status", ["500 Internal Server Error", "302 Found", "404 Not Found"])
@both_colours
def test_a_failure_with_an_endless_body_is_still_that_failure(request_: Request, status: str) -> None:
    data = answer(status, b"no " * 1_000_000, Content_Type="text/plain")
    with scripted(lambda seen: data) as server, pytest.raises(http.StatusError) as failed:
        request_("GET", server.url, max_size=10)
    assert failed.value.status == int(status[:3])
    assert failed.value.body.startswith("no no")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (answer(body=packed(b"x" * 1000)[:-9], Content_Encoding="gzip"), http.BadAnswer),
        (chunked(packed(b"x" * 1000)[:-9], Content_Encoding="gzip"), http.TruncatedError),
        (answer(body=packed(b"a") + packed(b"b")[:12], Content_Encoding="gzip"), http.BadAnswer),
        (answer(body=b"\x0b\x02\x80hel", Content_Encoding="br"), http.BadAnswer),
        (chunked(b"\x0b\x02\x80hel", Content_Encoding="br"), http.BadAnswer),
    ],
)
@both_colours
def test_a_packed_body_that_ends_too_early_says_so(request_: Request, data: bytes, error: type[Exception]) -> None:
    with scripted(lambda seen: data) as server, pytest.raises(error, match="ends too early"):
        request_("GET", server.url)


@both_colours
def test_what_follows_a_packed_body_and_is_none_is_left_out(request_: Request) -> None:
    for more in (b"\0" * 10, b"garbage"):
        data = answer(body=packed(b"body") + more, Content_Encoding="gzip")
        with scripted(lambda seen, data=data: data) as server:
            assert request_("GET", server.url).body == b"body"


@pytest.mark.parametrize("size", [0, -1, True, "64MiB", 1.5])
def test_a_largest_size_that_cannot_be_meant_is_refused(size: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="max_size must be"):
        http.get_bytes("http://127.0.0.1:9/", max_size=size)


def test_headers_with_bytes_above_127_hide_no_others() -> None:
    def reply(seen: Seen) -> bytes:
        status = seen.line.split()[1].strip("/")
        head = b"HTTP/1.1 %b X\r\nX-Odd: caf\xe9\r\nX-Two: 1\r\nX-Two: 2\r\nRetry-After: 7\r\n" % status.encode()
        return head + b"RateLimit-Remaining: 5\r\nContent-Length: 2\r\n\r\n{}"

    with scripted(reply) as server:
        for request_ in (http.request, lambda *a: asyncio.run(http.aio.request(*a))):
            found = request_("GET", f"{server.url}/200")
            assert (found.headers["x-two"], found.headers.get("X-ODD"), "x-odd" in dict(found.headers)) == (
                "1, 2",
                None,
                False,
            )
            with pytest.raises(http.StatusError) as failed:
                request_("GET", f"{server.url}/429")
            assert failed.value.headers["retry-after"] == "7"
            assert whilst.transient(failed.value)


def test_a_redirect_to_bytes_above_127_says_so() -> None:
    data = b"HTTP/1.1 302 Found\r\nLocation: /caf\xe9\r\nContent-Length: 0\r\n\r\n"
    with scripted(lambda seen: data) as server, pytest.raises(http.BadAnswer, match="bytes above 127"):
        http.get_bytes(server.url)


@pytest.mark.parametrize(("method", "status"), [("DELETE", "200 OK"), ("GET", "204 No Content"), ("HEAD", "200 OK")])
def test_an_answer_that_need_not_have_a_body_is_none(method: str, status: str) -> None:
    with scripted(lambda seen: answer(status)) as server:
        assert http.request(method, server.url).json() is None
        with pytest.raises(http.BadAnswer, match="empty"), scripted(lambda seen: answer()) as other:
            http.get_json(other.url)


MEASURED = """
import resource, sys, whilst
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(len(whilst.http.get_bytes(sys.argv[1])))
except whilst.SizeExceeded as error:
    print("refused")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(("data", "most"), [(answer(body=b"x" * (60 << 20)), 180), (None, 180)])
def test_a_large_answer_takes_three_times_its_size_at_most_and_a_bomb_no_more(data: bytes | None, most: int) -> None:
    data = data or answer(body=packed(gzip.compress(b"\0" * (400 << 20), 1), 1), Content_Encoding="gzip, gzip")
    with scripted(lambda seen: data) as server:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, server.url], capture_output=True, text=True, check=True, timeout=60
        )
    said, taken = done.stdout.split()
    assert said in ("refused", str(60 << 20))
    assert int(taken) <= most
