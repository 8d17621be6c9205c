"""Our books against the venue's: orders, trades, positions, funding and funds.

Trades are asked for before and after the positions, so that the positions stand for exactly the trades in the books.
What differs then has to differ twice: a venue's answers need not all be of one moment.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from decimal import Decimal

from consumers.gateways.ledger import Ledger, known
from consumers.gateways.venue import Refused, Told, Venue
from consumers.orders import Order
from infra import logs, metrics
from schemas import Record

SECOND = 1_000_000_000
OVERLAP_NS = 60 * SECOND  # asked for again each time: the venue's trades may come late
GRACE_NS = 2 * SECOND  # for a request that is on its way
DOUBTFUL = ("requested", "unknown")  # statuses of an order that may still be on its way
TRIES = 5
AGAIN_S = 0.25
log = logs.logger(__name__)


async def reconcile(
    venue: Venue,
    ledger: Ledger,
    instruments: Collection[str],
    busy: Collection[str],
    tell: Callable[[Iterable[Record]], None],
    now: Callable[[], int],
    arrived_ns: int = 0,
    grace_ns: int = GRACE_NS,
) -> list[str]:
    """Bring the books to the venue's word; the ids of open orders that we know nothing of.

    ``busy`` are orders that are on their way, or being asked for; so may be what has changed within ``grace_ns``, and
    until ``arrived_ns`` what an earlier gateway may have sent.

    Raises:
        Ambiguous, Refused: the venue does not answer.

    """
    began_ns = now()
    opened = await venue.orders()
    strangers = []
    for told in opened:
        order = ledger.of(told.instrument, told.client_id)
        if order is None or not order["strategy"]:
            strangers.append(told.client_id)
        elif order["status"] in ("rejected", "cancelled", "expired"):
            log.warning("an order that had ended is open; cancelling it", client_id=told.client_id)
            try:
                await venue.cancel(told.client_id)
            except Refused as refusal:
                if not refusal.missing:  # it may have gone since
                    raise
        tell(ledger.tell(told))
    metrics.STRANGERS.labels(venue.name).set(len(strangers))
    there = {told.client_id for told in opened}
    for instrument, order in ledger.live():
        if order["client_id"] in there or order["client_id"] in busy:
            continue
        if began_ns - order["changed_ns"] > grace_ns:
            found = await venue.find(order["client_id"]) if order["strategy"] else None
            if found is None and order["status"] in DOUBTFUL and began_ns < arrived_ns:
                continue
            tell(ledger.tell(found or _gone(instrument, order, now())))
    await _positions(venue, ledger, busy, tell, now)
    for paid in await venue.payments(ledger.from_ns):
        tell(ledger.pay(paid))
    ledger.funds = await venue.funds()
    for instrument in sorted({*instruments, *ledger.holdings}):
        tell([ledger.equity(instrument, now())])
    ledger.from_ns = max(ledger.from_ns, began_ns - OVERLAP_NS)
    return strangers


def _gone(instrument: str, order: Order, now_ns: int) -> Told:
    """What has become of an order of which the venue knows nothing."""
    status = "cancelled" if order["venue_id"] or order["filled"] else "rejected"
    return known(instrument, order, status, "the venue knows of no such order", now_ns)


async def _positions(
    venue: Venue,
    ledger: Ledger,
    busy: Collection[str],
    tell: Callable[[Iterable[Record]], None],
    now: Callable[[], int],
) -> None:
    since_ns = ledger.from_ns
    await _trades(venue, ledger, busy, tell, since_ns)
    before: list[tuple[str, Decimal]] = []
    for attempt in range(TRIES):
        traded = ledger.traded
        holdings = await venue.holdings()
        await _trades(venue, ledger, busy, tell, since_ns)
        settled = ledger.traded == traded and not ledger.waiting
        differing = ledger.differing(holdings) if settled else []
        sizes = [(held.instrument, held.size) for held in differing]
        if differing and sizes == before:
            for held in differing:
                log.warning("position differs from the trades: the venue's word counts", instrument=held.instrument)
                tell(ledger.reconcile(held, now()))
            return
        if not differing and settled:
            return
        before = sizes
        await asyncio.sleep(AGAIN_S * (attempt + 1))
    log.warning("trades are still coming in: the positions were not held against them")


async def _trades(
    venue: Venue, ledger: Ledger, busy: Collection[str], tell: Callable[[Iterable[Record]], None], since_ns: int
) -> None:
    for trade in await venue.trades(since_ns):
        tell(ledger.trade(trade))
    if not busy:  # else it may be a trade of an order whose acceptance is still to come
        tell(ledger.drain())
