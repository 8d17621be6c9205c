"""Requests on their way to the venue, each once."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from consumers.matching.gate import CANCELLING
from schemas import OrderRequest

KEPT = 1_000  # requests remembered, about, before those that are too old to come again are dropped


@dataclass(slots=True)
class Arrivals:
    """Requests by the time at which they are there, and which were had."""

    waiting: list[tuple[int, OrderRequest]] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)  # with their valid_until_ns: later a repeat is stale

    def send(self, request: OrderRequest, due_ns: int, now_ns: int) -> None:
        """Take a request that will be there at a time, unless it was had."""
        name = request.client_id
        if request.action in CANCELLING:  # there it names the order that is to go
            name = f"{request.strategy}:{request.configuration}:{request.sequence}:{request.event_ns}"
        if name in self.seen:
            return
        if len(self.seen) >= KEPT:
            self.seen = {known: until for known, until in self.seen.items() if until >= now_ns}
        self.seen[name] = request.valid_until_ns
        self.waiting.append((due_ns, request))
        self.waiting.sort(key=lambda item: item[0])

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values."""
        waiting = [[due, list(msgspec.structs.astuple(request))] for due, request in self.waiting]
        return {"waiting": waiting, "seen": dict(self.seen)}

    @classmethod
    def restored(cls, snapshot: dict[str, Any]) -> "Arrivals":
        """Continue from a snapshot."""
        waiting = [(due, OrderRequest(*values)) for due, values in snapshot["waiting"]]
        return cls(waiting, dict(snapshot["seen"]))
