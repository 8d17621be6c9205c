"""Topic ``qualities``: for each minute of an instrument, how well its feed was seen.

A minute ends with the first clock at or after its end; what came before that clock in the log counts for it, whatever
its event time. Coverage is the time during which the last sign of life (tick, trade or heartbeat) was, by the clock, no
older than the feed says is normal (``quiet_ms`` of its connect, else ``stale_after_ms``). Minutes are written from an
instrument's first sign of life until it has been dead for ``forget_after_minutes``.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.online.outlier import Prices, is_outlier
from processors.online.rows import FIRST, columns_of, doubled, row_type
from processors.online.sight import (
    Row,
    Sight,
    cause_code,
    cause_codes,
    fills_hole,
    limit,
    on_clock,
    on_connect,
    on_heartbeat,
    on_tick,
)
from processors.stage import BatchStage, Events, Rejection
from schemas import Clock, Connect, Heartbeat, Quality, Tick, Trade
from schemas.columns import Keys, Table
from schemas.jit import kernel, shared

MILLISECOND = 1_000_000
MINUTE_NS = 60_000_000_000
Figures = tuple[int, float, int, int, int, int, int, int, int, int, int]  # a Quality without its instrument


@dataclass(slots=True)
class QualityState(Prices, Sight):
    """One instrument's feed, and the minute so far."""

    end_ns: int = 0  # of the minute; 0 before the first clock
    clock_ns: int = 0  # last clock
    newest_ns: int = 0  # latest event time of a tick or trade
    idle: int = 0  # minutes in a row without any coverage
    covered_ns: int = 0
    ticks: int = 0
    heartbeats: int = 0
    oldest_ns: int = 0
    delay_ns: int = 0
    gaps: int = 0
    missed: int = 0
    duplicates: int = 0
    late: int = 0
    outliers: int = 0


@dataclass(frozen=True, slots=True)
class QualityOptions:
    """What counts as alive, as an outlier, and as gone for good."""

    stale_after_ms: int = 5_000
    outlier_factor: float = 20.0  # mean absolute moves from one price to the next
    forget_after_minutes: int = 60

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) >= 1:
                raise ValueError(f"{field.name} must be at least 1, not {getattr(self, field.name)}")


@shared
def count_price(state: Any, event_ns: int, received_ns: int, trade_id: int, price: float, factor: float) -> None:
    """Take a tick or a trade."""
    state.ticks += 1
    state.delay_ns = max(state.delay_ns, received_ns - event_ns)
    state.duplicates += 0 < trade_id <= state.trade_id and not fills_hole(state, trade_id)
    state.late += event_ns < state.newest_ns
    state.newest_ns = max(state.newest_ns, event_ns)
    state.outliers += is_outlier(state, price, factor)
    known = state.open
    count_gap(state, on_tick(state, event_ns, received_ns, trade_id), known)


@shared
def count_heartbeat(state: Any, event_ns: int, received_ns: int, last_trade_id: int) -> None:
    """Take a heartbeat."""
    state.heartbeats += 1
    state.delay_ns = max(state.delay_ns, received_ns - event_ns)
    known = state.open
    count_gap(state, on_heartbeat(state, event_ns, received_ns, last_trade_id), known)


@shared
def count_gap(state: Any, row: Row, known: bool) -> None:
    """Count a gap when it is first seen, and what it has cost when that is; a hole that is filled is none."""
    if row[0] == 0 or (row[6] and row[1] == row[2]):
        return
    state.gaps += not known
    state.missed += row[5]


@shared
def pass_time(state: Any, now_ns: int, stale_ns: int) -> int:
    """Let the clock come to ``now_ns``, at most the end of the minute; whether the minute is over."""
    if state.seen_ns == 0:
        return 0
    if state.end_ns == 0 or state.clock_ns == 0:
        state.end_ns, state.clock_ns = now_ns - now_ns % MINUTE_NS + MINUTE_NS, now_ns
        return 0
    until_ns = min(now_ns, state.end_ns)
    dies_ns = state.alive_ns + limit(state, stale_ns)
    state.covered_ns += max(0, min(until_ns, dies_ns) - state.clock_ns)
    state.oldest_ns = max(state.oldest_ns, until_ns - state.alive_ns)
    state.clock_ns = max(state.clock_ns, until_ns)
    return 1 if now_ns >= state.end_ns else 0


@shared
def close(state: Any) -> Figures:
    """The minute's figures; the next one begins."""
    figures = (
        state.end_ns, state.covered_ns / MINUTE_NS, state.ticks, state.heartbeats, state.oldest_ns // MILLISECOND,
        state.delay_ns // MILLISECOND, state.gaps, state.missed, state.duplicates, state.late, state.outliers,
    )  # fmt: skip
    state.idle = 0 if state.covered_ns > 0 or state.ticks > 0 else state.idle + 1
    state.end_ns += MINUTE_NS
    state.covered_ns = state.ticks = state.heartbeats = state.oldest_ns = state.delay_ns = 0
    state.gaps = state.missed = state.duplicates = state.late = state.outliers = 0
    return figures


@shared
def skip(state: Any, now_ns: int, forget: int) -> None:
    """Go straight to the minute of ``now_ns`` where nothing is to be told of those between."""
    if state.idle >= forget or now_ns - state.end_ns >= forget * MINUTE_NS:
        state.end_ns = state.clock_ns = 0
        state.idle = 0
        state.seen_ns = 0


class Qualities(BatchStage[Tick | Heartbeat | Connect | Clock | Trade, Quality]):
    """Writes a row for each minute.

    >>> stage = Qualities("kraken:ETH-USD")
    >>> beat = Heartbeat("kraken:ETH-USD", MINUTE_NS, MINUTE_NS, 0, 0)
    >>> for event in (beat, Clock(MINUTE_NS), Clock(MINUTE_NS + 3 * 10**9)):
    ...     assert list(stage.on_event(event)) == []
    >>> [quality] = stage.on_event(Clock(2 * MINUTE_NS))
    >>> quality.heartbeats, quality.oldest_ms, round(quality.coverage, 3)
    (1, 60000, 0.083)
    """

    Options = QualityOptions
    State = QualityState
    columns = (
        "event_ns", "received_ns", "trade_id", "last_trade_id", "cause", "quiet_ms", "bid", "ask", "price",
    )  # fmt: skip
    options: QualityOptions
    state: QualityState

    def on_event(self, event: Tick | Heartbeat | Connect | Clock | Trade) -> Iterator[Quality]:
        state, options = self.state, self.options
        if isinstance(event, Tick):
            mid = (event.bid + event.ask) / 2.0
            count_price(state, event.event_ns, event.received_ns, event.trade_id, mid, options.outlier_factor)
        elif isinstance(event, Trade):
            count_price(state, event.event_ns, event.received_ns, event.trade_id, event.price, options.outlier_factor)
        elif isinstance(event, Heartbeat):
            count_heartbeat(state, event.event_ns, event.received_ns, event.last_trade_id)
        elif isinstance(event, Connect):
            on_connect(state, cause_code(event.cause), event.quiet_ms * MILLISECOND)
        else:
            stale_ns = options.stale_after_ms * MILLISECOND
            count_gap(state, on_clock(state, event.event_ns, stale_ns), False)
            while pass_time(state, event.event_ns, stale_ns):
                yield Quality(self.key, *close(state))
                skip(state, event.event_ns, options.forget_after_minutes)

    @classmethod
    def on_batch(
        cls, options: QualityOptions, keys: Keys, states: NDArray[np.void], events: Events
    ) -> tuple[list[Table], list[Rejection]]:
        given = events.columns
        reasons = cause_codes(given["cause"], events.kind == CONNECT)
        rows = _run(
            states, keys.sorted_codes(), *events[:3], given["event_ns"], given["received_ns"], given["trade_id"],
            given["last_trade_id"], given["quiet_ms"], given["bid"], given["ask"], given["price"], reasons,
            options.stale_after_ms * MILLISECOND, options.outlier_factor, options.forget_after_minutes,
        )  # fmt: skip
        return [Table(Quality, rows["cause"].copy(), rows["key"].copy(), columns_of(rows))], []


ROW = row_type(
    event_ns=np.int64,
    coverage=np.float64,
    ticks=np.int64,
    heartbeats=np.int64,
    oldest_ms=np.int64,
    delay_ms=np.int64,
    gaps=np.int64,
    missed=np.int64,
    duplicates=np.int64,
    late=np.int64,
    outliers=np.int64,
)
TICK, HEARTBEAT, CONNECT, CLOCK, TRADE = range(5)


@kernel
def _run(  # type: ignore[no-untyped-def]
    states, order, kinds, keys, causes, event_ns, received_ns, trade_id, last_trade_id, quiet_ms, bid, ask, price,
    reasons, stale, factor, forget,
):  # fmt: skip
    rows, filled = np.empty(FIRST, ROW), 0
    one = np.empty(1, np.int32)
    for index in range(len(kinds)):
        kind, now = kinds[index], event_ns[index]
        one[0] = keys[index]
        for key in order if kind == CLOCK else one:
            state = states[key]
            if kind == TICK:
                mid = (bid[index] + ask[index]) / 2.0
                count_price(state, now, received_ns[index], trade_id[index], mid, factor)
            elif kind == TRADE:
                count_price(state, now, received_ns[index], trade_id[index], price[index], factor)
            elif kind == HEARTBEAT:
                count_heartbeat(state, now, received_ns[index], last_trade_id[index])
            elif kind == CONNECT:
                on_connect(state, reasons[index], quiet_ms[index] * MILLISECOND)
            else:
                count_gap(state, on_clock(state, now, stale), False)
                while pass_time(state, now, stale) != 0:
                    if filled == len(rows):
                        rows = doubled(rows)
                    row = rows[filled]
                    row.cause, row.key = causes[index], key
                    (
                        row.event_ns, row.coverage, row.ticks, row.heartbeats, row.oldest_ms, row.delay_ms, row.gaps,
                        row.missed, row.duplicates, row.late, row.outliers,
                    ) = close(state)  # fmt: skip
                    filled += 1
                    skip(state, now, forget)
    return rows[:filled]
