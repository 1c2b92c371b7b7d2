import asyncio
import io

import pandas as pd

TEXT = "a,b,c\n" + "".join(f"{i},{i % 7},name {i % 1000}\n" for i in range(400_000))


async def load():
    frame = pd.read_csv(io.StringIO(TEXT))  # HOLDS
    return len(frame)


async def main():
    await asyncio.sleep(0.02)
    assert await load() == 400_000
    await asyncio.sleep(0.02)


asyncio.run(main())
