"""Which cluster is it, may it be used, and which nodes has it? Connecting, and looking around.

Ray itself waits for more than a minute for an address where nobody listens, and cannot be interrupted meanwhile: so the
address is tried first.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from importlib import import_module
from typing import Any, Final

PROBE: Final = 3.0  # seconds until an address that does not answer is given up
INSTALL: Final = 'pip install "whilst[ray]"'


def ray_module() -> Any:
    """Return Ray; ImportError says how to get it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return import_module("ray")
    except ImportError as error:
        raise ImportError(f"executor=whilst.ray.Ray(…) needs Ray, which is not installed\n  try: {INSTALL}") from error


def check_address(address: object, trusted: bool) -> str | None:
    """Return an address that may be used; None is a cluster of this machine alone, which is started.

    Raises:
        TypeError, ValueError: it cannot be meant, or leads to machines that nobody has vouched for.
    """
    if address is None:
        return None
    if address == "auto":
        return "auto"
    if not isinstance(address, str):
        raise TypeError(f'address must be None, "auto" or "host:port", got {address!r}')
    if address.startswith("ray://"):
        raise ValueError(
            f"{address}: Ray's client protocol is not supported\n"
            '  try: run the program on a machine of the cluster, with address="auto" or its "host:port"'
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f'address must be "auto" or "host:port", got {address!r}\n  try: "127.0.0.1:6379"')
    if not (trusted or _is_loopback(host)):
        raise ValueError(
            f"{address} is another machine: whoever can reach a Ray cluster can run code on it, and its answers are "
            "unpickled here\n  try: trusted=True, if everybody who can reach it may do that"
        )
    return address


def probe(address: str | None) -> None:
    """Raise ConnectionError if nobody listens at an address."""
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE).close()
    except OSError as error:
        raise ConnectionError(
            f"no Ray cluster answers at {address}: {error.strerror or error}\n"
            "  try: ray start --head, or whilst.ray.Ray() for a cluster on this machine only"
        ) from None


def connect(address: str | None, options: dict[str, Any]) -> bool:
    """Connect this process to a cluster, or begin one; False if it is connected already, to whatever that is."""
    ray = ray_module()
    if ray.is_initialized():
        return False
    probe(address)
    given: dict[str, Any] = {"configure_logging": False, "log_to_driver": True, **options}
    if address is None:
        given.setdefault("include_dashboard", False)
    else:
        given["address"] = address
    try:
        ray.init(**given)
    except ConnectionError as error:
        raise ConnectionError(
            f"no Ray cluster was found: {error}\n"
            "  try: ray start --head, or whilst.ray.Ray() for one on this machine only"
        ) from None
    return True


def version() -> str:
    """Return the version of this library."""
    found: str = import_module("whilst").__version__
    return found


def nodes() -> list[str]:
    """Return the ids of the nodes that are alive."""
    found: list[str] = []
    for node in ray_module().nodes():
        if node["Alive"]:
            found.append(node["NodeID"])
            _places[node["NodeID"]] = node["NodeManagerAddress"], node["NodeManagerPort"]
    return found


def place_of(node: str) -> tuple[str, int]:
    """Return the host of a node, and the port where it is asked for workers; as they were seen last."""
    return _places.get(node, ("", 0))


_places: dict[str, tuple[str, int]] = {}


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
