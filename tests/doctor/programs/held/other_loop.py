"""Asks another loop for an answer and waits for it in its own."""

import asyncio
import threading

other = asyncio.new_event_loop()
thread = threading.Thread(target=other.run_forever)
thread.start()


async def answer():
    await asyncio.sleep(0.15)
    return 42


async def main():
    await asyncio.sleep(0.02)
    assert asyncio.run_coroutine_threadsafe(answer(), other).result() == 42  # HOLDS
    await asyncio.sleep(0)


asyncio.run(main())
other.call_soon_threadsafe(other.stop)
thread.join()
other.close()
