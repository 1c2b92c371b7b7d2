import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    for batch in [NAMES, NAMES[:2], NAMES[2:5], NAMES]:
        async with asyncio.TaskGroup() as group:
            for name in batch:
                group.create_task(fetch(name))


asyncio.run(main())
