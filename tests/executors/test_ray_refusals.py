"""What a cluster is refused for, before there is one: none of this needs Ray."""

from __future__ import annotations

import builtins
import socket
from typing import Any

import pytest

from whilst.ray import cluster


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "ray":
            raise ImportError("No module named 'ray'", name="ray")
        return real(name, *rest)

    monkeypatch.setattr(cluster, "import_module", missing)
    with pytest.raises(ImportError, match=r'pip install "whilst\[ray\]"'):
        cluster.ray_module()


@pytest.mark.parametrize(
    ("address", "kind", "said"),
    [
        (17, TypeError, 'must be None, "auto" or "host:port"'),
        ("somewhere", ValueError, 'must be "auto" or "host:port"'),
        ("10.0.0.7:6379", ValueError, "trusted=True"),
        ("ray://10.0.0.7:10001", ValueError, "not supported"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(address: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        cluster.check_address(address, trusted=False)


def test_what_is_vouched_for_or_here_is_not() -> None:
    assert cluster.check_address("10.0.0.7:6379", trusted=True) == "10.0.0.7:6379"
    assert cluster.check_address("127.0.0.1:6379", trusted=False) == "127.0.0.1:6379"
    assert cluster.check_address("localhost:6379", trusted=False) == "localhost:6379"
    assert cluster.check_address("[::1]:6379", trusted=False) == "[::1]:6379"
    assert cluster.check_address("auto", trusted=False) == "auto"
    assert cluster.check_address(None, trusted=False) is None


def test_a_dead_address_is_given_up_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionError, match=f"no Ray cluster answers at 127.0.0.1:{port}"):
        cluster.probe(f"127.0.0.1:{port}")
