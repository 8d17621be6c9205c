"""What waits for what: requests of one order for each other, all of an instrument for a cancel_all, nothing else."""

import asyncio
import contextlib

import pytest

from consumers.gateways.lanes import Lanes
from schemas import OrderRequest
from tests.consumers.gateways.running import ask, cancel

OTHER = "extended:BTC-USD"


def begun(*requests: OrderRequest, stalled: str) -> list[str]:
    """What is begun, in order, while the requests of one id get no answer."""
    names: list[str] = []

    async def work(request: OrderRequest) -> None:
        names.append(f"{request.action} {request.client_id}")
        if request.client_id == stalled:
            await asyncio.Event().wait()

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            lanes = Lanes(work, tasks)
            for request in requests:
                lanes.put(request)
            for _ in range(20):
                await asyncio.sleep(0)
            raise TimeoutError

    with contextlib.suppress(ExceptionGroup):
        asyncio.run(run())
    return names


CANCEL_ALL = ask("", action="cancel_all")


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([ask("a"), cancel("b"), cancel("a")], ["place a", "cancel b"]),
        ([ask("a"), ask("b", action="replace", replaces="a"), cancel("b"), ask("c")], ["place a", "place c"]),
        ([ask("a"), CANCEL_ALL, ask("b")], ["place a", "cancel_all "]),
        ([ask("a"), CANCEL_ALL, ask("b", instrument=OTHER)], ["place a", "cancel_all ", "place b"]),
        ([ask("b"), CANCEL_ALL], ["place b", "cancel_all ", "cancel_all "]),
        ([CANCEL_ALL, ask("b"), ask("c"), cancel("b")], ["cancel_all ", "place b", "place c", "cancel b"]),
    ],
)
def test_only_what_touches_the_same_waits(requests: list[OrderRequest], expected: list[str]) -> None:
    assert begun(*requests, stalled="a") == expected
