"""A line that waits for itself, while another thread keeps the GIL: the other one has no part in it."""

import asyncio
import json
import threading
import time

text = json.dumps([{"number": number, "name": "x" * 20} for number in range(80_000)])


async def main():
    for _ in range(2):
        await asyncio.sleep(0.02)
        parser = threading.Timer(0.03, json.loads, [text])
        parser.start()
        time.sleep(0.6)  # HOLDS
        await asyncio.sleep(0)
        parser.join()


asyncio.run(main())
