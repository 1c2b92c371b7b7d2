"""Whoever reads what is printed is slow."""

import asyncio
import os
import threading
import time

read, write = os.pipe()
out = os.fdopen(write, "w")


def slow_reader():
    time.sleep(0.2)
    while os.read(read, 100_000):
        pass


async def main():
    threading.Thread(target=slow_reader).start()
    await asyncio.sleep(0.02)
    print("x" * 200_000, file=out, flush=True)  # HOLDS
    await asyncio.sleep(0)
    out.close()


asyncio.run(main())
