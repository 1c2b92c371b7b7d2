"""Learn: a language model over 300 rows: two budgets, unusable answers asked again, a pilot, and nothing paid twice.

The provider permits so many calls a second and so many tokens a second, and what an answer weighs is known only when it
is there. Some answers are no word that was asked for. First a pilot of twenty rows shows what all would cost; then the
batch is ended in its middle; then it goes on. Each answer is paid for once.

The usual way beside it is a loop: one row at a time, again when the answer is unusable, from the start when it ended.
"""

import json
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

import whilst

MOODS = ("positive", "negative", "neutral")
CALLS_A_SECOND, TOKENS_A_SECOND = 60, 6000


# -- the batch ------------------------------------------------------------------------------------------------------


def prompt_of(row: dict[str, str]) -> str:
    return f"Is this positive, negative or neutral? One word. {row['text']}"


def estimate(row: dict[str, str]) -> float:
    return 60 + len(prompt_of(row)) / 4


class Batch:
    def __init__(self, url: str, journal: Path) -> None:
        self.url = url
        self.journal = journal
        self.calls = whilst.Limit(rate=f"{CALLS_A_SECOND * 0.95}/s")
        self.tokens = whilst.Limit(rate=f"{TOKENS_A_SECOND * 0.95}/s", weight=estimate)

    def ask(self, row: dict[str, str]) -> dict[str, Any]:
        with self.tokens.of(row) as permit:
            answer = requests.post(self.url, json={"prompt": prompt_of(row)}, timeout=30)
            answer.raise_for_status()
            told = answer.json()
            permit.spent(told["usage"]["total_tokens"])
        return {"mood": told["text"], "tokens": told["usage"]["total_tokens"]}

    def over(self, rows: list[dict[str, str]]) -> whilst.Run[dict[str, str], dict[str, Any]]:
        again = whilst.Retry(attempts=6, base=0.01, budget=None, on_value=lambda answer: answer["mood"] not in MOODS)
        key = whilst.Journal(self.journal, key=lambda row: row["id"], ignore=["self"])
        return whilst.map(self.ask, rows, limit=self.calls, retry=again, journal=key, concurrency=40)


# -- the usual way --------------------------------------------------------------------------------------------------


def one_by_one(url: str, rows: list[dict[str, str]]) -> list[str]:
    moods = []
    for row in rows:
        for _ in range(6):
            answer = requests.post(url, json={"prompt": prompt_of(row)}, timeout=30)
            if answer.status_code == 429:
                time.sleep(1)
            elif answer.json()["text"] in MOODS:
                break
        moods.append(answer.json()["text"])
    return moods


# -- a provider -----------------------------------------------------------------------------------------------------


class Provider:
    """Answers like one, and counts: 429 to whoever asks for more than is permitted within a second."""

    def __init__(self) -> None:
        self.calls = self.tokens = self.refused = 0
        self.useful: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()
        self._recent: deque[tuple[float, int]] = deque()
        self._guard = threading.Lock()

    def answer(self, prompt: str) -> dict[str, Any] | None:
        weight = 55 + len(prompt) // 4
        with self._guard:
            now = time.monotonic()
            while self._recent and self._recent[0][0] < now - 1:
                self._recent.popleft()
            if len(self._recent) >= CALLS_A_SECOND or sum(it[1] for it in self._recent) + weight > TOKENS_A_SECOND:
                self.refused += 1
                return None
            self._recent.append((now, weight))
            self._asked[prompt] += 1
            number = sum(map(ord, prompt))
            text = "It depends." if number % 10 == 3 and self._asked[prompt] == 1 else MOODS[number % 3]
            self.calls += 1
            self.tokens += weight
            self.useful[prompt] += text in MOODS
        time.sleep(0.1)
        return {"text": text, "usage": {"total_tokens": weight}}


@contextmanager
def serve(provider: Provider) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told = provider.answer(asked["prompt"])
            body = json.dumps(told or {"error": "rate limit"}).encode()
            self.send_response(200 if told else 429)
            if not told:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def main() -> None:
    rows = [{"id": str(n), "text": f"Day {n} at the sea: {'sun, ' * (n % 7)}rain"} for n in range(300)]

    provider = Provider()
    with serve(provider) as url:
        began = time.perf_counter()
        some = one_by_one(url, rows[:30])
        each = (time.perf_counter() - began) / len(some)
    print(f"one by one: {each * len(rows):.1f} s for all, if it does not end in between")

    provider = Provider()
    with tempfile.TemporaryDirectory() as folder, serve(provider) as url:
        batch = Batch(url, Path(folder) / "moods.db")
        pilot = batch.over(rows[:20]).list()
        cost = sum(answer["tokens"] for answer in pilot)
        print(f"pilot: 20 rows, {cost} tokens; all would be about {cost * len(rows) // 20}")

        began = time.perf_counter()
        run = batch.over(rows)
        for done, _ in enumerate(run.outcomes(), 1):
            if done == 150:
                run.drain()  # as the first Ctrl-C does on the command line: what is in flight was paid for
        print(f"ended in the middle, at {run.summary().ok} of {len(rows)}")

        run = batch.over(rows)
        moods = [answer["mood"] for answer in run]
        now = run.summary()
        print(f"went on: {now.recalled} answers were kept; all {len(moods)} in {time.perf_counter() - began:.1f} s")
        twice = sum(1 for count in provider.useful.values() if count > 1)
        print(f"unusable answers: {sum(mood not in MOODS for mood in moods)}, as {now.retried} were asked again now")
        print(f"paid twice: {twice}; refused by the provider: {provider.refused} of {provider.calls}")
        print("same as one by one:", moods[:30] == some)


if __name__ == "__main__":
    main()
