"""Waiting for what must come, however slow the machine: for the event itself, never for so many seconds.

A limit here ends only a test that has failed already, so it may be long; pytest's own (pyproject.toml) is longer.
"""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 180.0


def until(true: Callable[[], bool], told: Callable[[], str] = str, every_s: float = 0.05) -> None:
    """Wait until something is true; where it does not come true, fail with what ``told`` says then."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, f"it has not come true in {PATIENCE_S:g} s\n{told()[-4_000:]}"
        time.sleep(every_s)


async def until_true(true: Callable[[], bool], running: "asyncio.Future[None] | None" = None) -> None:
    """``until`` in an event loop; what ends the task ``running`` meanwhile is raised."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            if running is not None and running.done():
                running.result()
                raise AssertionError("it ended by itself")
            await asyncio.sleep(0.005)
