import asyncio
import time


class Throttle:
    def __init__(self, per_second):
        self.gap = 1 / per_second
        self.due = time.monotonic()

    async def turn(self):
        self.due += self.gap
        await asyncio.sleep(max(0, self.due - time.monotonic()))


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


async def main():
    throttle = Throttle(20)
    for name in ["ann", "ben", "cat", "dan", "eve", "fay"]:
        await throttle.turn()
        await fetch(name)


asyncio.run(main())
