import asyncio
import copy

tree = {i: {"name": str(i), "children": [1, 2, [3]]} for i in range(12_000)}


async def snapshot():
    return copy.deepcopy(tree)  # HOLDS


async def main():
    await asyncio.sleep(0.02)
    await snapshot()
    await asyncio.sleep(0)


asyncio.run(main())
