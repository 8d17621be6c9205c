"""What a gateway begins with: what the one before it has written, and every halt that is in force."""

import time
from collections.abc import Iterable

from consumers.gateways.guard import Halts
from consumers.gateways.ledger import Ledger
from consumers.reader import read
from infra.errors import UserError
from infra.settings import Settings
from schemas import Control, Equity, Fill, NetPosition, OrderRequest, OrderState, Record
from schemas.codec import Codec

SECOND = 1_000_000_000
ORDERS_NS = 3_600 * SECOND  # no order outlives its gateway by more than the dead man's countdown
ACCOUNTS_NS = 30 * 86_400 * SECOND
OVERLAP_NS = 60 * SECOND
PAPER_NS = 60 * SECOND


def halts_in_force(settings: Settings, codec: Codec) -> Halts:
    """Every halt that nobody has reset."""
    halts = Halts()
    for received in read(settings, codec, Control, start="earliest", to_end=True):
        halts.take(received.record)
    return halts


def recalled(settings: Settings, codec: Codec, venue: str, instruments: Iterable[str], now_ns: int) -> list[Record]:
    """What was written of some instruments: the newest accounts, then orders and their fills as they were written.

    Raises:
        UserError: the paper venue answers these requests.

    """
    ours = frozenset(instruments)
    newest: dict[tuple[type[Record], str], NetPosition | Equity] = {}
    accounts: tuple[type[NetPosition | Equity], ...] = NetPosition, Equity
    for found in read(settings, codec, accounts, start=now_ns - ACCOUNTS_NS, to_end=True):
        if found.record.instrument in ours and found.record.venue == venue:
            newest[type(found.record), found.record.instrument] = found.record
    told_ns = [record.event_ns for record in newest.values() if isinstance(record, Equity)]
    start = min([now_ns - ORDERS_NS, *(stamp - OVERLAP_NS for stamp in told_ns)])
    kinds: tuple[type[Record], ...] = OrderRequest, OrderState, Fill
    orders = [
        (received.times.produced_ns if received.times is not None else received.record.event_ns, received.record)
        for received in read(settings, codec, kinds, start=start, to_end=True)
        if getattr(received.record, "instrument", "") in ours
    ]
    for _, record in orders:
        if isinstance(record, OrderState) and record.venue == "paper" and now_ns - record.event_ns < PAPER_NS:
            raise UserError(
                f"the paper venue answers the requests for {record.instrument}: stop it before trading live"
            )
    return [*newest.values(), *(record for _, record in sorted(orders, key=lambda order: order[0]))]


def restored(settings: Settings, codec: Codec, ledger: Ledger, venue: str, instruments: Iterable[str]) -> None:
    """Fill a ledger with what the gateway before it knew; trades since then are still to be asked for."""
    now_ns = time.time_ns()
    records = recalled(settings, codec, venue, instruments, now_ns)
    ledger.recall(records)
    told_ns = [record.event_ns for record in records if isinstance(record, Equity)]
    ledger.from_ns = min(told_ns) - OVERLAP_NS if told_ns else now_ns
