"""Learn: a blocking database driver and blocking file reads, concurrent without a change to either.

`weigh` asks a database for one row, `count_words` reads one file: ordinary blocking functions. `use=` opens a
connection a thread and closes it at the end, since drivers do not share one. With `DATABASE=postgresql://…` the driver
is psycopg and the server waits; without it sqlite3 stands in, with a query that takes as long.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import whilst
from whilst.demo.pokedex import names

WAIT = 0.03  # seconds that a query takes
IDS = range(1, 41)


# Two blocking functions and the driver, all of them ordinary ------------------------------------------------------


def weigh(id: int, db: Any = None) -> int:
    return int(db.execute(QUERY, (id,)).fetchone()[0])


def count_words(path: Path) -> int:
    time.sleep(WAIT)  # a disk that is far away
    return len(path.read_text().split())


def wait() -> int:
    time.sleep(WAIT)
    return 0


def sqlite(path: Path) -> Callable[[], Any]:
    def connect() -> sqlite3.Connection:
        db = sqlite3.connect(path)
        db.create_function("wait", 0, wait)
        return db

    with sqlite3.connect(path) as db:
        db.execute("create table if not exists pokemon (id integer primary key, weight integer)")
        db.executemany("insert or replace into pokemon values (?, ?)", [(id, id * 10) for id in IDS])
    db.close()
    return connect


def postgresql(url: str) -> Callable[[], Any]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as db:
        db.execute("create table if not exists pokemon (id integer primary key, weight integer)")
        rows = ", ".join(f"({id}, {id * 10})" for id in IDS)
        db.execute(f"insert into pokemon values {rows} on conflict do nothing")
    return lambda: psycopg.connect(url, autocommit=True)


POSTGRESQL = os.environ.get("DATABASE", "")
QUERY = (
    f"select weight from pokemon, pg_sleep({WAIT}) where id = %s"
    if POSTGRESQL
    else "select weight + wait() from pokemon where id = ?"
)


# One by one, and together ------------------------------------------------------------------------------------------


def timed(what: str, values: Iterable[int]) -> list[int]:
    start = time.perf_counter()
    found = list(values)
    print(f"{what:<24} {len(found)} values in {time.perf_counter() - start:.2f} s")
    return found


def main(folder: Path) -> None:
    connect = postgresql(POSTGRESQL) if POSTGRESQL else sqlite(folder / "pokemon.db")
    print("driver:", "psycopg" if POSTGRESQL else "sqlite3")
    db = connect()
    alone = timed("queries, one by one", (weigh(id, db) for id in IDS))
    db.close()
    connection = whilst.resource(connect, per="thread")
    together = timed("queries, 10 at once", whilst.map(weigh, IDS, concurrency=10, use={"db": connection}))

    files = [folder / f"{name}.txt" for name in names()[:40]]
    for path in files:
        path.write_text(f"{path.stem} is a Pokémon\n" * len(path.stem))
    read_alone = timed("files, one by one", map(count_words, files))
    read_together = timed("files, 10 at once", whilst.map(count_words, files, concurrency=10))
    print(f"same: {alone == together and read_alone == read_together}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
