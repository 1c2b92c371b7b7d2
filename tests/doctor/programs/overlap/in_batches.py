import asyncio
from itertools import islice


def batched(ids, size):
    ids = iter(ids)
    while batch := list(islice(ids, size)):
        yield batch


async def fetch_many(ids):
    await asyncio.sleep(0.05)
    return [{"id": one} for one in ids]


async def main():
    rows = []
    for batch in batched(range(60), 10):
        rows += await fetch_many(batch)  # HERE
    assert len(rows) == 60


asyncio.run(main())
