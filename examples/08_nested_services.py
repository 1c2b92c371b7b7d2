"""Learn: what runs one after another and what runs together, as a structure that can be read before it runs.

A laboratory: switch three devices on together; then warm up, then measure; then save, publish and switch off
together. Some devices have a blocking driver and some an async one. By hand, that is a function for each level and
a wrapper for each colour. As a flow it is the sentence above, and `print(flow.plan())` shows it.
"""

import asyncio
import time

import whilst


def switch_on_lamp() -> str:
    time.sleep(0.1)  # a blocking driver
    return "lamp"


def switch_on_pump() -> str:
    time.sleep(0.15)
    return "pump"


async def switch_on_camera() -> str:
    await asyncio.sleep(0.2)  # an async one
    return "camera"


async def warm_up(devices: tuple[str, ...]) -> tuple[str, ...]:
    await asyncio.sleep(0.1)
    return devices


def measure(devices: tuple[str, ...]) -> dict[str, int]:
    time.sleep(0.1)
    return {device: len(device) for device in devices}


def save(values: dict[str, int]) -> int:
    time.sleep(0.1)
    return len(values)


async def publish(values: dict[str, int]) -> str:
    await asyncio.sleep(0.15)
    return f"sum {sum(values.values())}"


def switch_off() -> str:
    time.sleep(0.05)
    return "off"


# By hand ------------------------------------------------------------------------------------------------------


async def start_devices() -> tuple[str, ...]:
    async with asyncio.TaskGroup() as group:
        lamp = group.create_task(asyncio.to_thread(switch_on_lamp))
        pump = group.create_task(asyncio.to_thread(switch_on_pump))
        camera = group.create_task(switch_on_camera())
    return lamp.result(), pump.result(), camera.result()


async def finish(values: dict[str, int]) -> dict[str, object]:
    async with asyncio.TaskGroup() as group:
        saved = group.create_task(asyncio.to_thread(save, values))
        published = group.create_task(publish(values))
        devices = group.create_task(asyncio.to_thread(switch_off))
    return {"saved": saved.result(), "published": published.result(), "devices": devices.result()}


async def experiment_by_hand() -> dict[str, object]:
    devices = await start_devices()
    values = await asyncio.to_thread(measure, await warm_up(devices))
    return await finish(values)


# As a flow ----------------------------------------------------------------------------------------------------

experiment = whilst.sequence(
    whilst.together(switch_on_lamp, switch_on_pump, switch_on_camera),
    warm_up,
    whilst.step(measure, timeout=5.0),
    whilst.together(saved=save, published=publish, devices=switch_off),
)


def main() -> None:
    one_by_one = 0.1 + 0.15 + 0.2 + 0.1 + 0.1 + 0.1 + 0.15 + 0.05
    print(f"one by one  {one_by_one:.2f} s")
    start = time.perf_counter()
    by_hand = asyncio.run(experiment_by_hand())
    print(f"by hand     {time.perf_counter() - start:.2f} s {by_hand}")

    print(experiment.plan())
    start = time.perf_counter()
    result = experiment()
    print(f"as a flow   {time.perf_counter() - start:.2f} s {result}")
    print(f"same: {result == by_hand}")


if __name__ == "__main__":
    main()
