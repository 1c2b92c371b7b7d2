"""Calls on a Ray cluster beside Ray Data and Dask: `make bench-cluster`, on one node of this machine, then on two.

Times are taken from the first value on, when the node has been started: what that takes stands beside. The cluster's
own processes use the same processors, so where these are two the CPU of this process says more than the time.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

WAIT = 0.01  # seconds
WAITS, AT_ONCE, NOOPS, ROUNDS = 10_000, 1_000, 20_000, 3
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


def row(what: str, asked: str, measured: str) -> None:
    """Print one line of the table."""
    print(f"| {what} | {asked} | {measured} |", flush=True)


def main() -> None:
    """Measure everything once, and print what is asked beside it."""
    row("what", "asked", "measured")
    row("---", "---", "---")
    with cluster() as there:
        for most, asked in ((100, 15), (500, 7)):
            took = whilst_takes(noop, NOOPS, most=most)
            each, cpu = took.time / NOOPS * 1e6, took.cpu / NOOPS * 1e6
            row(
                f"a no-op, batches of {most}",
                f"{asked} µs",
                f"{each:.1f} µs (CPU here {cpu:.1f}); start {took.start:.1f} s",
            )
        one = whilst_takes(wait, WAITS)
        row(f"{WAITS:,} waits of 10 ms, {AT_ONCE:,} at once", "0.6 s", f"{one.time:.2f} s; start {one.start:.1f} s")
        data, dask = ray_data_takes(WAITS), dask_takes(WAITS)
        whole = one.start + one.time
        row(
            "Ray Data takes",
            "3 x that",
            "is not there" if data is None else f"{data:.2f} s, {data / whole:.1f} x with start",
        )
        row("Dask takes", "10 x that", "is not there" if dask is None else f"{dask:.2f} s, {dask / one.time:.1f} x")
        half = whilst_takes(wait, WAITS // 2, per_node=AT_ONCE // 2)
        there.add_node(num_cpus=1)
        both = whilst_takes(wait, WAITS, nodes=2, per_node=AT_ONCE // 2)
        row(
            "twice the waits on two nodes take",
            "at most 1.2 x",
            f"{both.time / half.time:.2f} x ({half.time:.2f} s on one)",
        )


if __name__ == "__main__":
    main()
