"""Learn: concurrency against parallelism: rows are downloaded (they wait) and scored (they compute), in one flow.

Downloads overlap on one loop, however many they are: nobody computes while they wait. Scores need a processor each, and
on threads of one interpreter they take turns. `executor="process"` on that one stage has them made side by side, and
nothing else changes. The timeline shows both: what overlaps within one process, and what runs in several.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

import whilst
from whilst.demo import pokeapi

COUNT, ROUNDS = 24, 300_000
WIDTH = 60  # columns of the timeline


class Downloaded(NamedTuple):
    name: str
    weight: int
    began: float
    ended: float


class Scored(NamedTuple):
    name: str
    score: int
    pid: int
    download: tuple[float, float]
    scoring: tuple[float, float]


# Three functions: one waits, one computes, one writes -------------------------------------------------------------


async def fetch(number: int, session: aiohttp.ClientSession, api: str) -> Downloaded:
    began = time.monotonic()
    async with session.get(f"{api}/pokemon/{number}") as answer:
        found = await answer.json()
    return Downloaded(found["name"], found["weight"], began, time.monotonic())


def score(row: Downloaded) -> Scored:
    began, number = time.monotonic(), row.weight
    for _ in range(ROUNDS):
        number = (number * 1_103_515_245 + 12_345) % 2_147_483_648
    return Scored(row.name, number % 1000, os.getpid(), row[2:], (began, time.monotonic()))


def save(rows: list[Scored], db: sqlite3.Connection) -> list[Scored]:
    with db:
        db.executemany("insert into scores values (?, ?)", [row[:2] for row in rows])
    return rows


# The flow: only the stage that computes says where it is made ----------------------------------------------------


def importing(api: str, path: Path, executor: Any) -> whilst.Flow[Any, Any]:
    session = whilst.resource(aiohttp.ClientSession)
    db = whilst.resource(lambda: sqlite3.connect(path), per="thread")
    return whilst.sequence(
        whilst.each(at(api), concurrency=12, use={"session": session}),
        whilst.each(score, concurrency=2, executor=executor),
        whilst.batched(8),
        whilst.each(save, concurrency=1, use={"db": db}),
        whilst.flatten(),
    )


def at(api: str) -> Callable[..., Awaitable[Downloaded]]:
    async def fetch_there(number: int, session: aiohttp.ClientSession) -> Downloaded:
        return await fetch(number, session, api)

    return fetch_there


# What shows it -----------------------------------------------------------------------------------------------------


def show(rows: list[Scored], began: float, took: float) -> None:
    def line(label: str, spans: list[tuple[float, float]]) -> None:
        marks = [" "] * WIDTH
        for start, end in spans:
            first, last = ((int((when - began) / took * WIDTH)) for when in (start, end))
            for place in range(max(0, first), min(WIDTH, last + 1)):
                marks[place] = "█" if marks[place] == " " else "▓"
        print(f"  {label:<20} {''.join(marks)}")

    line("downloads, one loop", [row.download for row in rows])
    for number, pid in enumerate(sorted({row.pid for row in rows}), 1):
        where = "this process" if pid == os.getpid() else f"worker {number}"
        line(f"scores, {where}", [row.scoring for row in rows if row.pid == pid])


def run(title: str, api: str, path: Path, executor: Any) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table scores (name text, score integer)")
    began = time.monotonic()
    rows: list[Scored] = importing(api, path, executor)(range(1, COUNT + 1))
    took = time.monotonic() - began
    print(f"{title}: {len(rows)} rows in {took:.2f} s, scored by {len({row.pid for row in rows})} process(es)")
    show(rows, began, took)
    with closing(sqlite3.connect(path)) as db:
        return db.execute("select * from scores order by name").fetchall()


def main(api: str, folder: Path) -> None:
    print(importing(api, folder, "process").plan())
    threads = run("scores on threads", api, folder / "threads.db", "auto")
    processes = run("scores in processes", api, folder / "processes.db", "process")
    print(f"same: {threads == processes}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, pokeapi.serve(latency=0.1) as served:
        main(served.url, Path(folder))
