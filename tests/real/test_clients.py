"""What the exceptions of the real clients are taken for: each library, each thing that can go wrong."""

from __future__ import annotations

import asyncio
import datetime
import re
import ssl
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faultserver import SERVER_TIME, FaultServer, refusing_port
from selfsigned import self_signed

import whilst
from whilst.core.failures import kind_of
from whilst.core.pushback import CAP, Pushback, host_of, pushback_of, status_of
from whilst.core.retried import retried_inside, retries_of
from whilst.remote.failures import decoded_failure, encoded_failure

WRONG_CLOCK = SERVER_TIME + 86400 * 365  # of this machine, by a year
PATIENCE = 2.0  # seconds that clients wait for an answer; a busy machine may take one for an honest one


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    with refusing_port() as port:
        yield f"http://127.0.0.1:{port}/x"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    """Give a server whose certificate nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path_factory.mktemp("tls") / "server.pem"))
    with FaultServer(context) as running:
        yield running


# The HTTP clients, each as a function of a URL that raises --------------------------------------------------------


def by_requests(url: str) -> None:
    requests = pytest.importorskip("requests")
    answer = requests.get(url, timeout=PATIENCE)
    answer.raise_for_status()
    answer.json()


def by_urllib(url: str) -> None:
    import json
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            json.loads(answer.read())
    except urllib.error.HTTPError as error:
        error.close()  # it is the answer too
        raise


def by_httpx(url: str) -> None:
    httpx = pytest.importorskip("httpx")
    answer = httpx.get(url, timeout=PATIENCE)
    answer.raise_for_status()
    answer.json()


def by_httpx_async(url: str) -> None:
    httpx = pytest.importorskip("httpx")

    async def get() -> None:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.get(url)
            answer.raise_for_status()
            answer.json()

    asyncio.run(get())


def by_aiohttp(url: str) -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def get() -> None:
        patience = aiohttp.ClientTimeout(total=PATIENCE)
        async with (
            aiohttp.ClientSession(timeout=patience, raise_for_status=True) as session,
            session.get(url) as answer,
        ):
            await answer.json()

    asyncio.run(get())


def by_openai(url: str) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(api_key="canary", base_url=url, max_retries=0, timeout=PATIENCE) as client:
        client.models.list()


def by_pyreqwest(url: str) -> None:
    client = pytest.importorskip("pyreqwest.client")
    patience = datetime.timedelta(seconds=PATIENCE)
    with client.SyncClientBuilder().error_for_status(True).timeout(patience).build() as session:
        session.get(url).build().send().json()


def by_urllib3(url: str) -> None:
    """Fetch without retries; urllib3 itself raises nothing for a status."""
    urllib3 = pytest.importorskip("urllib3")
    with urllib3.PoolManager(timeout=PATIENCE, retries=False) as pool:
        pool.request("GET", url).json()


def by_botocore(url: str) -> None:
    """Call a service that speaks JSON, so that our answers can be read by it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it parses dates in a way that new Pythons warn about
        session = pytest.importorskip("botocore.session").Session()
        session.set_credentials("canary", "canary")
        config = pytest.importorskip("botocore.config").Config(
            read_timeout=PATIENCE,
            connect_timeout=PATIENCE,
            retries={"total_max_attempts": 1},
            parameter_validation=False,
        )
        client = session.create_client("dynamodb", "us-east-1", endpoint_url=url, config=config)
        client.meta.events.register("before-send.*", lambda request, **_: setattr(request, "url", url))
        try:
            client.list_tables()
        finally:
            client.close()


CLIENTS: list[Callable[[str], None]] = [
    *(by_requests, by_urllib, by_httpx, by_httpx_async, by_aiohttp, by_openai, by_pyreqwest, by_botocore)
]
CONNECTORS = [*CLIENTS, by_urllib3]
BODY_READERS = [client for client in CONNECTORS if client not in (by_openai, by_botocore)]


def failure(call: Callable[..., object], *args: object) -> BaseException:
    """Return what a call raises; it comes from another process as what it is."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any, that is the point
        call(*args)
    found = decoded_failure(encoded_failure(caught.value))
    assert judged(found) == judged(caught.value)
    return caught.value


def judged(error: BaseException) -> tuple[object, ...]:
    words = re.sub("0x[0-9a-f]+", "", str(error)), kind_of(error), host_of(error), status_of(error)
    return type(error), *words, whilst.transient(error), pushback_of(error, WRONG_CLOCK)


def each(clients: list[Callable[[str], None]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("client", clients, ids=lambda client: client.__name__.removeprefix("by_"))


# What they are taken for ------------------------------------------------------------------------------------------


@each(CLIENTS)
@pytest.mark.parametrize(
    ("status", "again", "pushes"),
    [
        *((status, False, False) for status in (400, 401, 403, 404, 501)),
        *((status, True, False) for status in (425, 500)),
        *((status, True, True) for status in (408, 429, 503, 504, 529)),
    ],
)
def test_a_status_is_found(
    client: Callable[[str], None], server: FaultServer, status: int, again: bool, pushes: bool
) -> None:
    error = failure(client, server.url(str(status)))
    assert status_of(error) == status
    assert kind_of(error) == str(status)
    assert whilst.transient(error) is again
    pushback = pushback_of(error, WRONG_CLOCK)
    assert (pushback is not None) is pushes
    if pushback is not None:
        assert pushback.reason.startswith(str(status))
        assert (pushback.retry_after, pushback.timeout) == (None, status in (408, 504))


TELLING = [client for client in CLIENTS if client is not by_pyreqwest]  # whose exception keeps no headers


@each(TELLING)
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("seconds", Pushback("429 Too Many Requests", 7.0)),
        ("date", Pushback("429 Too Many Requests", 90.0)),
        ("past", Pushback("503 Service Unavailable", 0.0)),
        ("absurd", Pushback("503 Service Unavailable", CAP, absurd="Retry-After: 99999999 capped at 3600 s")),
        (
            "garbage",
            Pushback("429 Too Many Requests", absurd="Retry-After ignored: 'soon' is neither seconds nor a date"),
        ),
        ("draft", Pushback("429 Too Many Requests", rate=5.0, window=10.0)),
        ("spent", Pushback("403 Forbidden", 40.0)),
    ],
)
def test_headers_are_obeyed_whatever_the_local_clock_says(
    client: Callable[[str], None], server: FaultServer, answer: str, expected: Pushback
) -> None:
    error = failure(client, server.url(answer))
    assert pushback_of(error, WRONG_CLOCK) == expected
    assert whilst.transient(error)


@each(CONNECTORS)
def test_a_refused_connection_is_pushback(client: Callable[[str], None], nobody: str) -> None:
    error = failure(client, nobody)
    assert pushback_of(error, WRONG_CLOCK) == Pushback("connection refused")
    assert whilst.transient(error)


@each(CONNECTORS)
@pytest.mark.parametrize("fault", ["reset", "closed"])
def test_a_broken_connection_may_be_tried_again(client: Callable[[str], None], server: FaultServer, fault: str) -> None:
    error = failure(client, server.url(fault))
    assert whilst.transient(error)
    assert pushback_of(error, WRONG_CLOCK) is None
    assert status_of(error) is None


@each(CONNECTORS)
def test_silence_is_a_timeout(client: Callable[[str], None], server: FaultServer) -> None:
    error = failure(client, server.url("silence"))
    assert pushback_of(error, WRONG_CLOCK) == Pushback("timeout", timeout=True)
    assert whilst.transient(error)


@each(BODY_READERS)
def test_a_truncated_body_may_be_tried_again(client: Callable[[str], None], server: FaultServer) -> None:
    error = failure(client, server.url("truncated"))
    assert whilst.transient(error)
    assert pushback_of(error, WRONG_CLOCK) is None


@each(BODY_READERS)
def test_wrong_json_is_not_tried_again(client: Callable[[str], None], server: FaultServer) -> None:
    error = failure(client, server.url("json"))
    assert not whilst.transient(error)
    assert pushback_of(error, WRONG_CLOCK) is None


@each(CONNECTORS)
def test_an_unknown_certificate_is_not_tried_again(client: Callable[[str], None], stranger: FaultServer) -> None:
    error = failure(client, stranger.url("200"))
    assert not whilst.transient(error)
    assert pushback_of(error, WRONG_CLOCK) is None


@each(CONNECTORS)
def test_a_host_that_does_not_exist_is_not_tried_again_unless_the_resolver_says_so(
    client: Callable[[str], None],
) -> None:
    error = failure(client, "http://nothing.invalid/x")
    later = "Temporary failure" in repr(error) + repr(error.__cause__) + repr(error.__context__)
    assert whilst.transient(error) is later
    assert pushback_of(error, WRONG_CLOCK) is None


@each([client for client in TELLING if client is not by_botocore])
def test_the_host_is_known_and_nothing_beside_it(client: Callable[[str], None], server: FaultServer) -> None:
    assert host_of(failure(client, server.url("500"))) == "127.0.0.1"


@each([client for client in CONNECTORS if client is not by_urllib])
def test_the_host_that_refuses_is_known(client: Callable[[str], None], nobody: str) -> None:
    assert host_of(failure(client, nobody)) == "127.0.0.1"


# botocore's own words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "again", "reason"),
    [
        ("ThrottlingException", 400, True, "400 ThrottlingException"),
        ("ProvisionedThroughputExceededException", 400, True, "400 ProvisionedThroughputExceededException"),
        ("SlowDown", 503, True, "503 SlowDown"),
        ("AccessDeniedException", 400, False, ""),
        ("ResourceNotFoundException", 404, False, ""),
    ],
)
def test_a_service_of_aws_says_it_by_code(code: str, status: int, again: bool, reason: str) -> None:
    exceptions = pytest.importorskip("botocore.exceptions")
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 4}
    error = exceptions.ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "Query")
    assert whilst.transient(error) is again
    pushback = pushback_of(error, WRONG_CLOCK)
    assert (pushback.reason if pushback else "") == reason
    assert retried_inside(error) == "botocore"


# gRPC -----------------------------------------------------------------------------------------------------------------


@dataclass
class Refusal:
    """How the gRPC server ends a call."""

    metadata: tuple[tuple[str, Any], ...] = ()


@pytest.fixture
def rpc() -> Iterator[tuple[str, Refusal]]:
    """Start a server whose method's name is the code that it ends with."""
    grpc = pytest.importorskip("grpc")
    from concurrent.futures import ThreadPoolExecutor

    refusal = Refusal()

    class Aborting(grpc.GenericRpcHandler):  # type: ignore[misc, name-defined, unused-ignore]
        def service(self, details: Any) -> Any:
            def abort(request: bytes, context: Any) -> None:
                context.set_trailing_metadata(refusal.metadata)
                context.abort(getattr(grpc.StatusCode, details.method.rpartition("/")[2]), "no")

            return grpc.unary_unary_rpc_method_handler(abort)

    with ThreadPoolExecutor(2) as pool:
        running = grpc.server(pool)
        running.add_generic_rpc_handlers((Aborting(),))
        port = running.add_insecure_port("127.0.0.1:0")
        running.start()
        yield f"127.0.0.1:{port}", refusal
        running.stop(0).wait()


def call_rpc(address: str, code: str) -> None:
    import grpc

    with grpc.insecure_channel(address) as channel:
        channel.unary_unary(f"/test.Service/{code}")(b"", timeout=5)


def call_rpc_async(address: str, code: str) -> None:
    import grpc

    async def call() -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            await channel.unary_unary(f"/test.Service/{code}")(b"", timeout=5)

    asyncio.run(call())


@pytest.mark.parametrize("call", [call_rpc, call_rpc_async])
@pytest.mark.parametrize(
    ("code", "again", "pushes"),
    [
        ("RESOURCE_EXHAUSTED", True, True),
        ("UNAVAILABLE", True, True),
        ("DEADLINE_EXCEEDED", True, True),
        ("ABORTED", True, False),
        ("UNAUTHENTICATED", False, False),
        ("INVALID_ARGUMENT", False, False),
        ("INTERNAL", False, False),
    ],
)
def test_a_grpc_code_is_found(
    call: Callable[[str, str], None], rpc: tuple[str, Refusal], code: str, again: bool, pushes: bool
) -> None:
    error = failure(call, rpc[0], code)
    assert whilst.transient(error) is again
    pushback = pushback_of(error, WRONG_CLOCK)
    assert (pushback.reason if pushback else "") == (code if pushes else "")
    assert (pushback is not None and pushback.timeout) is (code == "DEADLINE_EXCEEDED")


def protobuf(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


RETRY_INFO = protobuf(1, 8) + protobuf(
    3, protobuf(1, b"type.googleapis.com/google.rpc.RetryInfo") + protobuf(2, protobuf(1, protobuf(1, 42)))
)


@pytest.mark.parametrize("call", [call_rpc, call_rpc_async])
@pytest.mark.parametrize(
    ("metadata", "seconds"),
    [
        ((("retry-after", "3"),), 3.0),
        ((("grpc-retry-pushback-ms", "1500"),), 1.5),
        ((("grpc-status-details-bin", RETRY_INFO),), 42.0),
        ((("other", "3"),), None),
    ],
)
def test_trailing_metadata_says_how_long(
    call: Callable[[str, str], None], rpc: tuple[str, Refusal], metadata: tuple[Any, ...], seconds: float | None
) -> None:
    address, refusal = rpc
    refusal.metadata = metadata
    pushback = pushback_of(failure(call, address, "RESOURCE_EXHAUSTED"), WRONG_CLOCK)
    assert pushback == Pushback("RESOURCE_EXHAUSTED", seconds)


def test_a_grpc_server_that_is_not_there_is_pushback(nobody: str) -> None:
    pytest.importorskip("grpc")
    error = failure(call_rpc, nobody.split("/")[2], "X")
    assert pushback_of(error, WRONG_CLOCK) == Pushback("UNAVAILABLE")


# Databases ------------------------------------------------------------------------------------------------------------


def postgres(sqlstate: str, message: str) -> Callable[[bytes], bytes]:
    """Refuse a client the way PostgreSQL does, after declining to encrypt."""
    fields = b"".join(key + text.encode() + b"\0" for key, text in ((b"S", "FATAL"), (b"C", sqlstate), (b"M", message)))

    def answer(received: bytes) -> bytes:
        if len(received) == 8:  # may we encrypt?
            return b"N"
        return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"

    return answer


def connect_psycopg(port: int) -> None:
    psycopg = pytest.importorskip("psycopg")
    psycopg.connect(f"host=127.0.0.1 port={port} user=me dbname=x connect_timeout=2").close()


def test_a_postgres_that_is_not_there_is_pushback() -> None:
    with refusing_port() as port:
        error = failure(connect_psycopg, port)
    assert pushback_of(error, WRONG_CLOCK) == Pushback("connection refused")
    assert whilst.transient(error)


@pytest.mark.parametrize(
    ("sqlstate", "message", "again", "reason"),
    [
        ("53300", "sorry, too many clients already", True, "too many connections"),
        ("57P03", "the database system is starting up", True, "the database cannot take connections now"),
        ("28P01", 'password authentication failed for user "me"', False, ""),
        ("3D000", 'database "x" does not exist', False, ""),
    ],
)
def test_a_postgres_that_refuses_says_why(sqlstate: str, message: str, again: bool, reason: str) -> None:
    with FaultServer(script=postgres(sqlstate, message)) as server:
        error = failure(connect_psycopg, server.port)
    assert whilst.transient(error) is again
    pushback = pushback_of(error, WRONG_CLOCK)
    assert (pushback.reason if pushback else "") == reason


@pytest.mark.parametrize(
    ("name", "again", "pushes"),
    [
        ("TooManyConnections", True, True),
        ("CannotConnectNow", True, True),
        ("SerializationFailure", True, False),
        ("DeadlockDetected", True, False),
        ("AdminShutdown", True, False),
        ("ConnectionFailure", True, False),
        ("UniqueViolation", False, False),
        ("UndefinedTable", False, False),
        ("ProtocolViolation", False, False),
    ],
)
def test_an_sqlstate_is_found(name: str, again: bool, pushes: bool) -> None:
    error = getattr(pytest.importorskip("psycopg.errors"), name)("no")
    assert whilst.transient(error) is again
    assert (pushback_of(error, WRONG_CLOCK) is not None) is pushes


def ping_redis(port: int) -> None:
    redis = pytest.importorskip("redis")
    with redis.Redis(port=port, retry=None, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE) as client:
        client.ping()


def test_a_redis_that_is_not_there_is_pushback() -> None:
    with refusing_port() as port:
        error = failure(ping_redis, port)
    assert pushback_of(error, WRONG_CLOCK) == Pushback("connection refused")


@pytest.mark.parametrize(
    ("answer", "again", "reason"),
    [
        ("-LOADING Redis is loading the dataset in memory", True, "the database cannot take connections now"),
        ("-ERR max number of clients reached", True, "too many connections"),
        ("-WRONGPASS invalid username-password pair", False, ""),
        ("-NOAUTH Authentication required.", False, ""),
        ("-ERR unknown command 'PING'", False, ""),
    ],
)
def test_a_redis_that_refuses_says_why(answer: str, again: bool, reason: str) -> None:
    def script(received: bytes) -> bytes:
        return f"{answer}\r\n".encode() * received.count(b"*")  # one for each command

    with FaultServer(script=script) as server:
        error = failure(ping_redis, server.port)
    assert whilst.transient(error) is again
    pushback = pushback_of(error, WRONG_CLOCK)
    assert (pushback.reason if pushback else "") == reason


def test_a_silent_redis_is_a_timeout(server: FaultServer) -> None:
    assert pushback_of(failure(ping_redis, server.port), WRONG_CLOCK) == Pushback("timeout", timeout=True)


def test_a_locked_sqlite_may_be_tried_again(tmp_path: Path) -> None:
    import contextlib
    import sqlite3

    with (
        contextlib.closing(sqlite3.connect(tmp_path / "x")) as one,
        contextlib.closing(sqlite3.connect(tmp_path / "x", timeout=0)) as two,
    ):
        one.execute("BEGIN EXCLUSIVE")
        assert whilst.transient(failure(two.execute, "CREATE TABLE t (x)"))
        assert not whilst.transient(failure(one.execute, "SELECT * FROM missing"))


# Retries that are there already -----------------------------------------------------------------------------------


def always() -> None:
    raise TimeoutError


def test_tenacity_is_seen_on_functions_and_errors() -> None:
    tenacity = pytest.importorskip("tenacity")
    policy = {"stop": tenacity.stop_after_attempt(2), "wait": tenacity.wait_none()}

    @tenacity.retry(**policy)
    async def patient() -> None: ...

    wrapped, direct = tenacity.retry(**policy)(always), tenacity.retry(**policy, reraise=True)(always)
    assert retries_of(wrapped) == retries_of(patient) == retries_of(tenacity.Retrying()) == "tenacity"
    assert retried_inside(failure(wrapped)) == retried_inside(failure(direct)) == "tenacity"
    assert whilst.transient(failure(wrapped))


def test_stamina_is_seen_on_functions_and_errors() -> None:
    stamina = pytest.importorskip("stamina")

    @stamina.retry(on=TimeoutError)
    async def patient() -> None: ...

    blocking = stamina.retry(on=TimeoutError, attempts=2, wait_initial=0.001)(always)
    caller = stamina.RetryingCaller(attempts=2, wait_initial=0.001)
    assert retries_of(blocking) == retries_of(patient) == retries_of(caller.on(TimeoutError)) == "stamina"
    assert retried_inside(failure(blocking)) == "stamina"


@pytest.mark.parametrize(("total", "found"), [(0, ""), (2, "urllib3")])
@pytest.mark.parametrize("fault", ["reset", "refused"])
def test_retries_of_urllib3_are_seen(server: FaultServer, nobody: str, total: int, found: str, fault: str) -> None:
    urllib3 = pytest.importorskip("urllib3")
    with urllib3.PoolManager(retries=urllib3.Retry(total, backoff_factor=0)) as pool:
        error = failure(pool.request, "GET", nobody if fault == "refused" else server.url(fault))
    assert retried_inside(error) == found
    assert whilst.transient(error)


@pytest.mark.parametrize("raises", [True, False])
def test_retries_under_a_session_of_requests_are_seen(server: FaultServer, raises: bool) -> None:
    requests, urllib3 = pytest.importorskip("requests"), pytest.importorskip("urllib3")
    policy = urllib3.Retry(1, status_forcelist=[429], respect_retry_after_header=False, raise_on_status=raises)
    with requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=policy))
        error = failure(lambda: session.get(server.url("seconds"), timeout=5).raise_for_status())
    assert retried_inside(error) == "urllib3"
    assert status_of(error) == 429
    pushback = pushback_of(error, WRONG_CLOCK)
    assert pushback == Pushback("429 Too Many Requests", None if raises else 7.0)  # a RetryError has lost the answer
    assert retried_inside(failure(by_requests, server.url("seconds"))) == ""


@pytest.mark.parametrize("fault", ["reset", "closed"])
def test_a_connection_that_broke_under_plain_requests_was_not_retried_by_urllib3(
    server: FaultServer, fault: str
) -> None:
    error = failure(by_requests, server.url(fault))
    assert "Connection aborted" in str(error)
    assert retried_inside(error) == ""


@pytest.mark.parametrize(("count", "found"), [(0, ""), (1, "openai")])
def test_retries_of_openai_are_seen(server: FaultServer, count: int, found: str) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(api_key="canary", base_url=server.url("500"), max_retries=count) as client:
        error = failure(client.models.list)
    assert retried_inside(error) == found
