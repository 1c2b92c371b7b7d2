"""How does a run fare against a fake that it knows nothing of? On virtual time."""

from __future__ import annotations

import asyncio
import random
from math import inf
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

from vendors import Reply, Vendor

import whilst
from whilst import testing
from whilst.http.pace import pass_on
from whilst.lanes import chance

START = 10.0  # seconds in which a run may find out
LATENCY = 0.1


class Refused(Exception):
    """What a client raises for an answer from 400 on, as requests, httpx and botocore do."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status} {reply.code}".strip())
        self.response: Any = SimpleNamespace(status_code=reply.status, headers=dict(reply.headers))
        if reply.code and reply.code != "ratelimited":
            metadata = {"HTTPStatusCode": reply.status, "HTTPHeaders": dict(reply.headers)}
            self.response = {"Error": {"Code": reply.code}, "ResponseMetadata": metadata}


class Score(NamedTuple):
    """What came of a run: shares of what was permitted, and of all calls after the start."""

    used: float
    refused: float
    early: int  # calls begun while a refusal's pause held
    refusals: int
    taken: int


class Client:
    """Calls a fake; `reads`: it passes on what answers say besides refusals, as `whilst.http` does."""

    def __init__(self, vendor: Vendor, *, reads: bool) -> None:
        self.meter, self.reply = vendor.make()
        self.reads = reads
        self.taken = self.refusals = self.late_refusals = self.late_calls = self.early = 0
        self.barred_until = -inf

    async def __call__(self, item: int) -> int:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.early += began < self.barred_until - 1e-9
        await asyncio.sleep(LATENCY / 2)
        reply = self.reply(loop.time())
        await asyncio.sleep(LATENCY / 2)
        self.late_calls += began > START
        if self.reads:
            pass_on(reply.headers)  # type: ignore[arg-type]
        if reply.status == 200:
            self.taken += 1
            return item
        self.refusals += 1
        self.late_refusals += began > START
        if "retry-after-ms" in reply.headers:
            self.barred_until = max(self.barred_until, loop.time() + float(reply.headers["retry-after-ms"]) / 1000)
        elif (wait := reply.headers.get("retry-after", "")).replace(".", "").isdigit():
            self.barred_until = max(self.barred_until, loop.time() + float(wait))
        raise Refused(reply)


def play(vendor: Vendor, until: float = 60.0, *, reads: bool, **policies: Any) -> tuple[Score, whilst.Summary]:
    """Run for a while without an end of inputs."""
    client = Client(vendor, reads=reads)

    async def main() -> whilst.Summary:
        run = whilst.map(client, range(10**7), ordered=False, **policies)
        asyncio.get_running_loop().call_later(until, run.cancel)
        try:
            async for _ in run.outcomes():
                pass
        except whilst.RunCancelled:
            pass
        return run.summary()

    rng = random.Random(1)
    with mock.patch.object(chance, "os", SimpleNamespace(urandom=rng.randbytes)):  # the same run each time
        summary = testing.run(main())
    permitted = client.meter.permits(until)
    used, refused = client.taken / permitted, client.late_refusals / max(1, client.late_calls)
    return Score(100 * used, 100 * refused, client.early, client.refusals, client.taken), summary
