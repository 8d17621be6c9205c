"""Topic ``gaps``, the gap ledger: what of a feed was not seen, and whether it came after all.

Known from the log alone, so that a replay or a restarted feed gives the same ledger:

- a trade id that jumps, on a tick or a trade: the trades between are missed;
- a heartbeat whose last trade id has still not come by the heartbeat after it (a heartbeat may overtake a tick);
- a connect: an outage from the last sign of life to the first one after it, missed trades or not;
- silence: nothing for longer than the connect said is normal (``quiet_ms``; where it said 0, ``stale_after_ms``) by the
  clock opens a row (to_ns 0), the next sign of life closes it;
- a trade that comes late into the last hole: a row with ``recovered``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from processors.online.rows import FIRST, columns_of, doubled, row_type
from processors.online.sight import (
    CAUSES,
    Sight,
    cause_code,
    cause_codes,
    feed_of,
    on_clock,
    on_connect,
    on_heartbeat,
    on_tick,
)
from processors.stage import BatchStage, Events, Rejection
from schemas import Clock, Connect, Gap, Heartbeat, Tick, Trade
from schemas.columns import Column, Keys, Table
from schemas.jit import kernel

MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class GapOptions:
    """How much silence is a stall of a feed that says nothing about it."""

    stale_after_ms: int = 5_000

    def __post_init__(self) -> None:
        if self.stale_after_ms < 1:
            raise ValueError(f"stale_after_ms must be at least 1, not {self.stale_after_ms}")


class Gaps(BatchStage[Tick | Heartbeat | Connect | Clock | Trade, Gap]):
    """Writes a row for each gap.

    >>> stage = Gaps("kraken:ETH-USD")
    >>> quote = dict(instrument="kraken:ETH-USD", bid=99.0, ask=101.0, bid_size=1.0, ask_size=1.0, price=0.0, size=0.0,
    ...              side="", sequence=0)
    >>> list(stage.on_event(Tick(event_ns=1, received_ns=1, trade_id=7, **quote)))
    []
    >>> [gap] = stage.on_event(Tick(event_ns=2, received_ns=2, trade_id=9, **quote))
    >>> gap.expected, gap.seen, gap.missed
    (8, 9, 1)
    """

    Options = GapOptions
    State = Sight
    columns = ("event_ns", "received_ns", "trade_id", "last_trade_id", "cause", "quiet_ms")
    options: GapOptions
    state: Sight

    def on_event(self, event: Tick | Heartbeat | Connect | Clock | Trade) -> Iterator[Gap]:
        if isinstance(event, Tick | Trade):
            row = on_tick(self.state, event.event_ns, event.received_ns, event.trade_id)
        elif isinstance(event, Heartbeat):
            row = on_heartbeat(self.state, event.event_ns, event.received_ns, event.last_trade_id)
        elif isinstance(event, Connect):
            on_connect(self.state, cause_code(event.cause), event.quiet_ms * MILLISECOND)
            return
        else:
            row = on_clock(self.state, event.event_ns, self.options.stale_after_ms * MILLISECOND)
        if row[0]:
            yield Gap(self.key, event.event_ns, feed_of(self.key), CAUSES[row[0]], *row[1:])

    @classmethod
    def on_batch(
        cls, options: GapOptions, keys: Keys, states: NDArray[np.void], events: Events
    ) -> tuple[list[Table], list[Rejection]]:
        given = events.columns
        reasons = cause_codes(given["cause"], events.kind == CONNECT)
        rows = _run(
            states, keys.sorted_codes(), *events[:3], given["event_ns"], given["received_ns"], given["trade_id"],
            given["last_trade_id"], given["quiet_ms"], reasons, options.stale_after_ms * MILLISECOND,
        )  # fmt: skip
        columns: dict[str, Column] = columns_of(rows)
        columns["cause"] = pl.Series([CAUSES[reason] for reason in rows["reason"].tolist()], dtype=pl.String)
        feeds = [feed_of(keys.names[code]) for code in rows["key"].tolist()]
        columns["feed"] = pl.Series(feeds, dtype=pl.String)
        return [Table(Gap, rows["cause"].copy(), rows["key"].copy(), columns)], []


ROW = row_type(
    reason=np.int64,
    event_ns=np.int64,
    from_ns=np.int64,
    to_ns=np.int64,
    expected=np.int64,
    seen=np.int64,
    missed=np.int64,
    recovered=np.bool_,
)
TICK, HEARTBEAT, CONNECT, CLOCK, TRADE = range(5)


@kernel
def _run(  # type: ignore[no-untyped-def]
    states, order, kinds, keys, causes, event_ns, received_ns, trade_id, last_trade_id, quiet_ms, reasons, stale
):  # fmt: skip
    rows, filled = np.empty(FIRST, ROW), 0
    one = np.empty(1, np.int32)
    for index in range(len(kinds)):
        kind, now = kinds[index], event_ns[index]
        one[0] = keys[index]
        for key in order if kind == CLOCK else one:
            state = states[key]
            if kind == CONNECT:
                on_connect(state, reasons[index], quiet_ms[index] * MILLISECOND)
                continue
            if kind == TICK or kind == TRADE:
                found = on_tick(state, now, received_ns[index], trade_id[index])
            elif kind == HEARTBEAT:
                found = on_heartbeat(state, now, received_ns[index], last_trade_id[index])
            else:
                found = on_clock(state, now, stale)
            if found[0] == 0:
                continue
            if filled == len(rows):
                rows = doubled(rows)
            row = rows[filled]
            row.cause, row.key, row.event_ns = causes[index], key, now
            row.reason, row.from_ns, row.to_ns, row.expected, row.seen, row.missed, row.recovered = found
            filled += 1
    return rows[:filled]
