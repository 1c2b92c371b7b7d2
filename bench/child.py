"""One measurement in a process of its own: `python -m bench.child WORKLOAD CONTESTANT N` prints JSON."""

import dataclasses
import gc
import json
import sys

from bench.measuring import load
from bench.model import NotInstalledError
from bench.workloads import WORKLOADS


def main(workload_name: str, contestant_name: str, n: str) -> None:
    workload = next(workload for workload in WORKLOADS if workload.name == workload_name)
    contestant = next(each for each in workload.contestants if each.name == contestant_name)
    try:
        load(contestant)
        gc.collect()
        answer = dataclasses.asdict(workload.measure(contestant, int(n)))
    except NotInstalledError:
        answer = {"missing": True}
    except Exception as error:  # the parent shows it in the table and goes on with the others
        answer = {"failed": f"{type(error).__name__}: {error}"[:300]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
