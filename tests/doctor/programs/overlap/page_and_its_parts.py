import asyncio


async def get_user(number):
    await asyncio.sleep(0.08)
    return {"id": number}


async def get_orders(number):
    await asyncio.sleep(0.09)
    return [1, 2]


async def load_prices(currency):
    await asyncio.sleep(0.1)
    return {"tea": 3}


class View:
    async def get(self, number):
        user = await get_user(number)  # HERE
        orders = await get_orders(number)
        prices = await load_prices("EUR")
        return {**user, "orders": orders, "prices": prices}


async def main():
    answer = await View().get(7)
    assert answer["id"] == 7


asyncio.run(main())
