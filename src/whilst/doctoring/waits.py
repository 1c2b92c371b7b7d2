"""Where does the program wait, one call after the other? A tree of the user's own lines, with the calls under each."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from types import CodeType, FrameType
from typing import Any

from .places import Place, Whose, package, place, whose
from .records import Waited

NODES = 5000  # of the tree; what comes after is not kept
WORTH = 0.02  # seconds below which a node is not told of
CROWD = 3  # that many at one place at the same time: they run together already

# who waits in these waits for somebody in the same program: a queue, a lock, other tasks
_INNER = (
    "asyncio/queues.py", "asyncio/locks.py", "asyncio/taskgroups.py", "asyncio/streams.py:drain",
    "asyncio/tasks.py:gather", "asyncio/tasks.py:wait", "asyncio/tasks.py:_wait", "asyncio/tasks.py:as_completed",
    "threading.py", "queue.py", "concurrent/futures/_base.py", "concurrent/futures/thread.py",
    "multiprocessing/pool.py", "multiprocessing/queues.py", "socketserver.py",
)  # fmt: skip

# who waits under these waits for the network, though by a lock or an event: httpx and the clients on it, psycopg
_OUTER = (
    "anyio/_backends/_asyncio.py:receive", "anyio/_backends/_asyncio.py:send", "psycopg/waiting.py",
)  # fmt: skip


class Mark:
    """What a called frame is known again by; as a frame's trace function it would do nothing."""

    __slots__ = ("since",)

    def __init__(self, since: float) -> None:
        self.since: float = since

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Do nothing."""


class _Node:
    __slots__ = (
        "calls",
        "children",
        "code",
        "crowded",
        "entered",
        "last",
        "lasti",
        "longest",
        "on_loop",
        "package",
        "seconds",
    )

    def __init__(self, code: CodeType | None, lasti: int) -> None:
        self.code, self.lasti = code, lasti
        self.children: dict[tuple[int, int], _Node] = {}
        self.entered: dict[int, int] = {}  # calls of each function of the user's that were seen under it, by its code
        self.seconds = self.crowded = self.longest = 0.0
        self.calls = 0
        self.package: str | None = None
        self.on_loop = False
        self.last: dict[
            Hashable, tuple[Any, float]
        ] = {}  # who waited here last, and what identifies its call, where no frame does


class Waits:
    """The tree."""

    def __init__(self) -> None:
        self._root = _Node(None, -1)
        self._nodes = 0
        self._places: dict[tuple[int, int], Place] = {}
        self._crowds: dict[int, list[tuple[list[_Node], float]]] = {}

    def look(self, who: Hashable, frames: list[FrameType], leaf: Any, span: float, now: float, on_loop: bool) -> None:
        """Take in where somebody waits; `leaf` tells two calls apart where the last one has no frame."""
        user = [i for i, frame in enumerate(frames) if whose(frame.f_code) == Whose.USER]
        if not user or _is_inner([frame.f_code for frame in frames[user[-1] + 1 :]]):
            return
        path: list[_Node] = []
        node = self._root
        fresh = _mark(frames[user[0]], now)
        for i in user:
            if fresh:
                code = id(frames[i].f_code)
                node.entered[code] = node.entered.get(code, 0) + 1
            inner = self._child(node, frames[i])
            if inner is None:
                return
            node = inner
            path.append(node)
            called = frames[i + 1] if i + 1 < len(frames) else None
            if called is not None and node.package is None:
                node.package = package(called.f_code)
            fresh = self._count(node, who, called, leaf, now)
            if called is not None and i + 1 not in user and i != user[-1]:
                fresh = _mark(frames[user[len(path)]], now)
        node.on_loop = on_loop
        self._crowds.setdefault(id(node), []).append((path, span))

    def _child(self, node: _Node, frame: FrameType) -> _Node | None:
        key = id(frame.f_code), frame.f_lasti
        found = node.children.get(key)
        if found is None or found.code is not frame.f_code:
            if self._nodes >= NODES:
                return None
            self._nodes += 1
            found = node.children[key] = _Node(frame.f_code, frame.f_lasti)
        return found

    def settle(self) -> None:
        """Add up what was seen in one look around, when it is known how many waited at the same place."""
        for together in self._crowds.values():
            crowded = len(together) >= CROWD
            for path, span in together:
                for node in path:
                    node.seconds += span
                    if crowded:
                        node.crowded += span
        self._crowds.clear()

    def tree(self) -> list[Waited]:
        """Return the nodes that are worth it, parents first."""
        found: list[Waited] = []
        self._add(found, self._root, -1)
        return found

    def _add(self, found: list[Waited], above: _Node, parent: int) -> None:
        for node in list(above.children.values()):
            if node.seconds < WORTH or node.code is None:
                continue
            key = id(node.code), node.lasti
            if key not in self._places:
                self._places[key] = place(node.code, node.lasti)
            runs = max(1, above.entered.get(id(node.code), 1))
            where = self._places[key]
            index = len(found)
            found.append(
                Waited(
                    parent,
                    where,
                    node.seconds,
                    node.crowded,
                    node.calls,
                    runs,
                    node.longest,
                    node.package or "",
                    node.on_loop,
                )
            )
            self._add(found, node, index)

    @staticmethod
    def _count(node: _Node, who: Hashable, called: FrameType | None, leaf: Any, now: float) -> bool:
        """Count a call, if it was not seen before; return whether it was not."""
        if called is None:
            known, since = node.last.get(who, (None, now))
            fresh = who not in node.last or known != leaf
            if fresh:
                if len(node.last) > CROWD:
                    node.last.clear()
                node.last[who] = leaf, (since := now)
        else:
            fresh = _mark(called, now)
            since = called.f_trace.since if isinstance(called.f_trace, Mark) else now
        node.calls += fresh
        node.longest = max(node.longest, now - since)
        return fresh


def _mark(frame: FrameType, now: float) -> bool:
    """Mark a frame, if it is not yet; return whether it was not."""
    if frame.f_trace is not None:
        return False
    frame.f_trace = Mark(now)
    return True


def _is_inner(called: Sequence[CodeType]) -> bool:
    """Whether what a line of the user's has called waits for somebody in the same program."""
    for code in called:
        kind = whose(code)
        if kind == Whose.OURS:
            return True  # whilst waits for calls that run together
        if kind != Whose.PYTHON and _is_one(code, _OUTER):
            return False
        if kind == Whose.PYTHON and _is_one(code, _INNER):
            return True
    return False


def _is_one(code: CodeType, entries: Sequence[str]) -> bool:
    for entry in entries:
        file, _, name = entry.partition(":")
        if code.co_filename.endswith(file) and (not name or code.co_name == name):
            return True
    return False
