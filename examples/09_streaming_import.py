"""Learn: an import whose stages overlap: pages of names, details of each, rows into SQLite in batches.

One by one, each request waits for the one before. As a flow of stages every item goes on as soon as it is there:
rows of the first page are written while later pages are still being read. Buffers between stages are bounded, so a
slow database slows the requests down and memory stays flat, whatever the length of the list.
"""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import requests

import whilst
from whilst.demo import pokeapi

PAGES, LIMIT = 6, 8
Row = tuple[int, str, int]


# Three blocking functions ---------------------------------------------------------------------------------------


def list_names(api: str, page: int, session: requests.Session) -> list[str]:
    answer = session.get(f"{api}/pokemon", params={"limit": LIMIT, "offset": page * LIMIT}, timeout=30)
    return [entry["name"] for entry in answer.json()["results"]]


def fetch(api: str, name: str, session: requests.Session) -> Row:
    found = session.get(f"{api}/pokemon/{name}", timeout=30).json()
    return found["id"], found["name"], found["weight"]


def insert(rows: list[Row], db: sqlite3.Connection) -> int:
    with db:
        db.executemany("insert into pokemon values (?, ?, ?)", rows)
    return len(rows)


# One by one, and as a flow --------------------------------------------------------------------------------------


def one_by_one(api: str, path: Path) -> int:
    with requests.Session() as session, closing(sqlite3.connect(path)) as db:
        names = [name for page in range(PAGES) for name in list_names(api, page, session)]
        return insert([fetch(api, name, session) for name in names], db)


def as_a_flow(api: str, path: Path) -> whilst.Flow[int, int]:
    session = whilst.resource(requests.Session, per="thread")
    db = whilst.resource(partial(sqlite3.connect, path), per="thread")
    return whilst.sequence(
        range,
        whilst.each(watched("pages", partial(list_names, api)), concurrency=1, use={"session": session}),
        whilst.flatten(),
        whilst.each(watched("details", partial(fetch, api)), concurrency=8, use={"session": session}),
        whilst.batched(10, within=0.5),
        whilst.each(watched("rows", insert), concurrency=1, use={"db": db}),
        sum,
    )


# What shows that stages overlap -----------------------------------------------------------------------------------

calls: dict[str, list[tuple[float, float]]] = {}  # of each stage: when its calls started and ended


def watched(stage: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    def call(item: Any, **use: Any) -> Any:
        start = time.perf_counter()
        try:
            return fn(item, **use)
        finally:
            calls.setdefault(stage, []).append((start, time.perf_counter()))

    call.__qualname__ = stage
    return call


def show(start: float) -> None:
    for stage, spans in calls.items():
        begun, ended = min(spans)[0] - start, max(end for _, end in spans) - start
        bar = " " * int(begun * 100) + "█" * max(1, int((ended - begun) * 100))
        print(f"  {stage:<8} {len(spans):>2} calls {begun:.2f}-{ended:.2f} s  {bar}")


def create(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table pokemon (id integer, name text, weight integer)")
    return path


def read(path: Path) -> list[Row]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("select * from pokemon order by id").fetchall()


def main(api: str, folder: Path) -> None:
    plain, streamed = create(folder / "plain.db"), create(folder / "streamed.db")
    start = time.perf_counter()
    rows = one_by_one(api, plain)
    print(f"one by one  {rows} rows in {time.perf_counter() - start:.2f} s")

    flow = as_a_flow(api, streamed)
    print(flow.plan())
    start = time.perf_counter()
    rows = flow(PAGES)
    print(f"as a flow   {rows} rows in {time.perf_counter() - start:.2f} s")
    show(start)
    print(f"same: {read(streamed) == read(plain)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, pokeapi.serve(latency=0.03) as served:
        main(served.url, Path(folder))
