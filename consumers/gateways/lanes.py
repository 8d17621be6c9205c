"""Requests in their order where it matters, and side by side where it does not.

Requests that touch the same order are carried out one after the other, and nothing of an instrument overtakes a
cancel_all. No cancel waits for another order, whose reply may take long: a cancel_all is carried out at once, and again
after all that came before it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from schemas import OrderRequest

ALL = ""  # stands for the orders that a cancel_all touches
Lane = dict[str, "asyncio.Task[None]"]  # by client id, the last request that touches the order


class Lanes:
    """Carries requests out; ``work`` must not raise but to end everything."""

    def __init__(self, work: Callable[[OrderRequest], Coroutine[Any, Any, None]], tasks: asyncio.TaskGroup) -> None:
        self._work, self._tasks = work, tasks
        self._lanes: dict[str, Lane] = {}

    def put(self, request: OrderRequest) -> None:
        """Carry a request out after those that came before and touch the same."""
        lane = self._lanes.setdefault(request.instrument, {})
        if request.action == "cancel_all":
            names, before = {ALL}, set(lane.values())
            if before:
                self._tasks.create_task(self._work(request))
        else:
            names = {request.client_id, request.replaces or request.client_id}
            before = {lane[name] for name in (*names, ALL) if name in lane}
        task = self._tasks.create_task(self._carry_out(request, before))
        lane.update(dict.fromkeys(names, task))
        task.add_done_callback(lambda done: _leave(lane, names, done))

    async def _carry_out(self, request: OrderRequest, before: "set[asyncio.Task[None]]") -> None:
        if before:
            await asyncio.wait(before)
        await self._work(request)


def _leave(lane: Lane, names: set[str], task: "asyncio.Task[None]") -> None:
    for name in names:
        if lane.get(name) is task:
            del lane[name]
