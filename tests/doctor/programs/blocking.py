"""Seventeen ways to hold a loop, one a round, with what the loop's own rounds took: measured at its selector, here.

The line that holds it ends in `# HOLDS kind`. Written to the file that is named: seconds of each kind's round.
"""

import asyncio
import concurrent.futures
import hashlib
import http.server
import json
import queue
import re
import selectors
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import zlib

import helper
import requests


class Rounds(selectors.DefaultSelector):
    """Notes how long each round took, from one answer to the next question."""

    left = None
    kind = None
    took = {}  # noqa: RUF012

    def select(self, timeout=None):
        if self.left is not None and Rounds.kind is not None:
            took = time.monotonic() - self.left
            Rounds.took[Rounds.kind] = max(took, Rounds.took.get(Rounds.kind, 0))
        ready = super().select(timeout)
        self.left = time.monotonic()
        return ready


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.12)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def http_server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


server = http_server()
URL = f"http://127.0.0.1:{server.server_port}/"
kept = []  # as to free what was read is work too
text = json.dumps([{"number": number, "name": "x" * 20} for number in range(220_000)])
data = bytes(range(256)) * 60_000


async def short_sleep():
    time.sleep(0.03)  # HOLDS short_sleep


async def sleep():
    time.sleep(0.15)  # HOLDS sleep


async def request():
    answer = requests.get(URL, timeout=9)  # HOLDS request
    assert answer.text == "{}"


async def a_file():
    with open("/dev/zero", "rb") as file:
        kept.append(file.read(100_000_000))  # HOLDS a_file


async def parsing():
    kept.append(json.loads(text))  # HOLDS parsing


async def a_loop():
    total = 0
    for number in range(2_500_000):
        total += number  # HOLDS a_loop
    assert total


async def a_query():
    database = sqlite3.connect(":memory:")
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 900000) select sum(i) from n"
    database.execute(numbers).fetchone()  # HOLDS a_query
    database.close()


async def a_process():
    subprocess.run(["sleep", "0.1"], check=True)  # HOLDS a_process


async def a_queue():
    try:
        queue.Queue().get(timeout=0.1)  # HOLDS a_queue
    except queue.Empty:
        pass


async def a_lock():
    lock = threading.Lock()
    lock.acquire()
    threading.Timer(0.1, lock.release).start()
    lock.acquire()  # HOLDS a_lock


async def a_hash():
    hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 300_000)  # HOLDS a_hash


async def a_pattern():
    assert re.match(r"(a+)+$", "a" * 21 + "b") is None  # HOLDS a_pattern


async def a_thread():
    thread = threading.Thread(target=time.sleep, args=(0.1,))
    thread.start()
    thread.join()  # HOLDS a_thread


async def a_future():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(time.sleep, 0.1)
        future.result()  # HOLDS a_future


async def a_socket():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        threading.Timer(0.1, theirs.send, [b"x"]).start()
        assert ours.recv(1) == b"x"  # HOLDS a_socket


async def packing():
    zlib.compress(data, 6)  # HOLDS packing


async def sorting():
    kept.append(sorted(range(400_000), key=lambda number: number * 7919 % 1_000_003))  # HOLDS sorting


async def elsewhere():
    helper.nap()  # its line in helper.py holds it


KINDS = [
    short_sleep, sleep, request, a_file, parsing, a_loop, a_query, a_process, a_queue, a_lock, a_hash, a_pattern,
    a_thread, a_future, a_socket, packing, sorting, elsewhere,
]  # fmt: skip


async def main():
    left = list(KINDS)
    while left:
        kind = left.pop(0)
        await asyncio.sleep(0.02)
        Rounds.kind = kind.__name__
        await kind()
        await asyncio.sleep(0)
        Rounds.kind = None


with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Rounds())) as runner:
    runner.run(main())
server.shutdown()
server.server_close()
with open(sys.argv[1], "w") as report:
    json.dump(Rounds.took, report)
