"""Calls on a Ray cluster beside Ray Data and Dask: `make bench-cluster`, on one node of this machine, then on two.

With `--write-readme` the figures go into bench/README.md.

Times are taken from the first value on, when the node has been started: what that takes stands beside. The cluster's
own processes use the same processors, so where these are two the CPU of this process says more than the time. Two nodes
are measured beside one with so few calls, and so long ones, that waiting is the bound, once each of them has answered.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from bench import machine
from bench.page import README, fill

WAIT = 0.01  # seconds
WAITS, AT_ONCE, NOOPS, ROUNDS = 10_000, 1_000, 20_000, 3
FEW, LONG = 50, 0.05  # calls at once on a node, and seconds that each waits, while hardly anything computes
NODE = {"num_cpus": 2, "include_dashboard": False}  # Ray Data waits for ever with one: it reads on another than it maps


async def noop(x: int) -> int:
    return x


async def wait(x: int) -> int:
    await asyncio.sleep(WAIT)
    return x


def wait_blocking(x: int) -> int:
    time.sleep(WAIT)
    return x


class WaitsOfBatches:
    """What Ray Data calls: a batch at a time, whose waits overlap."""

    async def __call__(self, batch: Any) -> Any:
        await asyncio.gather(*(wait(x) for x in batch["id"]))
        return batch


class Took(NamedTuple):
    """Seconds: until the first value, from then on, and of this process's CPU."""

    start: float
    time: float
    cpu: float


def whilst_takes(
    fn: Callable[[int], Any], count: int, *, nodes: int = 1, per_node: int = AT_ONCE, most: int = 512
) -> Took:
    """Measure a run whose batches have so many inputs at most; the best of some rounds."""
    import whilst
    from whilst.ray import Ray
    from whilst.remote import batch

    def once() -> Took:
        began = time.perf_counter()
        values = iter(whilst.map(fn, range(count + 1), executor=Ray(nodes=nodes, per_node=per_node)))
        next(values)
        first, cpu = time.perf_counter(), time.process_time()
        assert sum(1 for _ in values) == count
        return Took(first - began, time.perf_counter() - first, time.process_time() - cpu)

    usual, batch.MOST = batch.MOST, most  # type: ignore[misc]
    try:
        return min((once() for _ in range(ROUNDS)), key=lambda took: took.time)
    finally:
        batch.MOST = usual  # type: ignore[misc]


async def wait_there(x: int) -> int:
    await asyncio.sleep(LONG)
    return os.getpid()


def waits_take(count: int, *, nodes: int) -> float:
    """Measure a run on so many nodes, once each of them has answered; the best of some rounds."""
    import whilst
    from whilst.ray import Ray

    def once() -> float:
        with whilst.map(wait_there, range(100 * count), executor=Ray(nodes=nodes, per_node=FEW)) as run:
            values, seen = iter(run), set[int]()
            while len(seen) < nodes:
                seen.add(next(values))
            began = time.perf_counter()
            for _ in range(count):
                next(values)
            return time.perf_counter() - began

    return min(once() for _ in range(ROUNDS))


def ray_data_takes(count: int) -> float | None:
    """Measure Ray Data with an async actor, its start included, as it has no way without."""
    try:
        import ray.data
    except ImportError:
        return None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    one = ray.data.ActorPoolStrategy(size=1)
    began = time.perf_counter()
    found = ray.data.range(count).map_batches(WaitsOfBatches, batch_size=AT_ONCE, compute=one)
    assert sum(len(batch["id"]) for batch in found.iter_batches()) == count
    return time.perf_counter() - began


def dask_takes(count: int) -> float | None:
    """Measure Dask with a thread for each call that waits."""
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError:
        return None
    with (
        LocalCluster(n_workers=1, threads_per_worker=AT_ONCE, dashboard_address=None) as there,
        Client(there) as client,
    ):
        client.submit(wait_blocking, -1).result()
        began = time.perf_counter()
        assert len(client.gather(client.map(wait_blocking, range(count)))) == count
        return time.perf_counter() - began


@contextmanager
def cluster() -> Iterator[Any]:
    """Start a cluster of one node, to which others can be added."""
    import ray
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={**NODE, "no_monitor": True, "include_log_monitor": False})
    try:
        ray.init(address=found.address, configure_logging=False, log_to_driver=False)
        yield found
    finally:
        ray.shutdown()
        found.shutdown()


class Row(NamedTuple):
    """A line of the table; `is_met` is None where the peer is not there."""

    what: str
    asked: str
    measured: str
    is_met: bool | None

    def __str__(self) -> str:
        met = {None: "–", True: "yes", False: "**no**"}[self.is_met]
        return f"| {self.what} | {self.asked} | {self.measured} | {met} |"


HEAD = "| on a Ray cluster | asked | measured | met |\n| --- | --- | --- | --- |"


def beside(name: str, took: float | None, least: float, ours: float, how: str) -> Row:
    """Compare the same waits on another library with ours."""
    what, asked = f"the same on {name}", f"at least {least:.0f} times that"
    if took is None:
        return Row(what, asked, "is not there", None)
    return Row(what, asked, f"{took:.2f} s: {took / ours:.1f} x ({how})", took >= least * ours)


def rows() -> Iterator[Row]:
    """Measure everything once."""
    with cluster() as there:
        for most, asked in ((100, 15.0), (500, 7.0)):
            took = whilst_takes(noop, NOOPS, most=most)
            each, cpu = took.time / NOOPS * 1e6, took.cpu / NOOPS * 1e6
            measured = f"{each:.1f} µs (CPU here {cpu:.1f}); start {took.start:.1f} s"
            yield Row(f"a no-op, batches of {most}", f"at most {asked:.0f} µs", measured, each <= asked)
        one = whilst_takes(wait, WAITS)
        what = f"{WAITS:,} waits of 10 ms, {AT_ONCE:,} at once on one node (ideal {WAITS * WAIT / AT_ONCE:.2f} s)"
        yield Row(what, "at most 0.6 s", f"{one.time:.2f} s; start {one.start:.1f} s", one.time <= 0.6)
        yield beside("Ray Data, an async actor", ray_data_takes(WAITS), 3, one.start + one.time, "both with start")
        yield beside("Dask, a thread a call", dask_takes(WAITS), 10, one.time, "both without start")
        one_node = waits_take(WAITS // 4, nodes=1)
        there.add_node(num_cpus=1)
        two_nodes = waits_take(WAITS // 2, nodes=2)
        times, ideal = two_nodes / one_node, WAITS // 4 * LONG / FEW
        measured = f"{times:.2f} x ({two_nodes:.2f} s; {one_node:.2f} on one, ideal {ideal:.2f})"
        yield Row(
            f"twice as many waits of {LONG * 1000:.0f} ms on two nodes as on one, {FEW} at once on each",
            "at most 1.2 x",
            measured,
            times <= 1.2,
        )


def main() -> None:
    """Print what is asked beside what is measured."""
    facts = machine.facts(("whilst", "ray", "dask"))
    print(HEAD, flush=True)
    table = [HEAD]
    for row in rows():
        print(row, flush=True)
        table.append(str(row))
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items() if version)
    caption = (
        f"`make bench-cluster` makes these, each the best of {ROUNDS}. {facts['date'][:10]}, {facts['python']}, "
        f"{facts['cores']} cores, load {facts['load'][0]} at the start.\nAt {facts['commit']}. {packages}."
    )
    print(f"\n{caption}")
    if "--write-readme" in sys.argv[1:]:
        fill(README, "\n\n" + "\n".join(table) + f"\n\n{caption}\n\n", "cluster")


if __name__ == "__main__":
    main()
