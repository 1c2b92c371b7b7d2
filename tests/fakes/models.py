"""A model behind HTTP, as OpenAI's answers: it counts requests and tokens, and says how many it took."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Generator


class Counted:
    """What was asked of a model, and when."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, float]] = []  # when, and how many tokens

    def add(self, at: float, tokens: float) -> None:
        self.calls.append((at, tokens))

    def most(self, period: float, *, tokens: bool) -> float:
        """Return how much was taken in that window of this length in which it was most."""
        calls, first, inside, most = sorted(self.calls), 0, 0.0, 0.0
        for at, cost in calls:
            inside += cost if tokens else 1
            while calls[first][0] <= at - period:
                inside -= calls[first][1] if tokens else 1
                first += 1
            most = max(most, inside)
        return most

    def in_all(self, since: float, until: float, *, tokens: bool) -> float:
        return sum(cost if tokens else 1 for at, cost in self.calls if since <= at < until)


@contextlib.contextmanager
def serving(counted: Counted, *, answer: tuple[int, int], took: float) -> Generator[str, None, None]:
    """Serve `/v1/chat/completions` on loopback; an answer has so many tokens, and takes so long, at most."""
    loop, port, over = asyncio.new_event_loop(), list[int](), threading.Event()
    ready = threading.Event()
    rng = random.Random(3)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                prompt = len(asked["messages"][0]["content"]) // 4
                tokens = min(rng.randint(*answer), asked["max_tokens"])
                counted.add(time.monotonic(), prompt + tokens)
                await asyncio.sleep(took * rng.uniform(0.5, 1))
                body = json.dumps(completion(prompt, tokens)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    + f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()

    async def serve() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port.append(server.sockets[0].getsockname()[1])
        ready.set()
        while not over.is_set():
            await asyncio.sleep(0.05)
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.01)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(20)
    try:
        yield f"http://127.0.0.1:{port[0]}/v1"
    finally:
        over.set()
        thread.join(20)


def completion(prompt: int, tokens: int) -> dict[str, object]:
    message = {"role": "assistant", "content": "yes " * 3}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "fake",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens},
    }
