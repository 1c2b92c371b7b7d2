import asyncio
import logging
import time

log = logging.getLogger("shop")


class ToServer(logging.Handler):
    def emit(self, record):
        time.sleep(0.12)  # HOLDS


log.addHandler(ToServer())


async def main():
    await asyncio.sleep(0.02)
    log.warning("sold %s", 3)
    await asyncio.sleep(0)


asyncio.run(main())
