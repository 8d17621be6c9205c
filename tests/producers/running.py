"""A feed's shell run by a test until what it waits for has come."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from producers.backoff import Backoff
from producers.transport import Transport

QUICK = Backoff(base_s=0.02, cap_s=0.05, spacing_s=0.02)


@contextlib.asynccontextmanager
async def running(transport: Transport, done: Callable[[], bool], seconds: float) -> AsyncIterator[None]:
    """Within it the transport runs, and ``done`` has come true; what comes at the transport's end is the shell's.

    Raises:
        TimeoutError: it has not within so many seconds.
        AssertionError: the transport ended by itself.

    """
    task = asyncio.create_task(transport.run())
    try:
        async with asyncio.timeout(seconds):
            while not done():
                assert not task.done(), task.exception()
                await asyncio.sleep(0.005)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
