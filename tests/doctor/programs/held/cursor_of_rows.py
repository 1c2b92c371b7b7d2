import asyncio
import sqlite3

database = sqlite3.connect(":memory:")
NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 90000) select i from n"


async def main():
    await asyncio.sleep(0.02)
    rows = database.execute(NUMBERS).fetchall()  # HOLDS
    await asyncio.sleep(0)
    assert len(rows) == 90_000


asyncio.run(main())
