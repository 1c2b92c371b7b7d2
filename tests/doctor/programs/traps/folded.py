import asyncio


async def step(state, event):
    await asyncio.sleep(0.04)
    return [*state, event]


async def main():
    state = []
    for event in range(6):
        state = await step(state, event)
    assert state == list(range(6))


asyncio.run(main())
