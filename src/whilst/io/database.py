"""Which database does a URL name, how is it reached, and how are its refusals said without its password?

`sqlite:///file.db?table=t`, `postgresql://user@host/db?table=schema.t`, or `…?query=SELECT …` (the rest of the URL).
`key=` names the column that identifies a row; other parameters go to the driver.
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

from .postgres import forgive, refusals_untold
from .refusal import Refused, closest, listed, load_extra

MOST_NAME = 63  # bytes of a name that PostgreSQL keeps
PATIENCE = 10  # seconds for a connection to PostgreSQL, unless the URL has a connect_timeout
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_UNLOCKED = "wait until the program that writes to it has ended"
_SECRET = re.compile(r"(?i)([?&](?:\w*password|passwd|secret|token)=)[^&]*")


@dataclass(frozen=True, slots=True)
class Database:
    """A database that answers, and what of it is meant.

    Attributes:
        shown: the name, with the password masked.
        engine: SQLAlchemy's.
        new_file: the file of SQLite that did not exist before, if there is one.
        table, schema, query, key: from the URL; empty where it does not say.
    """

    shown: str
    engine: Any
    new_file: str
    table: str
    schema: str
    query: str
    key: str

    @property
    def is_sqlite(self) -> bool:
        """Whether types are a suggestion only, and a connection a file."""
        return bool(self.engine.dialect.name == "sqlite")

    def called(self, name: str, room: int = 0) -> str:
        """Return as much of a name as the database keeps, less the room for more."""
        if self.engine.dialect.name != "postgresql":
            return name
        return name.encode()[: MOST_NAME - room].decode("utf-8", "ignore")

    @contextmanager
    def writing(self, connection: Any) -> Generator[None]:
        """Have all that is written in the block be there, or nothing: SQLite's driver begins none for a new table."""
        with refusals_untold(), connection.begin():
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def refusing(self, what: str) -> Generator[None]:
        """Have what the database says no to in the block be a Refused, which says that it `cannot be read`."""
        try:
            yield
        except _sqlalchemy().exc.SQLAlchemyError as error:
            text = self.said(error)
            raise Refused(f"{self.shown} {what}", text, remedy=_UNLOCKED if "locked" in text else "") from None

    def columns(self) -> dict[str, str]:
        """Return the table's columns with their types; none if it does not exist."""
        inspector = _sqlalchemy().inspect(self.engine)
        if not inspector.has_table(self.table, schema=self.schema or None):
            return {}
        with unwarned():
            columns = inspector.get_columns(self.table, self.schema or None)
        return {it["name"]: _type_name(it["type"]) for it in columns}

    def clause(self, names: list[str]) -> Any:
        """Return the table as SQLAlchemy writes it, with columns whose values it leaves alone."""
        sa = _sqlalchemy()
        return sa.table(self.table, *[sa.column(name) for name in names], schema=self.schema or None)

    def quoted(self, name: str) -> str:
        """Return a column's name as SQL writes it."""
        return str(self.engine.dialect.identifier_preparer.quote(name))

    @property
    def quoted_table(self) -> str:
        """The table's name as SQL writes it."""
        return f"{self.quoted(self.schema)}.{self.quoted(self.table)}" if self.schema else self.quoted(self.table)

    def said(self, error: Exception) -> str:
        """Return what the database says of an error, in one line and without the password."""
        return _said(error, self.engine.url.password)

    def with_table(self, table: str) -> str:
        """Return the name with another table."""
        return re.sub(r"(?<=[?&]table=)[^&]*", lambda _: table, self.shown)

    def with_key(self, key: str) -> str:
        """Return the name with another key."""
        return f"{re.sub(r'&key=[^&]*', '', self.shown)}&key={key}"

    def other_case(self) -> str:
        """Return the table that differs from this one only in upper and lower case, or nothing."""
        inspector = _sqlalchemy().inspect(self.engine)
        names: list[str] = inspector.get_table_names(self.schema or None)
        return next((it for it in names if it != self.table and it.lower() == self.table.lower()), "")

    def missing_table(self) -> Refused:
        """Say that the table is not there, and which are."""
        inspector = _sqlalchemy().inspect(self.engine)
        tables: list[str] = sorted(inspector.get_table_names(self.schema or None))
        tables += inspector.get_view_names(self.schema or None)
        likely = closest(self.table, tables)
        remedy = self.with_table(likely) if likely else ""
        return Refused(f"{self.shown} has no such table", f"it has {listed(tables) or 'no tables'}", remedy=remedy)


@contextmanager
def unwarned() -> Generator[None]:
    """Look at a table without SQLAlchemy's warnings of types and indexes that it does not know: nor need we."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _sqlalchemy().exc.SAWarning)
        yield


def shown(name: str) -> str:
    """Return a URL with its passwords masked, and without the text of its query, which may hold anything.

    >>> shown("postgresql://me:secret@host/db?sslpassword=x&table=t")
    'postgresql://me:***@host/db?sslpassword=***&table=t'
    """
    reach = "[^/?#]*" if name.startswith("http") else "[^?#]*"  # a password may hold a slash that should be %2F
    name = re.sub(r"(?s)([?&]query=).*", r"\1…", name)
    return _SECRET.sub(r"\1***", re.sub(rf"(://[^/?#@:]*):{reach}@", r"\1:***@", name))


def reach(name: str, *, create: bool = False) -> Database:
    """Connect to what a URL names; Refused with the reason if it cannot be, FileNotFoundError for an SQLite file."""
    sa = _sqlalchemy()
    scheme, slashes, rest = name.partition("://")
    name = scheme.lower() + slashes + rest
    base, ours, others = _split(name)
    if re.match(r"sqlite\b", base):  # where others go to no driver
        _refuse_others(name, base, ours, others)
    if not (ours["table"] or ours["query"]):
        raise Refused(f"{shown(name)} does not say which rows", remedy=f"{shown(base)}?table=NAME, or ?query=SELECT …")
    schema, _, table = ours["table"].rpartition(".")
    try:
        url = sa.make_url(base + (f"?{others}" if others else ""))
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None or "@" in (url.host or "") or "@" in (url.database or "" if url.host else ""):
        raise Refused(
            f"{shown(name)} is not a URL of a database",
            "characters like @ or / in a password are written as %40, %2F",
            remedy="postgresql://user@host/database?table=NAME",
        ) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    is_sqlite = url.get_backend_name() == "sqlite"
    new_file = url.database if is_sqlite and url.database and not os.path.exists(url.database) else ""
    engine = _sqlite(sa, url, name, create) if is_sqlite else _server(sa, url, name)
    database = Database(shown(name), engine, new_file, table, schema, ours["query"], ours["key"])
    database = replace(database, table=database.called(table), schema=database.called(schema))
    try:
        with engine.connect() as connection:
            if database.is_sqlite:  # which opens anything, and looks at it later
                found = _as_it_is_called(connection, table)
                database = replace(database, table=found or table)
    except sa.exc.SQLAlchemyError as error:
        raise _unreachable(database, error) from None
    return database


def _as_it_is_called(connection: Any, table: str) -> str | None:
    """Return the name of a table of SQLite, for which Users is users."""
    query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE"
    found: str | None = connection.exec_driver_sql(query, (table,)).scalar()
    return found


def table_of(name: str) -> tuple[str, str, str] | None:
    """Return what holds the table that a URL names, its schema, and the table, the same for each way to write it.

    >>> table_of("SQLite:///f.db?key=id&table=main.Users"), table_of("f.db")
    (('f.db', '', 'users'), None)
    """
    scheme, slashes, rest = name.partition("://")
    kind = scheme.partition("+")[0].lower()
    if not slashes or kind not in ("sqlite", "postgres", "postgresql"):
        return None
    base, ours, _ = _split(rest)
    schema, _, table = ours["table"].rpartition(".")
    if not table:
        return None
    if kind == "sqlite":
        return unquote(base.removeprefix("/")), "" if schema.lower() == "main" else schema.lower(), table.lower()
    return _server_of(base), "" if schema == "public" else schema, table


def _server_of(base: str) -> str:
    """Return host, port and database, without who asks."""
    host, slash, database = base.rpartition("@")[2].partition("/")
    return f"{host.lower().removesuffix(':5432')}{slash}{database}"


def _type_name(type: Any) -> str:
    return "TIMESTAMPTZ" if getattr(type, "timezone", False) is True else str(type).upper()


def _split(name: str) -> tuple[str, dict[str, str], str]:
    """Return the URL without parameters, our parameters, and the driver's; `query=` takes all that follows it."""
    base, _, rest = name.partition("?")
    ours = {"table": "", "query": "", "key": ""}
    if found := re.search(r"(?:^|&)query=(.*)", rest, re.DOTALL):
        ours["query"] = unquote(found[1])
        rest = rest[: found.start()]
    others: list[str] = []
    for part in filter(None, rest.split("&")):
        word, _, value = part.partition("=")
        if word in ours:
            ours[word] = unquote(value)
        else:
            others.append(part)
    return base, ours, "&".join(others)


def _refuse_others(name: str, base: str, ours: dict[str, str], others: str) -> None:
    for other in filter(None, others.split("&")):
        word, _, value = other.partition("=")
        likely = closest(word, [known for known, given in ours.items() if not given])
        remedy = f"{shown(base)}?{name.partition('?')[2].replace(other, f'{likely}={value}')}" if likely else ""
        raise Refused(
            f"{shown(name)} has a parameter {word}", "a file takes table, query and key", remedy=shown(remedy)
        )


def _sqlite(sa: Any, url: Any, name: str, create: bool) -> Any:
    path: str = url.database or ""
    if url.host or not path or path == ":memory:":
        file = f"{url.host}{f'/{path}' if path else ''}" if url.host else "file.db"
        rest = name.partition("?")[2] or "table=NAME"
        evidence = ["after two slashes stands a host, which a file has not"] if url.host else []
        raise Refused(f"{shown(name)} names no file", *evidence, remedy=shown(f"sqlite:///{file}?{rest}"))
    if create and not os.path.isdir(folder := os.path.dirname(os.path.abspath(path))):
        raise Refused(f"{shown(name)}: there is no directory {folder}", remedy=f"mkdir -p {shlex.quote(folder)}")
    if not create and not os.path.exists(path):
        raise FileNotFoundError(2, "No such file or directory", path)

    def connect() -> sqlite3.Connection:
        tidies = not create and _is_logged(path)
        mode = "rwc" if create else "rw" if tidies else "ro"  # reading must neither make a file nor change one
        file = f"file:{quote(os.path.abspath(path))}?mode={mode}"
        connection = sqlite3.connect(file, uri=True, timeout=PATIENCE, check_same_thread=False)
        if tidies:
            connection.execute("PRAGMA query_only = ON")
        connection.text_factory = text_of
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool)


def _is_logged(path: str) -> bool:
    """Whether reading makes a log (WAL) and its index, which only who may write removes; and nobody has one there."""
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError:  # SQLite says so
        return False
    return head[18:20] == b"\2\2" and not any(os.path.exists(path + more) for more in ("-wal", "-shm", "-journal"))


def _server(sa: Any, url: Any, name: str) -> Any:
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": PATIENCE}
    try:
        engine = sa.create_engine(
            url, connect_args=timeout if "psycopg" in url.drivername else {}, poolclass=sa.pool.NullPool
        )
        if engine.driver == "psycopg":
            sa.event.listen(engine, "connect", forgive)
        return engine
    except ModuleNotFoundError as missing:
        driver = str(missing.name)
        install = "'psycopg[binary]'" if driver == "psycopg" else driver
        raise Refused(
            f"{shown(name)} needs {driver}, which is not installed", remedy=f"pip install {install}"
        ) from None
    except sa.exc.NoSuchModuleError:
        raise Refused(f"{url.drivername} is not a driver that SQLAlchemy knows", remedy="postgresql://…") from None


def _unreachable(database: Database, error: Exception) -> Refused:
    text, remedy = database.said(error), ""
    if "password" in text:
        remedy = "PGPASSWORD=… in the environment, or a line in ~/.pgpass"
    elif "locked" in text:
        remedy = _UNLOCKED
    elif "refused" in text or "No such file" in text or "resolve" in text:
        remedy = "start the server, or check host and port"
    elif "does not exist" in text:
        remedy = "psql -l lists the databases"
    return Refused(f"{database.shown} cannot be opened", text, remedy=remedy)


def _said(error: Exception, password: str | None) -> str:
    text = str(getattr(error, "orig", None) or error).partition("\nMultiple")[0]
    text = " ".join(text.partition("\nDETAIL:  Failing row contains")[0].split())  # which has other columns' values
    if text.startswith("row is too big"):
        text += " (write to a file such as out.jsonl, or return fewer fields)"
    return text.replace(str(password), "***") if password and len(password) > 3 else text


def text_of(raw: bytes) -> Any:
    """Return text of SQLite, or the bytes where they are none: that costs one row, not the whole query."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        return error


def _sqlalchemy() -> Any:
    return load_extra("sqlalchemy", "sql", "a database")
