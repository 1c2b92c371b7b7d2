import asyncio
import functools
import time


class Config:
    @functools.cached_property
    def settings(self):
        time.sleep(0.12)  # HOLDS
        return {"debug": True}


async def main():
    config = Config()
    await asyncio.sleep(0.02)
    assert config.settings["debug"]
    await asyncio.sleep(0)


asyncio.run(main())
