"""The lanes of a run on a cluster: they grow with it."""

from __future__ import annotations

import asyncio
from typing import Final

from ..lanes.port import Port
from ..remote.codec import Encoded
from ..remote.lanes import RemoteLanes
from .link import Fleet

LOOK: Final = 1.0  # seconds between two looks for nodes that have joined


class NodeLanes(RemoteLanes):
    """Lanes that are nodes; with `grows` on all that there are at each moment, else on so many as at first."""

    def __init__(self, port: Port, fleet: Fleet, most: int, *, name: str, targets: list[Encoded], grows: bool) -> None:
        super().__init__(port, fleet, most, name=name, targets=targets)
        self._fleet = fleet
        self._loop = port.loop
        self._looking: asyncio.TimerHandle | None = None
        if grows:
            self._looking = self._loop.call_later(LOOK, self._look_for_nodes)

    def resize(self, concurrency: int) -> None:
        """Do nothing: how many calls are made at once is a matter of limits here, not of how many nodes there are."""

    def close(self) -> None:
        """End all."""
        if self._looking is not None:
            self._looking.cancel()
        super().close()

    def let_go(self) -> None:
        """Refer to the run no more."""
        super().let_go()
        del self._fleet, self._loop

    def _look_for_nodes(self) -> None:
        there = len(self._fleet.alive())
        if there > self.most:
            super().resize(there)
        self._looking = self._loop.call_later(LOOK, self._look_for_nodes)
