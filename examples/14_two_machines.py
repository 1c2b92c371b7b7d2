"""Learn: the enrichment of example 11 on two machines, one of which is killed halfway. Each id has exactly one outcome.

The machines are two nodes of a Ray cluster that is started here. Only `executor=` is new: the source, the order, the
rate and the retries stay in this program, so the rate holds for both nodes together. What the dead node was making
fails as `WorkerDied`, because it may have been made; `Retry(on=…)` says that it may be made again. Needs `whilst[ray]`.
"""

import json
import urllib.request
from functools import partial
from typing import Any

from ray.cluster_utils import Cluster

import whilst
import whilst.ray
from whilst.demo import pokeapi

COUNT = 800
HEAD = {"num_cpus": 1, "include_dashboard": False, "no_monitor": True, "include_log_monitor": False}


def enrich(api: str, row: tuple[int, str]) -> dict[str, object]:
    id, trainer = row
    with urllib.request.urlopen(f"{api}/pokemon/{id}", timeout=30) as answer:
        found = json.load(answer)
    return {"id": id, "name": found["name"], "weight": found["weight"], "owner": trainer.title()}


def main(api: str, cluster: Cluster, second: Any) -> None:
    rows = [(id, ("ash", "misty", "brock")[id % 3]) for id in range(1, COUNT + 1)]
    retry = whilst.Retry(attempts=4, on=(whilst.WorkerDied, OSError), base=0.05)
    outcomes: list[whilst.Outcome[Any, Any]] = []
    with whilst.ray.Ray(cluster.address, per_node=10, trusted=True) as nodes:
        run = whilst.map(partial(enrich, api), rows, executor=nodes, rate="100/s", retry=retry)
        for outcome in run.outcomes():
            outcomes.append(outcome)
            if second is not None and len(outcomes) >= COUNT // 2 and len(run.summary().workers) == 2:
                cluster.remove_node(second, allow_graceful=False)
                second = None
                print(f"killed one of two nodes after {len(outcomes)} outcomes")

    again = sum(outcome.attempts > 1 for outcome in outcomes)
    made = [worker["calls"] for worker in run.summary().workers.values()]
    print(f"{len(outcomes)} outcomes, each id once and in order: {[it.input for it in outcomes] == rows}")
    print(f"went well: {sum(it.ok for it in outcomes)}, of these made again: {again} (at most 20 were out there)")
    print(f"both nodes made calls: {len(made) == 2 and min(made) > 0}; the first:", outcomes[0].value)


if __name__ == "__main__":
    machines = Cluster(initialize_head=True, head_node_args=HEAD)
    try:
        with pokeapi.serve(latency=0.05) as served:
            main(served.url, machines, machines.add_node(num_cpus=1))
    finally:
        machines.shutdown()
