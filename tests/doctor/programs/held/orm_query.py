import asyncio

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine("sqlite://")
NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000) select sum(i) from n"


async def main():
    with Session(engine) as session:
        session.execute(text("select 1"))
        await asyncio.sleep(0.02)
        total = session.execute(text(NUMBERS)).scalar()  # HOLDS
    await asyncio.sleep(0)
    assert total


asyncio.run(main())
