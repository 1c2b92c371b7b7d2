import asyncio
import time

import requests  # noqa


def load(name):
    time.sleep(0.15)
    return name


async def main():
    loop = asyncio.get_running_loop()
    names = await asyncio.gather(
        *[asyncio.to_thread(load, name) for name in "abc"], loop.run_in_executor(None, load, "d")
    )
    assert names == ["a", "b", "c", "d"]


asyncio.run(main())
