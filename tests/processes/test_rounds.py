"""Answers that come fast are looked for in rounds; what cannot wait for one is heard at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextvars import Context
from typing import Any

import processjobs as jobs
import pytest

import whilst
from whilst.processes import link
from whilst.processes.executor import Workers
from whilst.processes.preparing import preparation
from whilst.remote.codec import Target, encoded_target
from whilst.remote.transport import Answer, Worker


class Patient:
    """Lanes that can wait for the next answers."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self._something = asyncio.Event()

    def _hears(self, what: Any) -> None:
        self.heard.append(what)
        self._something.set()

    async def until(self, count: int) -> list[Any]:
        """Return what was heard, once it is so much."""
        async with asyncio.timeout(20):
            while len(self.heard) < count:
                await self._something.wait()
                self._something.clear()
        return self.heard

    def ready(self, worker: Worker) -> None:
        self._hears("ready")

    def answered(self, worker: Worker, answers: Sequence[Answer], offset: float) -> bool:
        for index, *_ in answers:
            self._hears(index)
        return True

    def handed_back(self, worker: Worker, indices: Sequence[int]) -> None:
        self._hears("back")

    def lost(self, worker: Worker, error: Exception, begun: Iterable[int] | None = None) -> None:
        self._hears(type(error))

    def unready(self, worker: Worker, error: BaseException, *, again: bool) -> None:
        raise error

    def said(self, worker: Worker, index: int, what: str, more: tuple[Any, ...]) -> None:
        self._hears(what)


def heard_of(words: list[str], count: int) -> list[Any]:
    """Return what is heard of a worker that makes these calls, which are sent one by one."""

    async def talk() -> list[Any]:
        client, loop = Patient(), asyncio.get_running_loop()
        told = preparation("by_word", Context(), b"run")
        worker = Workers(loop, loop.time, told, "by_word").start(client)
        worker.know(0, encoded_target(Target(jobs.by_word)))
        await client.until(1)
        for place, word in enumerate(words):
            worker.put(place, 0, word)
            worker.send()
            if not place:
                await client.until(2)  # from here on it is looked for in rounds
        found = [*await client.until(count)]
        await worker.gone(0)
        return found

    return asyncio.run(talk())


def test_a_round_hears_what_has_come_since_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ROUND", 0.05)
    assert heard_of(["a", "b", "c"], 4) == ["ready", 0, 1, 2]


def test_who_asks_for_a_pause_is_heard_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ROUND", 3600.0)
    assert heard_of(["a", "b", "slower"], 4) == ["ready", 0, 1, 2]


def test_what_a_worker_had_answered_when_it_died_is_heard_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ROUND", 3600.0)
    assert heard_of(["a", "b", "c", "die"], 5) == ["ready", 0, 1, 2, whilst.WorkerDied]
