"""Awaitables that belong together: when one of them ends, however it ends, all end."""

import asyncio
from collections.abc import Awaitable


async def until_first(*works: Awaitable[object]) -> None:
    """Run all works until the first ends; cancel and await the others; raise its exception."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
