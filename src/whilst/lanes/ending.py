"""Waiting for an end that must be seen, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def ended(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Return when all are done; a cancellation meanwhile goes on only then, and reaches none of them.

    They were told to end before. To cancel them again would cancel their clean-up.
    """
    cancelled: asyncio.CancelledError | None = None
    while pending := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as caught:
            cancelled = caught
    if cancelled is not None:
        raise cancelled
