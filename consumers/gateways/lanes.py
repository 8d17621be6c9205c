"""Requests in their order where it matters, and side by side where it does not: one lane for each instrument.

Requests that touch the same order are carried out one after the other, and nothing overtakes a cancel_all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from schemas import OrderRequest


def groups(requests: Sequence[OrderRequest]) -> Iterator[list[OrderRequest]]:
    """Runs of requests that may be carried out at once.

    >>> ask = lambda action, name, replaces="": OrderRequest("x:A", 1, "s", 1, "", action, name, replaces, "", "", "",
    ...     False, False, 0, 0, 0, 0, 0, 1, "")
    >>> first = [ask("place", "a"), ask("place", "b"), ask("replace", "c", "a")]
    >>> [[one.client_id for one in group] for group in groups([*first, ask("cancel_all", "x"), ask("place", "d")])]
    [['a', 'b'], ['c'], ['x'], ['d']]
    """
    group: list[OrderRequest] = []
    touched: set[str] = set()
    for request in requests:
        touches = {request.client_id, request.replaces} - {""}
        if group and (touches & touched or "cancel_all" in (request.action, group[0].action)):
            yield group
            group, touched = [], set()
        group.append(request)
        touched |= touches
    if group:
        yield group


class Lanes:
    """Carries requests out; ``work`` must not raise but to end everything."""

    def __init__(self, work: Callable[[OrderRequest], Awaitable[None]], tasks: asyncio.TaskGroup) -> None:
        self._work, self._tasks = work, tasks
        self._lanes: dict[str, asyncio.Queue[OrderRequest]] = {}

    def put(self, request: OrderRequest) -> None:
        """Carry a request out after those of its instrument that came before."""
        lane = self._lanes.get(request.instrument)
        if lane is None:
            lane = self._lanes[request.instrument] = asyncio.Queue()
            self._tasks.create_task(self._run(lane))
        lane.put_nowait(request)

    async def _run(self, lane: asyncio.Queue[OrderRequest]) -> None:
        while True:
            waiting = [await lane.get()]
            while not lane.empty():
                waiting.append(lane.get_nowait())
            for group in groups(waiting):
                await asyncio.gather(*(self._work(request) for request in group))
