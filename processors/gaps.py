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
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from processors.online.rows import FIRST, columns_of, doubled, row_type
from processors.stage import BatchStage, Events, Rejection
from schemas import Clock, Connect, Gap, Heartbeat, Tick, Trade
from schemas.columns import Column, Keys, Table
from schemas.jit import kernel, shared

MILLISECOND = 1_000_000
CAUSES = ("", "missed", "stall", "start", "disconnect", "sequence", "error")
MISSED, STALL = 1, 2


@dataclass(slots=True)
class GapState:
    """How far one instrument has been seen."""

    trade_id: int = 0  # largest seen or given up
    seen_ns: int = 0  # venue time of the last sign of life
    alive_ns: int = 0  # our time of it
    pending: int = 0  # cause of a connect that no sign of life has followed yet
    open: bool = False  # a stall has been reported and not closed
    told: int = 0  # last trade id of the last heartbeat
    hole_from: int = 0
    hole_to: int = 0
    quiet_ns: int = 0  # silence that the feed says is normal; 0: it says nothing


@dataclass(frozen=True, slots=True)
class GapOptions:
    """How much silence is a stall of a feed that says nothing about it."""

    stale_after_ms: int = 5_000

    def __post_init__(self) -> None:
        if self.stale_after_ms < 1:
            raise ValueError(f"stale_after_ms must be at least 1, not {self.stale_after_ms}")


Row = tuple[int, int, int, int, int, int, bool]  # cause, from_ns, to_ns, expected, seen, missed, recovered
NONE: Row = (0, 0, 0, 0, 0, 0, False)


@shared
def alive(state: Any, event_ns: int, received_ns: int, known: int, seen: int) -> Row:
    """Take a sign of life by which trades up to ``known`` have gone past unseen and ``seen`` is the next after them."""
    hole = state.trade_id > 0 and known > state.trade_id
    row = NONE
    if state.seen_ns > 0 and (state.pending > 0 or state.open or hole):
        cause = state.pending if state.pending > 0 else (MISSED if hole else STALL)
        missed = known - state.trade_id if hole else 0
        expected = state.trade_id + 1 if state.trade_id > 0 else 0
        row = (cause, state.seen_ns, event_ns, expected, max(seen, expected), missed, missed == 0)
    if hole:
        state.hole_from, state.hole_to = state.trade_id + 1, known + 1
    state.trade_id = max(state.trade_id, known)
    state.pending, state.open = 0, False
    state.seen_ns, state.alive_ns = max(state.seen_ns, event_ns), max(state.alive_ns, received_ns)
    return row


@shared
def on_tick(state: Any, event_ns: int, received_ns: int, trade_id: int) -> Row:
    """A tick is a sign of life; its trade id shows what was missed, or fills a hole."""
    fills = 0 < state.hole_from <= trade_id < state.hole_to
    if fills and not state.open and state.pending == 0:
        state.seen_ns, state.alive_ns = max(state.seen_ns, event_ns), max(state.alive_ns, received_ns)
        return (MISSED, event_ns, event_ns, trade_id, trade_id, 0, True)
    row = alive(state, event_ns, received_ns, trade_id - 1, trade_id)
    state.trade_id = max(state.trade_id, trade_id)
    return row


@shared
def on_heartbeat(state: Any, event_ns: int, received_ns: int, last_trade_id: int) -> Row:
    """A heartbeat is a sign of life; what the one before told of and has not come by now was missed."""
    known = last_trade_id if state.pending > 0 else state.told
    row = alive(state, event_ns, received_ns, known, known + 1)
    state.told = last_trade_id
    return row


@shared
def on_clock(state: Any, now_ns: int, stale_ns: int) -> Row:
    """Silence for too long is a stall."""
    limit_ns = state.quiet_ns if state.quiet_ns > 0 else stale_ns
    if state.seen_ns == 0 or state.open or now_ns - state.alive_ns <= limit_ns:
        return NONE
    state.open = True
    return (STALL, state.seen_ns, 0, state.trade_id + 1 if state.trade_id > 0 else 0, 0, 0, False)


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
    State = GapState
    columns = ("event_ns", "received_ns", "trade_id", "last_trade_id", "cause", "quiet_ms")
    options: GapOptions
    state: GapState

    def on_event(self, event: Tick | Heartbeat | Connect | Clock | Trade) -> Iterator[Gap]:
        if isinstance(event, Tick | Trade):
            row = on_tick(self.state, event.event_ns, event.received_ns, event.trade_id)
        elif isinstance(event, Heartbeat):
            row = on_heartbeat(self.state, event.event_ns, event.received_ns, event.last_trade_id)
        elif isinstance(event, Connect):
            self.state.pending, self.state.quiet_ns = cause_code(event.cause), event.quiet_ms * MILLISECOND
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
        reasons = np.zeros(len(events.kind), np.int64)
        for index in np.flatnonzero(events.kind == CONNECT).tolist():
            reasons[index] = cause_code(given["cause"][index])
        rows = _run(
            states, keys.sorted_codes(), *events[:3], given["event_ns"], given["received_ns"], given["trade_id"],
            given["last_trade_id"], given["quiet_ms"], reasons, options.stale_after_ms * MILLISECOND,
        )  # fmt: skip
        columns: dict[str, Column] = columns_of(rows)
        columns["cause"] = pl.Series([CAUSES[reason] for reason in rows["reason"].tolist()], dtype=pl.String)
        feeds = [feed_of(keys.names[code]) for code in rows["key"].tolist()]
        columns["feed"] = pl.Series(feeds, dtype=pl.String)
        return [Table(Gap, rows["cause"].copy(), rows["key"].copy(), columns)], []


def cause_code(cause: str) -> int:
    """The number of a connect's cause; one that is not in the list counts as an error."""
    return CAUSES.index(cause) if cause in CAUSES[STALL:] else CAUSES.index("error")


def feed_of(instrument: str) -> str:
    """The feed that an instrument belongs to: its venue.

    >>> feed_of("coinbase:ETH-USD")
    'coinbase'
    """
    return instrument.partition(":")[0]


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
                state.pending, state.quiet_ns = reasons[index], quiet_ms[index] * MILLISECOND
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
