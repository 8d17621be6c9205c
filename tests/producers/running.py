"""A feed's shell run by a test until what it waits for has come."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from producers.backoff import Backoff
from producers.transport import Transport
from tests.waiting import until_true

QUICK = Backoff(base_s=0.02, cap_s=0.05, spacing_s=0.02)


def set_clock(monkeypatch: pytest.MonkeyPatch, at_s: int) -> None:
    """Have the wall clock show a time, and go on from there: no test may meet the end of a window or a day."""
    real, ahead_ns = time.time_ns, at_s * 1_000_000_000 - time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead_ns)
    monkeypatch.setattr(time, "time", lambda: (real() + ahead_ns) / 1e9)


@contextlib.asynccontextmanager
async def running(transport: Transport, done: Callable[[], bool]) -> AsyncIterator[None]:
    """Within it the transport runs, and ``done`` has come true; what comes at the transport's end is the shell's.

    Raises:
        TimeoutError: it has not for long.
        AssertionError: the transport ended by itself.

    """
    task = asyncio.create_task(transport.run())
    try:
        await until_true(done, task)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
