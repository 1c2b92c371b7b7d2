"""Object stores for real: an S3 on loopback, documents over HTTP, folders by URL."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("obstore")

from installed import module  # noqa: E402 - beside this file

from whilst.io.open import open_input, open_output
from whilst.io.refusal import BrokenInput, BrokenOutput, Refused
from whilst.io.rows import Row
from whilst.io.sink import Shape

WHILST = [sys.executable, "-W", "error", "-m", "whilst.cli.main"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 in a process of its own: moto's imports are large, and its threads would slow the tests down."""
    module("moto", "moto[server]")
    code = (
        "import sys; from moto.server import ThreadedMotoServer\n"
        "server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False); server.start()\n"
        "print(server.get_host_and_port()[1], flush=True); sys.stdin.read(); server.stop()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "canary-id", "AWS_SECRET_ACCESS_KEY": "canary-secret",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/data", method="PUT")).close()
    return "s3://data"


def write(name: str, count: int, filler: str = "", **options: Any) -> None:
    sink = open_output(name, **options)
    sink.begin(Shape(values_only=True))
    for number in range(count):
        sink.write(Row(1, None, b"null"), sink.prepare({"n": number, "filler": filler}))
    sink.finish()


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_what_is_written_is_read(bucket: str, ending: str) -> None:
    name = f"{bucket}/some/rows{ending}"
    write(name, 1000)
    rows = list(open_input(name).rows())
    assert len(rows) == 1000
    first = rows[0]
    assert isinstance(first, Row)
    assert "0" in str(first.value)
    assert "canary" not in str(rows)


def test_an_object_is_visible_only_when_it_is_whole(bucket: str) -> None:
    name = f"{bucket}/large.jsonl"
    sink = open_output(name)
    sink.begin(Shape(values_only=True))
    piece = sink.prepare("x" * 1_000_000)
    for _ in range(25):  # three parts
        sink.write(Row(1, None, b"null"), piece)
    sink.flush()
    with pytest.raises(Refused, match="is not there"):
        open_input(name)
    sink.finish()
    assert sum(1 for _ in open_input(name).rows()) == 25


def test_an_object_is_replaced_only_on_demand(bucket: str) -> None:
    name = f"{bucket}/rows.jsonl"
    write(name, 1)
    with pytest.raises(FileExistsError):
        open_output(name)
    write(name, 2, overwrite=True)
    assert sum(1 for _ in open_input(name).rows()) == 2


def test_one_that_appeared_meanwhile_stays(bucket: str) -> None:
    name = f"{bucket}/rows.jsonl"
    sink = open_output(name)
    sink.begin(Shape())
    write(name, 7)
    with pytest.raises(BrokenOutput, match="appeared meanwhile"):
        sink.finish()
    assert sum(1 for _ in open_input(name).rows()) == 7


def test_a_discarded_object_is_none(bucket: str) -> None:
    sink = open_output(f"{bucket}/rows.jsonl")
    sink.begin(Shape())
    sink.discard()
    with pytest.raises(Refused, match="is not there"):
        open_input(f"{bucket}/rows.jsonl")


def test_a_bucket_that_is_missing_is_found_out_before_anything_is_called(bucket: str) -> None:
    with pytest.raises(Refused, match="no such bucket"):
        open_output("s3://nope/rows.jsonl")
    with pytest.raises(Refused, match="is not there"):
        open_input("s3://nope/rows.jsonl")
    with pytest.raises(Refused, match="known endings"):
        open_input("s3://data")


def test_a_store_that_does_not_answer_says_so(monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Refused, match="cannot be opened") as caught:
        open_input(f"{bucket}/rows.jsonl")
    assert "canary" not in str(caught.value)


def test_the_command_line_goes_from_store_to_store(bucket: str, tmp_path: Path) -> None:
    write(f"{bucket}/in.jsonl.gz", 100)
    (tmp_path / "jobs.py").write_text("def double(row):\n    return row['n'] * 2\n")
    command = [*WHILST, "map", "jobs:double", f"{bucket}/in.jsonl.gz", "-o", f"{bucket}/out.jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (0, "")
    assert "100 ok" in done.stderr
    rows = [it.value for it in open_input(f"{bucket}/out.jsonl").rows() if isinstance(it, Row)]
    assert rows[7] == {"input": {"n": 7, "filler": ""}, "value": 14}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {bucket}/out.jsonl exists\n  it is not replaced\n  try: --overwrite\n",
    )


# -- folders and documents ------------------------------------------------------------------------------------


def test_a_file_url_is_a_file(tmp_path: Path) -> None:
    name = f"file://{tmp_path}/some%20rows.jsonl"
    write(name, 3)
    assert (tmp_path / "some rows.jsonl").read_bytes().count(b"\n") == 3
    assert sum(1 for _ in open_input(name).rows()) == 3
    with pytest.raises(Refused, match="names the host"):
        open_input("file://elsewhere/rows.jsonl")


class Handler(http.server.BaseHTTPRequestHandler):
    rows = b"".join(b'{"n": %d}\n' % n for n in range(50_000))

    def do_GET(self) -> None:
        if "rows" not in self.path:
            self.send_error(404)
            return
        if self.headers.get("Range"):
            self.send_error(416)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.rows)))
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(self.rows if "cut" not in self.path else self.rows[:300_000])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_document_is_read_as_it_comes(web: str) -> None:
    opened = open_input(f"{web}/rows.jsonl?version=2")
    assert opened.source.size == len(Handler.rows)
    assert sum(1 for _ in opened.rows()) == 50_000
    with pytest.raises(Refused, match="can be read, but not written to"):
        open_output(f"{web}/rows.jsonl")
    with pytest.raises(Refused, match="is not there"):
        open_input(f"{web}/no.jsonl")


def test_a_document_that_breaks_off_gives_what_came_and_then_an_error(web: str) -> None:
    rows: list[Any] = []
    with pytest.raises(BrokenInput):
        rows.extend(open_input(f"{web}/cut/rows.jsonl").rows())
    assert rows
    assert [json.loads(row.raw)["n"] for row in rows] == list(range(len(rows)))
