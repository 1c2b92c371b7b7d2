"""Clients that try again by themselves hide refusals; what their answers show of it is heard, and said."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import whilst
from whilst.core.retried import retried_before

SLOTS = 4
NAP = 0.02


class Slots(BaseHTTPRequestHandler):
    """Takes so many calls at once and refuses the others; speaks as AWS does, and as OpenAI does."""

    protocol_version = "HTTP/1.1"
    inside = 0
    refused = 0
    leave_when_refused = False  # all who are inside, so that the next one comes in
    guard = threading.Lock()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        with Slots.guard:
            full = Slots.inside >= SLOTS
            Slots.inside += not full
            Slots.refused += full
            if full and Slots.leave_when_refused:
                Slots.inside = 0
        if full:
            self.answer(503, b'{"__type": "ServiceUnavailable", "message": "Reduce your request rate"}')
            return
        time.sleep(NAP)
        with Slots.guard:
            Slots.inside -= 1
        self.answer(200, b'{"TableNames": [], "object": "list", "data": []}')

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slots)
    server.daemon_threads = True
    Slots.inside = Slots.refused = 0
    Slots.leave_when_refused = False
    thread = threading.Thread(target=server.serve_forever, name="stub")
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_botocore_gets_over_by_itself_is_heard_and_said(url: str) -> None:
    session = pytest.importorskip("botocore.session").Session()
    session.set_credentials("canary", "canary")
    config = pytest.importorskip("botocore.config").Config(
        retries={"total_max_attempts": 8, "mode": "standard"}, max_pool_connections=50
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it parses dates in a way that new Pythons warn about
        client = session.create_client("dynamodb", "us-east-1", endpoint_url=url, config=config)

        def ask(_: int) -> Any:
            return client.list_tables()

        limit = whilst.Limit(concurrency="adaptive")
        run = whilst.map(ask, range(80), limit=limit, retry=5)
        answers = run.list()
        client.close()
    hidden = sum(answer["ResponseMetadata"]["RetryAttempts"] for answer in answers)
    assert hidden > 0
    (note,) = [note for note in run.summary().notes if "tried again" in note]
    assert f"botocore tried again {hidden:,} times by itself inside ask()" in note
    assert 'Config(retries={"total_max_attempts": 1})' in note
    assert limit.statistics().rejected >= hidden


def test_what_urllib3_gets_over_by_itself_is_heard_and_said(url: str) -> None:
    requests = pytest.importorskip("requests")
    urllib3 = pytest.importorskip("urllib3")
    session = requests.Session()
    again = urllib3.Retry(total=10, status_forcelist=[503], backoff_factor=0.01)
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=50, max_retries=again))

    def ask(_: int) -> Any:
        return session.get(url, timeout=10)

    limit = whilst.Limit(concurrency="adaptive")
    run = whilst.map(ask, range(150), limit=limit, retry=5)
    answers = run.list()
    session.close()
    hidden = sum(retried_before(answer)[1] for answer in answers)
    assert hidden == Slots.refused > 0
    assert any(f"urllib3 tried again {hidden:,} times" in note for note in run.summary().notes)
    assert limit.statistics().rejected > 0


def test_the_raw_answer_of_openai_shows_it(url: str) -> None:
    openai = pytest.importorskip("openai")
    Slots.inside, Slots.leave_when_refused = SLOTS, True
    client = openai.OpenAI(base_url=url, api_key="canary", max_retries=3)
    answer = client.models.with_raw_response.list()
    client.close()
    assert retried_before(answer) == ("openai", 1)


@pytest.mark.parametrize("more", [{}, {"rate": "5000/s"}, {"by": lambda x: x % 2}])
def test_it_is_heard_under_whatever_an_adaptive_limit_holds_to_besides(more: dict[str, Any]) -> None:
    async def answer(x: int) -> dict[str, Any]:
        await asyncio.sleep(0.001)
        return {"ResponseMetadata": {"RetryAttempts": 2}}

    run = whilst.map(answer, range(20), limit=whilst.Limit(concurrency="adaptive", **more))
    run.list()
    assert any("botocore tried again 40 times by itself" in note for note in run.summary().notes)


def test_an_ordinary_value_is_looked_at_for_next_to_nothing() -> None:
    assert [retried_before(value)[1] for value in (None, 7, "x", [], {}, {"ResponseMetadata": None}, object())] == [
        0
    ] * 7
