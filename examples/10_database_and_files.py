"""Learn: a blocking database driver and blocking file reads, both made concurrent without changing a line of them.

`look_up` queries through psycopg if DATABASE_URL names a PostgreSQL, else through sqlite3; `read` opens a file. Each
waits: for the server, for a network share. `map` calls them on threads of its own, sixteen at a time, each thread with
a connection of its own that is opened when it is first needed and closed at the end.
"""

import os
import sqlite3
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import whilst

URL = os.environ.get("DATABASE_URL", "")
COUNT, WAIT = 60, 0.02

if URL:
    import psycopg

    QUERY = f"select name, pg_sleep({WAIT}) from city where id = %s"
else:
    QUERY = f"select name, wait({WAIT}) from city where id = ?"


# Blocking functions, as they are in any program -----------------------------------------------------------------


def connect(path: Path) -> Any:
    if URL:
        return psycopg.connect(URL, autocommit=True)
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.create_function("wait", 1, time.sleep)  # SQLite has no server to wait for
    return connection


def look_up(id: int, connection: Any = None) -> str:
    return str(connection.execute(QUERY, (id,)).fetchone()[0])


def read(path: Path) -> int:
    time.sleep(WAIT)  # a network share answers late, a disk of this machine would not
    return len(path.read_text().split())


# One by one, and together ---------------------------------------------------------------------------------------


def main(folder: Path) -> None:
    cities, files = folder / "cities.db", fill(folder)
    ids = range(1, COUNT + 1)
    print(f"driver      {'psycopg' if URL else 'sqlite3'}")

    start = time.perf_counter()
    connection = connect(cities)
    names = [look_up(id, connection) for id in ids]
    connection.close()
    print(f"one by one  {len(names)} rows in {time.perf_counter() - start:.2f} s")

    each = whilst.resource(partial(connect, cities), per="thread")
    run = whilst.map(look_up, ids, concurrency=16, use={"connection": each})
    start = time.perf_counter()
    found = run.list()
    print(f"together    {len(found)} rows in {time.perf_counter() - start:.2f} s, the same: {found == names}")

    start = time.perf_counter()
    words = [read(path) for path in files]
    print(f"one by one  {len(words)} files in {time.perf_counter() - start:.2f} s")

    start = time.perf_counter()
    counted = whilst.map(read, files, concurrency=16).list()
    print(f"together    {len(counted)} files in {time.perf_counter() - start:.2f} s, the same: {counted == words}")


def fill(folder: Path) -> list[Path]:
    """Make a table of cities, and a file about each."""
    connection = connect(folder / "cities.db")
    connection.execute("drop table if exists city")
    connection.execute("create table city (id integer primary key, name text)")
    files = [folder / f"city{id}.txt" for id in range(1, COUNT + 1)]
    for id, path in enumerate(files, start=1):
        connection.execute(f"insert into city values ({id}, 'city {id}')")
        path.write_text(f"city {id} " + "has streets " * id)
    connection.commit()
    connection.close()
    return files


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
