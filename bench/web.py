"""How each contestant fetches small JSON documents from nginx on loopback: as commands, their start-up included.

Every command gets a file of URLs and writes to its standard output one line a document, with the document in it.
"""

import contextlib
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measuring import no_job
from bench.model import WHILST, Contestant, NotInstalledError, Sample

AT_ONCE = 100
XARGS = "xargs -P 32 curl"
AIOHTTP = "aiohttp script"
WITHOUT_UVLOOP = "whilst, without uvloop"
RAW = "pyreqwest by hand, uvloop"

SCRIPT = """\
import asyncio, json, sys
import aiohttp

async def main(path):
    with open(path) as file:
        urls = iter(file.read().split())
    connector = aiohttp.TCPConnector(limit=100)
    async with aiohttp.ClientSession(connector=connector) as session:
        async def worker():
            for url in urls:
                async with session.get(url) as response:
                    response.raise_for_status()
                    value = await response.json()
                sys.stdout.write(json.dumps({"input": url, "value": value}) + "\\n")
        await asyncio.gather(*(worker() for _ in range(100)))

RUN(main(sys.argv[1]))
"""

RAW_SCRIPT = """\
import json, sys
import uvloop
from pyreqwest.client import ClientBuilder

async def main(path):
    import asyncio
    with open(path) as file:
        urls = iter(file.read().split())
    async with ClientBuilder().error_for_status(True).build() as client:
        async def worker():
            for url in urls:
                response = await client.get(url).build().send()
                value = await response.json()
                sys.stdout.write(json.dumps({"input": url, "value": value}) + "\\n")
        await asyncio.gather(*(worker() for _ in range(100)))

uvloop.run(main(sys.argv[1]))
"""


def whilst_get(urls: Path) -> list[str]:
    beside = Path(sys.executable).with_name("whilst")
    command = [str(beside)] if beside.exists() else [sys.executable, "-m", "whilst.cli.main"]
    return [*command, "get", str(urls), "-j", str(AT_ONCE), "--quiet"]


def whilst_get_on_asyncio(urls: Path) -> list[str]:
    return ["env", "WHILST_LOOP=asyncio", *whilst_get(urls)]


def raw_script(urls: Path) -> list[str]:
    return [sys.executable, "-c", RAW_SCRIPT, str(urls)]


def aiohttp_script(urls: Path) -> list[str]:
    return [sys.executable, "-c", SCRIPT.replace("RUN", "asyncio.run"), str(urls)]


def aiohttp_on_uvloop(urls: Path) -> list[str]:
    return [sys.executable, "-c", "import uvloop\n" + SCRIPT.replace("RUN", "uvloop.run"), str(urls)]


def curl_parallel(urls: Path) -> list[str]:
    config = urls.with_suffix(".curl")
    config.write_text("".join(f'url = "{url}"\n' for url in urls.read_text().split()))
    return ["curl", "--silent", "--no-buffer", "--parallel", "--parallel-max", str(AT_ONCE), "--config", str(config)]


def xargs_curl(urls: Path) -> list[str]:
    return ["sh", "-c", 'xargs -P 32 -n 1 curl --silent < "$0"', str(urls)]


COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    RAW: raw_script,
    WHILST: whilst_get,
    WITHOUT_UVLOOP: whilst_get_on_asyncio,
    "curl --parallel": curl_parallel,
    AIOHTTP: aiohttp_script,
    "aiohttp on uvloop": aiohttp_on_uvloop,
    XARGS: xargs_curl,
}


CONTESTANTS = (
    Contestant(RAW, no_job, needs="pyreqwest", kind="floor", ordered=False),
    Contestant(WHILST, no_job, kind="whilst"),
    Contestant(WITHOUT_UVLOOP, no_job, kind="whilst"),
    Contestant("curl --parallel", no_job, kind="floor", ordered=False),
    Contestant(AIOHTTP, no_job, needs="aiohttp", ordered=False),
    Contestant("aiohttp on uvloop", no_job, needs="aiohttp", ordered=False),
    Contestant(XARGS, no_job, ordered=False, slow=20),
)


def fetching(full: int) -> Callable[[Contestant, int], Sample]:
    """Measure seconds for `full` documents."""

    def measure(contestant: Contestant, n: int) -> Sample:
        if "curl" in contestant.name and shutil.which("curl") is None:
            raise NotInstalledError("curl")
        with serving(n) as (urls, folder):
            command, out = COMMANDS[contestant.name](urls), folder / "out"
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = time.perf_counter()
            with out.open("wb") as file:
                subprocess.run(command, stdout=file, stderr=subprocess.PIPE, check=True, timeout=120)
            took = time.perf_counter() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            check(out.read_bytes(), n, contestant.ordered)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Sample(n, took / n * full, cpu=cpu / n * 1e6)

    return measure


def check(out: bytes, n: int, ordered: bool) -> None:
    found = [int(it) for it in re.findall(rb'"id": ?(\d+), ?"name"', out)]
    if (found if ordered else sorted(found)) != list(range(n)):
        raise RuntimeError(f"{len(found)} documents for {n} URLs, or their order")


@contextlib.contextmanager
def serving(n: int) -> Iterator[tuple[Path, Path]]:
    """Start an nginx of our own over n documents; give a file of their URLs, and a folder."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        raise NotInstalledError("nginx")
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as probe:
        folder, port = Path(name), probe.getsockname()[1]
        folder.chmod(0o755)  # nginx's workers are somebody else where it is started as root
        (folder / "www").mkdir()
        for number in range(n):
            document = {"id": number, "name": f"item-{number}", "tags": ["a", "b"], "ok": True}
            (folder / "www" / str(number)).write_text(json.dumps(document) + "\n")
        (folder / "urls.txt").write_text("".join(f"http://127.0.0.1:{port}/{number}\n" for number in range(n)))
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log stderr crit; events {{ worker_connections 700; }}\n"
            "http { access_log off; default_type application/json; keepalive_requests 1000000;\n"
            f"{''.join(f'{kind}_temp_path {folder}/{kind};' for kind in kinds)}\n"
            f"server {{ listen 127.0.0.1:{port} backlog=1024; root {folder}/www; }} }}\n"
        )
        probe.close()
        command = [program, "-e", "stderr", "-p", name, "-c", str(folder / "nginx.conf")]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_for(port, server)
            yield folder / "urls.txt", folder
        finally:
            server.terminate()
            server.wait(10)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return
