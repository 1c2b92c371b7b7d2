"""Which API do the demo, the examples and the tests call? PokéAPI, embedded: 1,351 real Pokémon on loopback.

In Python `with serve() as api:`; in a terminal `python -m whilst.demo.pokeapi --port 8080`. Answers have the
shape of https://pokeapi.co where the data allow; URLs in them lead back to this server, and work:

    /api/v2                         the collections: pokemon, stat, type
    /api/v2/pokemon?limit=&offset=  a page of one: count, next, previous, results
    /api/v2/pokemon/{id or name}    an entry of one; 404 "Not Found" (names are lower-case)
"""

from __future__ import annotations

import contextlib
import errno
import re
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from whilst.demo.pokedex import BASE, collections, names, sample

try:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from whilst.demo.serving import running
    from whilst.demo.weather import FAULTS, Conditions, Traffic, Weather
except ModuleNotFoundError as _missing:
    _library = (_missing.name or "").partition(".")[0]
    if _library not in {"starlette", "uvicorn"}:
        raise
    raise ModuleNotFoundError(
        f"the demo API needs {_library}, which is not installed; try: pip install 'whilst[demo]'",
        name=_missing.name,
    ) from None

__all__ = ["Api", "main", "names", "sample", "serve"]

ROOT = "/api/v2"
PAGE = 20  # entries of a page when no limit is given, as on pokeapi.co


@dataclass(frozen=True, slots=True)
class Api:
    """A running demo API: its address, and what it has seen so far (readable from any thread)."""

    url: str  #: the base URL without a slash at its end, `http://127.0.0.1:43121/api/v2`
    _traffic: Traffic

    @property
    def names(self) -> list[str]:
        """The names of all Pokémon, by id."""
        return names()

    @property
    def requests(self) -> int:
        """Requests that have arrived."""
        return self._traffic.requests

    @property
    def in_flight(self) -> int:
        """Requests that have arrived and are not answered yet."""
        return self._traffic.in_flight

    @property
    def peak(self) -> int:
        """The most requests that were in flight at once."""
        return self._traffic.peak

    @property
    def answers(self) -> dict[str, int]:
        """How many requests ended how, by status or fault: `{"200": 95, "404": 1, "429": 3, "reset": 1}`."""
        return dict(self._traffic.answers)


def serve(
    *,
    latency: float = 0.1,
    jitter: float = 0.0,
    rate: float | None = None,
    faults: Mapping[str, float] | None = None,
    seed: int = 0,
    port: int = 0,
) -> AbstractContextManager[Api]:
    """Serve the API from this process, on 127.0.0.1 and a thread of its own, for as long as the `with` lasts.

    Every request waits `latency ± jitter` seconds. With `rate`, requests a second, a token bucket that holds
    one second's worth answers what is too much with 429 and `Retry-After` (whole seconds, at least 1).
    `faults` says how often each fault strikes: a probability up to 1, or n from 2 on for every n-th request:

    - `"500"`: Internal Server Error
    - `"reset"`: the connection is reset, without an answer
    - `"slow"`: a byte of the body every 0.1 s, for more than a minute
    - `"truncated"`: the connection closes half-way through the body
    - `"json"`: a complete response with half a JSON document in it

    What becomes of the n-th request depends on `seed` and n alone. `port` 0 takes a free one. At the end,
    open connections are dropped, not waited for; it takes about 0.1 s.

    Raises ValueError at the call when an argument makes no sense, OSError at the `with` when the port is
    taken. Server and client in one process have two sockets open for each request: mind `ulimit -n`.

    >>> import requests
    >>> with serve(latency=0.01) as api:
    ...     requests.get(f"{api.url}/pokemon/pikachu").json()["id"]
    25
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be between 0 and 65535, got {port}")
    conditions = Conditions(latency=latency, jitter=jitter, rate=rate, faults=dict(faults or {}), seed=seed)
    return _serving(conditions, port)


# The routes --------------------------------------------------------------------------------------------


async def _home(request: Request) -> Response:
    base = _base(request)
    return _json(msgspec.json.encode({name: f"{base}/{name}/" for name in collections()}))


async def _list(request: Request) -> Response:
    collection = collections().get(request.path_params["collection"])
    if collection is None:
        raise HTTPException(404)
    limit = _whole(request, "limit", least=1, default=PAGE)
    offset = _whole(request, "offset", least=0, default=0)
    return _json(msgspec.json.encode(collection.page(_base(request), limit, offset)))


async def _detail(request: Request) -> Response:
    collection = collections().get(request.path_params["collection"])
    document = collection and collection.documents.get(request.path_params["key"])
    if not document:
        raise HTTPException(404)
    return _json(document.replace(BASE.encode(), _base(request).encode()))


def _base(request: Request) -> str:
    scope = request.scope
    host = request.headers.get("host", "")
    if not re.fullmatch(r"[\w.\-]+(:\d+)?|\[[\da-fA-F:.]+\](:\d+)?", host, re.ASCII):
        host = "{}:{}".format(*scope["server"])  # a missing or strange one must not get into the JSON
    return f"{scope['scheme']}://{host}{ROOT}"


def _whole(request: Request, name: str, *, least: int, default: int) -> int:
    # What is no number, or too small, means the default: so does pokeapi.co.
    text = request.query_params.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default
    return number if number >= least else default


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json; charset=utf-8")


def _application() -> Starlette:
    # With and without a slash at the end: both answer, neither redirects.
    pages: dict[str, Callable[[Request], Any]] = {
        ROOT: _home,
        ROOT + "/{collection}": _list,
        ROOT + "/{collection}/{key}": _detail,
    }
    return Starlette(routes=[Route(path + slash, page) for path, page in pages.items() for slash in ("", "/")])


@contextlib.contextmanager
def _serving(conditions: Conditions, port: int) -> Generator[Api]:
    collections()  # encoded before the first request, not by it
    weather = Weather(_application(), conditions)
    with running(weather, port) as address:
        yield Api(address + ROOT, weather.traffic)


# The command line --------------------------------------------------------------------------------------


def _parse_faults(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    faults: dict[str, float] = {}
    for text in given:
        name, _, often = text.partition("=")
        try:
            faults[name] = float(often)
        except ValueError:
            raise click.BadParameter(f"{text!r} has no number; try: --fault 500=0.05 or --fault reset=10") from None
    return faults


@click.command(context_settings={"show_default": True})
@click.option("--port", default=8080, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--latency", default=0.1, metavar="SECONDS", help="What every request waits.")
@click.option("--jitter", default=0.0, metavar="SECONDS", help="How much it waits more or less.")
@click.option("--rate", type=float, metavar="N", help="Requests a second; more are answered 429.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME=OFTEN",
    callback=_parse_faults,
    help=f"A probability (500=0.05) or every n-th (reset=10). NAME: {', '.join(FAULTS)}. May be repeated.",
)
@click.option("--seed", default=0, help="The same seed, the same fates.")
def main(port: int, latency: float, jitter: float, rate: float | None, faults: dict[str, float], seed: int) -> None:
    """Serve PokéAPI here until Ctrl-C: 1,351 real Pokémon, with the latency and the faults you ask for."""
    try:
        serving = serve(latency=latency, jitter=jitter, rate=rate, faults=faults, seed=seed, port=port)
        _raise_file_limit()
        with serving as api:
            click.echo(f"{api.url}   try: curl {api.url}/pokemon/pikachu   (Ctrl-C ends)")
            threading.Event().wait()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        raise click.ClickException(f"port {port}: {error.strerror}; try: --port 0") from None
    except KeyboardInterrupt:
        sys.exit(130)


def _raise_file_limit() -> None:
    # One socket a connection: the usual soft limit of 1,024 is too few for a thousand clients.
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main(prog_name="python -m whilst.demo.pokeapi")
