"""What a run leaves on a cluster that was there before: nothing that goes on, and no secret."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import calls
import pytest

import whilst

pytest.importorskip("ray", reason="Ray is installed for its own tests alone")


def test_a_cluster_is_left_as_it_was_found(machines: Any, eventually: Callable[..., bool]) -> None:
    import ray
    from ray._private import state

    from whilst.ray import Ray

    with Ray(machines.address, nodes=1, trusted=True) as place:
        assert whilst.map(calls.same, range(50), executor=place).list() == [*range(50)]
        for _ in whilst.map(calls.nap, [0.01] * 500, executor=place):
            break
    assert ray.is_initialized(), "who connected disconnects"
    assert ray.cluster_resources()["CPU"] >= 1

    def nobody_is_left() -> bool:
        return all(actor["State"] == "DEAD" for actor in state.actors().values())

    assert eventually(nobody_is_left)


def test_no_secret_stands_in_rays_logs_nor_in_a_name(machines: Any) -> None:
    """Neither an input, nor what a failure says, nor a value."""
    from ray.util import list_named_actors

    from whilst.ray import Ray

    secret = f"sk-{secrets.token_hex(16)}"
    place = Ray(machines.address, nodes=1, trusted=True)
    outcomes = []
    for outcome in whilst.map(calls.reveal, [secret, secret.upper()], executor=place, retry=2).outcomes():
        outcomes.append(outcome)
        assert not any(secret in str(name) for name in list_named_actors(all_namespaces=True))
    assert [outcome.ok for outcome in outcomes] == [False, True]
    logs = Path(machines.head.get_session_dir_path()) / "logs"
    files = [path for path in logs.rglob("*") if path.is_file()]
    assert files
    for path in files:
        found = path.read_bytes().lower()
        assert secret.encode() not in found, path.name
