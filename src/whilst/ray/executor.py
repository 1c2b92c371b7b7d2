"""`executor=whilst.ray.Ray(…)`: the machines of a Ray cluster as a place where calls are made."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.check import answered, whole
from ..processes.preparing import preparation, variables_of
from ..remote.codec import Target, encoded_target
from . import cluster
from .codec import dumps

if TYPE_CHECKING:
    from typing import Self

    from ..lanes.port import Lanes, Port
    from ..remote.calls import RemoteCalls
    from .link import Fleet

PER_NODE = 32


class Ray:
    """The nodes of a Ray cluster, each of which makes many calls at once, blocking or async.

    It connects when it is made, which takes some seconds where a cluster is started. A cluster that was there is left
    as it was found; one that was started here ends with `close`, with the block of a `with`, or with the program.

    Args:
        address: "auto" for the cluster that this machine is part of, "host:port" for another one; None starts one of
            this machine alone, or takes the one that this process is connected to.
        nodes: on how many nodes at most; None: on all that there are, and those that join while a run goes on.
        per_node: how many calls a node makes at once.
        trusted: whether all who can reach an address that is not of this machine may be trusted. What comes from a
            cluster is unpickled here, and whoever reaches it can run code on it.
        options: of Ray's actors, such as `{"resources": {"gpu_box": 1}}`.
        init: of `ray.init`, such as `{"runtime_env": {"working_dir": "."}}`, which brings your code to the nodes.

    Raises:
        ImportError: Ray is not installed.
        TypeError, ValueError: an argument cannot be meant, or the address is not trusted.
        ConnectionError: nobody answers at the address.
    """

    __slots__ = ("_address", "_is_ours", "_place")

    @answered
    def __init__(
        self,
        address: str | None = None,
        *,
        nodes: int | None = None,
        per_node: int = PER_NODE,
        trusted: bool = False,
        options: dict[str, Any] | None = None,
        init: dict[str, Any] | None = None,
    ) -> None:
        most = None if nodes is None else whole("nodes", nodes, least=1)
        self._place: Nodes = Nodes(most, whole("per_node", per_node, least=1), dict(options or {}))
        self._address = cluster.check_address(address, trusted)
        self._is_ours = cluster.connect(self._address, dict(init or {}))

    def __repr__(self) -> str:
        told = [] if self._address is None else [repr(self._address)]
        told += [] if self._place.nodes is None else [f"nodes={self._place.nodes}"]
        return f"Ray({', '.join([*told, f'per_node={self._place.per_node}'])})"

    def __enter__(self) -> Self:
        """Have what was started here end with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()

    def close(self) -> None:
        """Disconnect, if that was connected here, which ends a cluster that was started for it."""
        if self._is_ours:
            self._is_ours = False
            cluster.ray_module().shutdown()


class Nodes:
    """Where the calls of a run are made that was given `Ray`; see `lanes.port.Executor`, `core.plan.Place`."""

    name: str = "ray"
    opens: frozenset[str] = frozenset({"process"})

    def __init__(self, nodes: int | None, per_node: int, options: dict[str, Any]) -> None:
        self.nodes: int | None = nodes
        self.per_node: int = per_node
        self.options: dict[str, Any] = options

    @property
    def default(self) -> int:
        """How many calls are in flight where nobody says: what all nodes make at once."""
        return self.per_node * self._count()

    def check(self, fn: Callable[..., Any], use: tuple[tuple[str, Any], ...] = ()) -> None:
        """Refuse, where it is written, what cannot be sent to a node."""
        encoded_target(Target(fn, True, use), dumps)

    def lanes(self, port: Port, fn: Callable[[Any], Any], concurrency: int, patience: float, *, name: str) -> Lanes:
        """Return lanes that are nodes; `concurrency` holds for all of them together."""
        from .lanes import NodeLanes

        count = self._count_for(concurrency)
        told = preparation(name, port.context, port.run_id())
        return NodeLanes(
            port,
            self._fleet(port.loop, port.clock, name, told, concurrency, count, port.started),
            count,
            name=name,
            targets=[encoded_target(Target(fn), dumps)],
            grows=self.nodes is None and concurrency >= self.default,
        )

    def calls(self, loop: asyncio.AbstractEventLoop, most: int, *, name: str) -> RemoteCalls:
        """Return nodes that make single calls, at most so many at once."""
        from ..lanes.clock import clock_of
        from ..remote.calls import RemoteCalls

        clock, count = clock_of(loop), self._count_for(most)
        told = preparation(name, contextvars.Context())
        fleet = self._fleet(loop, clock, name, told, most, count, clock())
        return RemoteCalls(loop, clock, fleet, count, name=name, sent_with=variables_of, dump=dumps)

    def calls_of_loop(self) -> RemoteCalls:
        """Return nodes for one value through a flow."""
        raise TypeError(
            "a flow with a step on a cluster is not for one value: nodes would be started for each\n"
            "  try: whilst.map(flow, [value])"
        )

    # -- private, in order of use -----------------------------------------------------------------------------

    def _count(self) -> int:
        there = max(1, len(cluster.nodes()))
        return there if self.nodes is None else self.nodes

    def _count_for(self, concurrency: int) -> int:
        return max(1, min(self._count(), concurrency))

    def _fleet(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        name: str,
        told: bytes,
        concurrency: int,
        count: int,
        began: float,
    ) -> Fleet:
        each = min(self.per_node, max(1, concurrency // count))
        more = min(concurrency - each * count, count) if each < self.per_node else 0
        widths = [each + 1] * max(0, more) + [each]
        return self._make_fleet(loop, clock, name, told, widths, self.options, began)

    def _make_fleet(self, *given: Any) -> Fleet:
        from .link import Fleet

        return Fleet(*given)
