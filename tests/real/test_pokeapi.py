"""Does the demo API behave as promised, seen by real clients?"""

import asyncio
import contextlib
import doctest
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests
import uvicorn
from click.testing import CliRunner

from whilst.demo import pokeapi, pokedex, weather
from whilst.demo.weather import FAULTS, Bucket, Conditions


@pytest.fixture(scope="module")
def api() -> Iterator[pokeapi.Api]:
    with pokeapi.serve(latency=0.0) as running:
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


@pytest.fixture(autouse=True)
def _no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [it.getMessage() for it in caplog.get_records("call") if it.levelno >= logging.ERROR] == []


def wait_until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.001)


def port_of(api: pokeapi.Api) -> int:
    return urlsplit(api.url).port or 0


def with_aiohttp(work: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
    async def main() -> Any:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), **settings) as client:
            return await work(client)

    return asyncio.run(main())


# What it answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_pokemon_is_found_by_id_and_by_name(api: pokeapi.Api, session: requests.Session, slash: str) -> None:
    by_id, by_name = (session.get(f"{api.url}/pokemon/{key}{slash}") for key in (25, "pikachu"))
    assert by_id.json() == by_name.json()
    assert by_id.headers["content-type"] == "application/json; charset=utf-8"
    assert not by_id.history
    pikachu = by_id.json()
    assert {key: pikachu[key] for key in ("id", "name", "height", "weight", "base_experience")} == {
        "id": 25,
        "name": "pikachu",
        "height": 4,
        "weight": 60,
        "base_experience": 112,
    }
    assert pikachu["types"] == [{"slot": 1, "type": {"name": "electric", "url": f"{api.url}/type/13/"}}]
    assert pikachu["stats"][5] == {
        "base_stat": 90,
        "effort": 0,
        "stat": {"name": "speed", "url": f"{api.url}/stat/6/"},
    }


@pytest.mark.parametrize(
    "path", ["/pokemon/missingno", "/pokemon/Pikachu", "/pokemon/0", "/berry", "/berry/1", "/pokemon/1/x"]
)
def test_what_is_not_there_is_a_plain_404(api: pokeapi.Api, session: requests.Session, path: str) -> None:
    answer = session.get(api.url + path)
    assert (answer.status_code, answer.text) == (404, "Not Found")
    assert answer.headers["content-type"].startswith("text/plain")


def test_the_pages_lead_through_all_names_and_back(api: pokeapi.Api, session: requests.Session) -> None:
    found: list[str] = []
    url, last = f"{api.url}/pokemon?limit=100", {}
    while url:
        last = session.get(url).json()
        assert last["count"] == 1351
        found += [entry["name"] for entry in last["results"]]
        url = last["next"]
    assert found == api.names == pokeapi.names()
    assert len(set(found)) == 1351
    steps = 0
    while last["previous"]:
        last, steps = session.get(last["previous"]).json(), steps + 1
    assert (steps, last["results"][0]["name"]) == (13, "bulbasaur")


def test_a_page_has_twenty_entries_unless_told_otherwise(api: pokeapi.Api, session: requests.Session) -> None:
    def page(**query: Any) -> Any:
        return session.get(f"{api.url}/pokemon", params=query).json()

    assert page()["next"] == f"{api.url}/pokemon?offset=20&limit=20"
    assert page(limit="many", offset=-3) == page(limit=0) == page()
    assert page(limit=5000)["next"] is None
    assert page(offset=2000)["results"] == []
    assert page(limit=10, offset=5)["previous"] == f"{api.url}/pokemon?offset=0&limit=10"


def test_every_link_in_an_answer_works(api: pokeapi.Api, session: requests.Session) -> None:
    for url in session.get(api.url).json().values():
        first = session.get(url).json()["results"][0]
        assert session.get(first["url"]).json()["name"] == first["name"]
    charizard = session.get(f"{api.url}/pokemon/charizard").json()
    for link in [it["type"] for it in charizard["types"]] + [it["stat"] for it in charizard["stats"]]:
        assert session.get(link["url"]).json()["name"] == link["name"]
    flying = session.get(f"{api.url}/type/flying").json()
    assert {"slot": 2, "pokemon": {"name": "charizard", "url": f"{api.url}/pokemon/6/"}} in flying["pokemon"]


def test_links_name_the_host_the_client_asked_for(api: pokeapi.Api, session: requests.Session) -> None:
    def link(host: str) -> str:
        page = session.get(f"{api.url}/pokemon", headers={"Host": host}).json()
        return str(page["results"][0]["url"])

    assert link("pokeapi.test:81") == "http://pokeapi.test:81/api/v2/pokemon/1/"
    assert link("[::1]:81") == "http://[::1]:81/api/v2/pokemon/1/"
    assert link('x","y') == f"{api.url}/pokemon/1/"


def test_other_methods_are_not_allowed(api: pokeapi.Api, session: requests.Session) -> None:
    assert session.post(f"{api.url}/pokemon/1").status_code == 405
    assert session.head(f"{api.url}/pokemon/1").status_code == 200


def test_samples_are_random_distinct_and_repeatable() -> None:
    assert len(set(pokeapi.sample(1351, seed=1))) == 1351
    assert pokeapi.sample(20, seed=1) == pokeapi.sample(20, seed=1) != pokeapi.sample(20, seed=2)
    assert len(pokeapi.sample(3000)) == 3000
    with pytest.raises(ValueError, match="n must be at least 0, got -1"):
        pokeapi.sample(-1)


# How long it takes, how much it bears ---------------------------------------------------------------------


def test_every_request_waits_its_latency(session: requests.Session) -> None:
    with pokeapi.serve(latency=0.2) as api:
        begun = time.monotonic()
        session.get(f"{api.url}/pokemon/1")
        assert time.monotonic() - begun > 0.19


def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements(
    api: pokeapi.Api, session: requests.Session
) -> None:
    took: list[float] = []
    for _ in range(50):
        begun = time.monotonic()
        session.get(f"{api.url}/pokemon/1")
        took.append(time.monotonic() - begun)
    assert min(took[1:]) < 0.03  # each waits 40 ms under Nagle's algorithm; this takes 2 or 3


@pytest.mark.slow
@pytest.mark.parametrize("count", [200, 1000])
def test_many_requests_at_once_are_all_answered(count: int) -> None:
    async def ask_all(client: aiohttp.ClientSession) -> list[str]:
        async def ask(name: str) -> str:
            async with client.get(f"{api.url}/pokemon/{name}") as answer:
                return str((await answer.json())["name"])

        return await asyncio.gather(*map(ask, wanted))

    wanted = pokeapi.sample(count, seed=1)
    with pokeapi.serve(latency=2.0 if count == 200 else 0.2) as api:
        assert with_aiohttp(ask_all) == wanted
        assert api.requests == count
        assert api.answers == {"200": count}
        assert 100 < api.peak <= count
        if count == 200:
            assert api.peak == 200
        wait_until(lambda: api.in_flight == 0)


def test_beyond_the_rate_comes_429_with_a_retry_after(session: requests.Session) -> None:
    with pokeapi.serve(latency=0.0, rate=0.01) as api:
        assert session.get(f"{api.url}/pokemon/1").status_code == 200
        refused = session.get(f"{api.url}/pokemon/1")
        assert (refused.status_code, refused.text) == (429, "Too Many Requests")
        assert 50 < int(refused.headers["Retry-After"]) <= 100
        assert api.answers == {"200": 1, "429": 1}


def test_retry_after_is_never_less_than_a_second(session: requests.Session) -> None:
    with pokeapi.serve(latency=0.0, rate=20) as api:
        answers = [session.get(f"{api.url}/pokemon/1") for _ in range(60)]
    refused = [answer.headers["Retry-After"] for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers[:20]} == {200}
    assert set(refused) == {"1"}


def test_the_bucket_holds_a_second_and_fills_at_its_rate() -> None:
    bucket = Bucket(rate=4.0)
    assert [bucket.take(0.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.25]
    assert [bucket.take(0.25), bucket.take(0.25)] == [0.0, 0.25]
    assert [bucket.take(100.0) for _ in range(5)][-2:] == [0.0, 0.25]


# What goes wrong on demand --------------------------------------------------------------------------------


def test_requests_sees_every_fault(session: requests.Session) -> None:
    def get(fault: str) -> requests.Response:
        with pokeapi.serve(latency=0.0, faults={fault: 1}) as api:
            answer = session.get(f"{api.url}/pokemon/1")
            assert api.answers == {fault: 1}
            return answer

    assert get("500").status_code == 500
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        get("reset")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        get("truncated")
    damaged = get("json")
    assert damaged.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        damaged.json()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("500", aiohttp.ClientResponseError),
        ("reset", aiohttp.ClientOSError),
        ("slow", TimeoutError),
        ("truncated", aiohttp.ClientPayloadError),
        ("json", ValueError),
    ],
)
def test_aiohttp_sees_every_fault(fault: str, error: type[Exception]) -> None:
    with pokeapi.serve(latency=0.0, faults={fault: 1.0}) as api:

        async def ask(client: aiohttp.ClientSession) -> None:
            async with client.get(f"{api.url}/pokemon/1") as answer:
                answer.raise_for_status()
                await answer.json()

        with pytest.raises(error):
            with_aiohttp(ask, timeout=aiohttp.ClientTimeout(total=0.5))
        assert api.answers[fault] >= 1  # aiohttp may try a GET again on a reset connection
        wait_until(lambda: api.in_flight == 0)


def test_a_slow_body_comes_in_the_end(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weather, "DRIP", 0.0)
    with pokeapi.serve(latency=0.0, faults={"slow": 1}) as api:
        assert session.get(f"{api.url}/pokemon/1").json()["name"] == "bulbasaur"
        assert session.get(f"{api.url}/pokemon/2").json()["name"] == "ivysaur"


def test_every_nth_request_meets_its_fault(session: requests.Session) -> None:
    with pokeapi.serve(latency=0.0, faults={"500": 3}) as api:
        statuses = [session.get(f"{api.url}/pokemon/1").status_code for _ in range(6)]
    assert statuses == [200, 200, 500, 200, 200, 500]


def test_fates_follow_the_seed_and_the_probabilities() -> None:
    def fates(seed: int) -> list[weather.Fate]:
        conditions = Conditions(latency=0.1, jitter=0.05, faults={"500": 0.1, "reset": 0.2}, seed=seed)
        return list(itertools.islice(conditions.fates(), 10_000))

    assert fates(1) == fates(1) != fates(2)
    met = [fate.fault for fate in fates(1)]
    assert 900 < met.count("500") < 1100
    assert 1850 < met.count("reset") < 2150
    delays = [fate.delay for fate in fates(1)]
    assert 0.05 <= min(delays) < 0.06 < 0.14 < max(delays) <= 0.15
    assert next(Conditions(latency=0.0, jitter=0.0).fates()).delay == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latency": -1}, "latency must be at least 0 seconds, got -1"),
        ({"jitter": float("nan")}, "jitter must be at least 0 seconds, got nan"),
        ({"rate": 0}, "rate must be more than 0 requests a second, or None, got 0"),
        ({"faults": {"404": 0.5}}, "unknown fault '404'; there are 500, reset, slow, truncated, json"),
        ({"faults": {"500": 1.5}}, "fault 500 must be a probability up to 1 or a whole number from 2"),
        ({"faults": {"500": -0.1}}, "got -0.1"),
        ({"faults": {"500": 0.6, "reset": 0.6}}, "must add up to at most 1"),
        ({"port": 70000}, "port must be between 0 and 65535, got 70000"),
    ],
)
def test_arguments_without_sense_are_refused_at_the_call(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pokeapi.serve(**arguments)


# How it comes and goes ------------------------------------------------------------------------------------


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0


def test_starts_and_stops_leave_no_thread_and_no_socket() -> None:
    threads, files = threading.enumerate(), open_files()
    for _ in range(5):
        with pokeapi.serve(latency=0.0) as api:
            assert requests.get(f"{api.url}/pokemon/1", timeout=5).ok
            assert len(threading.enumerate()) == len(threads) + 1
    assert threading.enumerate() == threads
    assert open_files() == files


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the end waited for clients after all, it would do so for 40 seconds, not for uvicorn's one."""
    made = uvicorn.Config
    monkeypatch.setattr(uvicorn, "Config", lambda app, **more: made(app, **more | {"timeout_graceful_shutdown": 40}))


@pytest.mark.usefixtures("patient")
def test_the_end_waits_neither_for_connections_nor_for_requests() -> None:
    def ask_for_ever() -> None:
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{api.url}/pokemon/1", timeout=50)
        failed.set()

    failed = threading.Event()
    clients = [threading.Thread(target=ask_for_ever) for _ in range(5)]
    with contextlib.ExitStack() as idle:
        with pokeapi.serve(latency=60.0) as api:
            idle.enter_context(socket.create_connection(("127.0.0.1", port_of(api))))
            for client in clients:
                client.start()
            wait_until(lambda: api.in_flight == 5)
            begun = time.monotonic()
        assert time.monotonic() - begun < 20  # about 0.1
    for client in clients:
        client.join(5)
    assert failed.is_set()
    assert api.in_flight == 0


@pytest.mark.usefixtures("patient")
def test_the_end_comes_promptly_amid_slow_bodies() -> None:
    with pokeapi.serve(latency=0.0, faults={"slow": 1}) as api:
        answer = requests.get(f"{api.url}/pokemon/1", stream=True, timeout=5)
        begun = time.monotonic()
    assert time.monotonic() - begun < 20
    with pytest.raises(requests.RequestException), answer:
        _ = answer.content


def test_the_end_comes_cleanly_while_connections_arrive() -> None:
    for _ in range(10):
        with pokeapi.serve(latency=0.0) as api, contextlib.ExitStack() as clients:
            for _ in range(100):
                client = clients.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port_of(api)))
        assert api.in_flight == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_client_that_left_meets_no_fault(fault: str) -> None:
    with pokeapi.serve(latency=0.1, faults={fault: 1}) as api:
        with socket.create_connection(("127.0.0.1", port_of(api))) as client:
            client.sendall(b"GET /api/v2/pokemon/1 HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: api.in_flight == 1)
        wait_until(lambda: api.in_flight == 0)
        assert api.answers == {fault: 1}


def test_an_error_inside_comes_out_and_the_server_ends() -> None:
    threads = threading.enumerate()
    with pytest.raises(KeyError, match="mine"), pokeapi.serve():
        raise KeyError("mine")
    assert threading.enumerate() == threads


def test_two_servers_run_side_by_side_and_a_taken_port_is_an_error(session: requests.Session) -> None:
    with pokeapi.serve(latency=0.0) as one, pokeapi.serve(latency=0.0) as two:
        assert one.url != two.url
        assert session.get(f"{two.url}/pokemon/1").ok
        assert (one.requests, two.requests) == (0, 1)
        taken = pokeapi.serve(port=port_of(one))
        with pytest.raises(OSError, match="in use"), taken:
            pass


# The command line -----------------------------------------------------------------------------------------

COMMAND = [sys.executable, "-W", "error", "-m", "whilst.demo.pokeapi"]


def test_the_command_serves_until_ctrl_c_and_ends_quietly(session: requests.Session) -> None:
    command = [*COMMAND, "--port", "0", "--latency", "0", "--fault", "500=2", "--rate", "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.split()[0]
        assert f"curl {url}/pokemon/pikachu" in line
        assert [session.get(f"{url}/pokemon/pikachu").status_code for _ in range(2)] == [200, 500]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 130


def test_the_command_says_that_a_port_is_taken(api: pokeapi.Api) -> None:
    port = str(port_of(api))
    ended = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: port {port}: Address already in use; try: --port 0\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--latency", "fast"], "'fast' is not a valid float"),
        (["--rate", "-1"], "rate must be more than 0 requests a second"),
        (["--fault", "500"], "'500' has no number; try: --fault 500=0.05"),
        (["--fault", "teapot=0.5"], "unknown fault 'teapot'; there are 500, reset, slow, truncated, json"),
        (["--port", "-1"], "port must be between 0 and 65535, got -1"),
    ],
)
def test_the_command_explains_bad_arguments(arguments: list[str], message: str) -> None:
    ended = CliRunner().invoke(pokeapi.main, arguments)
    assert ended.exit_code == 2
    assert message in ended.output


@pytest.mark.parametrize("library", ["starlette", "uvicorn"])
def test_without_its_libraries_the_import_says_what_to_install(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; import whilst.demo.pokeapi"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert f"the demo API needs {library}, which is not installed" in ended.stderr
    assert "pip install 'whilst[demo]'" in ended.stderr


@pytest.mark.parametrize("module", [pokeapi, pokedex, weather])
def test_the_examples_in_the_documentation_hold(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_every_fault_is_documented() -> None:
    assert all(f'`"{fault}"`' in (pokeapi.serve.__doc__ or "") for fault in FAULTS)
