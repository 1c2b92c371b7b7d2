"""What keeps the GIL is on a thread; the lines of the loop, short as they are, wait for it."""

import asyncio
import json

text = json.dumps([{"number": number, "name": "x" * 20} for number in range(80_000)])


def parse():
    return len(json.loads(text))  # HOLDS


async def ticks(stop):
    count = 0
    while not stop.done():
        count += len([1 for _ in range(50)])
        await asyncio.sleep(0)
    return count


async def main():
    for _ in range(6):
        stop = asyncio.get_running_loop().run_in_executor(None, parse)
        await ticks(stop)


asyncio.run(main())
