"""A gateway in process, on the venue of this machine: what it was asked, and what it has written."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from consumers.gateways.extended import Extended
from consumers.gateways.gateway import Gateway, Options
from consumers.gateways.guard import Halts
from consumers.gateways.ledger import Ledger
from producers.backoff import Backoff
from schemas import Control, OrderRequest, OrderState, Record
from schemas.codec import Codec
from tests.extended_venue.server import ExtendedVenue
from tests.waiting import PATIENCE_S

SECOND = 1_000_000_000
INSTRUMENT = "extended:ETH-USD"
CODEC = Codec()
Kind = TypeVar("Kind", bound=Record)
QUICK = Options(countdown_s=60, away_s=5.0, reconcile_s=30.0, resolve_s=0.6, orders_per_s=100.0, watched=())


@dataclass
class Written:
    """What a gateway has written."""

    records: list[Record] = field(default_factory=list)

    def __call__(self, record: Record) -> None:
        assert CODEC.decode(CODEC.encode(record)) == record
        self.records.append(record)

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [record for record in self.records if isinstance(record, kind)]

    def states(self, client_id: str) -> list[str]:
        return [state.status for state in self.of(OrderState) if state.client_id == client_id]

    def notes(self) -> str:
        return "\n".join(control.reason for control in self.of(Control))


def ask(client_id: str, side: str = "buy", price: str = "1990", **change: Any) -> OrderRequest:
    """A request to place an order of 0.1 that is valid for ten minutes."""
    now_ns = time.time_ns()
    request = OrderRequest(
        INSTRUMENT, now_ns, "maker", 1, "c", "place", client_id, "", side, "limit", "GTT", True, False,
        round(float(price) * 10), 100, 1, 3, now_ns + 600 * SECOND, now_ns + 600 * SECOND, "",
    )  # fmt: skip
    return msgspec.structs.replace(request, **change)


def cancel(client_id: str) -> OrderRequest:
    """A request to cancel an order."""
    return ask(client_id, action="cancel", side="", kind="", time_in_force="", price="0", size=0, expires_ns=0)


def venue_client(venue: ExtendedVenue, nonces: Callable[[], int]) -> Extended:
    """A client of the venue, quick to try again."""
    keys = venue.keys
    return Extended(
        ["ETH-USD"], api_key=keys.api_key, private_key=keys.private_key, vault=keys.vault, environment="testnet",
        draw=nonces, hosts=venue.hosts, backoff=Backoff(base_s=0.01, cap_s=0.1, spacing_s=0.05), tries_s=2.0,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def trading(
    venue: ExtendedVenue, options: Options = QUICK, recalled: Sequence[Record] = (), ready: bool = True
) -> AsyncIterator[tuple[Gateway, Written]]:
    """A gateway that trades within the context, and leaves in order at its end."""
    numbers = iter(range(time.time_ns() // SECOND % 2**30 + len(venue.exchange.orders), 2**31))
    client, written = venue_client(venue, lambda: next(numbers)), Written()
    ledger, halts = Ledger(client), Halts()
    ledger.recall(recalled)
    for record in recalled:
        if isinstance(record, Control):
            halts.take(record)
    gateway = Gateway(client, [INSTRUMENT], written, ledger, halts, options)
    running = asyncio.create_task(gateway.run())
    try:
        if ready:
            await until(gateway.ready.is_set, running)
        yield gateway, written
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def until(
    true: Callable[[], bool], running: "asyncio.Task[Any] | None" = None, seconds: float = PATIENCE_S
) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        if running is not None and running.done():
            running.result()
        assert time.monotonic() < end, "it has not come true"
        await asyncio.sleep(0.01)
