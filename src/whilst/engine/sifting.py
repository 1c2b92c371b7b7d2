"""Which inputs need no call of their own? Those that are bad, and those that share the call of an equal one.

They are sifted out between the journal and the gate, so that they take neither a permit nor a lane. The first of some
equal inputs is called; those that come while it has no outcome wait here, and get that outcome with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Protocol

from ..core.colour import name_of
from ..core.equal import KeyOf, key_of, twin_of
from ..core.judge import checked_key
from ..core.outcome import Record
from .gate import Host as GateHost
from .source import Pair

Fault = Callable[[Any], Exception | None]


class Host(GateHost, Protocol):
    """What this needs from the driver, besides what a gate needs."""

    def shared(self, record: Record) -> None:
        """Give the outcome of an input that shared the call of another."""


class Sifting:
    """What one run sifts out; every method is called on the loop."""

    def __init__(self, host: Host, share: KeyOf | None, fault: Fault | None) -> None:
        self.waiting: int = 0
        """How many inputs wait for the outcome of an equal one."""
        self.shared: int = 0
        """How many have got it."""
        self._host = host
        self._share = share
        self._fault = fault
        self._called: dict[Hashable, int] = {}  # the input that is called for a key
        self._keys: dict[int, Hashable] = {}  # by that input
        self._others: dict[int, list[Pair]] = {}  # what waits for it

    def sift(self, inbox: deque[Pair]) -> list[Pair]:
        """Take inputs; return those that are to be called. What a function of the user's has no time for stays."""
        unfit: list[tuple[Pair, Exception]] = []
        if self._share is None or self._share is key_of:
            pairs = [*inbox]
            inbox.clear()
            wanted = self._sift_all(pairs, unfit)
        else:
            wanted = self._sift_asking(inbox, unfit)
        if unfit:
            self._host.unfit(unfit)
            unfit.clear()  # the frames of these failures keep this one, as below
        return wanted

    def sharing(self, push: Callable[[Record], None]) -> Callable[[Record], None]:
        """Return `push` with the outcomes of all that share a call."""
        keys, others = self._keys, self._others

        def push_all(record: Record) -> None:
            index = record[0]
            if index not in keys:
                push(record)
                return
            del self._called[keys.pop(index)]
            waited = others.pop(index, None)
            if waited is None:
                push(record)
                return
            _, _, value, error, started, took, _ = record
            each = [error if error is None else twin_of(error) for _ in waited]  # before the consumer notes anything
            push(record)
            self.waiting -= len(waited)
            self.shared += len(waited)
            for (place, item), own in zip(waited, each, strict=True):
                self._host.shared((place, item, value, own, started, took, 0))

        return push_all

    def forget(self, indexes: Iterable[int]) -> int:
        """Take note that these inputs will have no outcome; return how many others have none for that reason."""
        count = 0
        for index in indexes:
            if index in self._keys:
                del self._called[self._keys.pop(index)]
                count += len(self._others.pop(index, ()))
        self.waiting -= count
        return count

    def let_go(self) -> None:
        """Refer to nothing any more."""
        self._called.clear()
        self._keys.clear()
        self._others.clear()
        self._share = self._fault = None

    # -- private, in order of use -----------------------------------------------------------------------------

    def _sift_all(self, pairs: list[Pair], unfit: list[tuple[Pair, Exception]]) -> list[Pair]:
        fault, share, called, keys = self._fault, self._share, self._called, self._keys
        wanted: list[Pair] = []
        for pair in pairs:
            index, item = pair
            if fault is not None and (error := fault(item)) is not None:
                unfit.append((pair, error))
                continue
            if share is not None:
                try:
                    key = item if type(item) is str else share(item)
                except TypeError as error:
                    unfit.append((pair, error.with_traceback(None)))
                    continue
                first = called.setdefault(key, index)
                if first != index:
                    self._wait(first, pair)
                    continue
                keys[index] = key
            wanted.append(pair)
        return wanted

    def _sift_asking(self, inbox: deque[Pair], unfit: list[tuple[Pair, Exception]]) -> list[Pair]:
        host, share, fault = self._host, self._share, self._fault
        assert share is not None
        name, wanted = f"share={name_of(share)}", list[Pair]()
        while inbox and host.asking.has_time(host.arrived):
            index, item = pair = inbox.popleft()
            error = fault(item) if fault is not None else None
            if error is None:
                try:
                    key = checked_key(host.asking.ask(name, share, item), name)
                    key = type(key), key  # 1 and 1.0 and True are not equal here
                    first = self._called.setdefault(key, index)
                except Exception as caught:
                    error = caught
                else:
                    if first != index:
                        self._wait(first, pair)
                    else:
                        self._keys[index] = key
                        wanted.append(pair)
            if error is not None:
                unfit.append((pair, error))
            del error
        return wanted

    def _wait(self, first: int, pair: Pair) -> None:
        self._others.setdefault(first, []).append(pair)
        self.waiting += 1
