"""One connection of asyncpg makes one query at a time."""

import asyncio


class Connection:
    busy = False

    async def fetchrow(self, query, *args):
        assert not self.busy, "another operation is in progress"
        self.busy = True
        await asyncio.sleep(0.04)
        self.busy = False
        return args


async def main():
    conn = Connection()
    rows = []
    for number in range(6):
        rows.append(await conn.fetchrow("select * from t where id = $1", number))
    assert len(rows) == 6


asyncio.run(main())
