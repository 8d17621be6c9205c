"""Topic ``buckets``: absolute mid-price returns on a fixed event-time grid.

    mid = (bid + ask) / 2        r = 100 |ln(last / start)|  in percent

A bucket covers [end - width, end). It closes when a tick at or past its end comes, or when the clock says that no tick
before its end can come any more: at ``clock - lag - delay``, lag being how far received times run behind venue times.
An empty bucket returns 0 and the cadence goes on; while neither ticks nor heartbeats come it says ``stale``.
The start is the last mid of the bucket before ("carry") or the first mid in the bucket ("first"). After an outage the
start is re-based on the first new mid, so that the move of the outage is not booked as one bucket's.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from processors.online.rows import FIRST, columns_of, doubled, row_type
from processors.stage import BatchStage, Events, Rejection
from schemas import Bucket, Clock, Connect, Heartbeat, Rejected, Tick
from schemas.columns import Keys, Table
from schemas.jit import kernel, shared

MILLISECOND = 1_000_000
LAG_MEMORY = 6  # a past lag loses 1/64 of its excess with each tick


@dataclass(slots=True)
class BucketState:
    """The open bucket of one instrument."""

    end_ns: int = 0  # 0 before the first tick
    start: float = 0.0
    last: float = 0.0
    ticks: int = 0
    missed: int = 0
    rebase: bool = False
    tick_ns: int = 0  # last tick
    seen_ns: int = 0  # last tick or heartbeat
    lag_ns: int = 0
    trade_id: int = 0


@dataclass(frozen=True, slots=True)
class BucketOptions:
    """Width of the grid and what to do about silence."""

    width_ms: int = 160
    start: Literal["carry", "first"] = "carry"
    rebase: bool = True
    stale_after_ms: int = 5_000
    clock_delay_ms: int = 200
    fill: int = 3_750  # most empty buckets in a row that get records; the rest are counted in ``missed``

    def __post_init__(self) -> None:
        if self.width_ms < 1:
            raise ValueError(f"width_ms must be at least 1, not {self.width_ms}")
        if min(self.stale_after_ms, self.clock_delay_ms, self.fill) < 0:
            raise ValueError("stale_after_ms, clock_delay_ms and fill must not be negative")


@shared
def bound(state: Any, width_ns: int) -> int:
    """The time before which a tick is late."""
    return max(state.tick_ns, state.end_ns - width_ns)  # type: ignore[no-any-return]


@shared
def track(state: Any, event_ns: int, received_ns: int) -> None:
    """Note that the feed is alive, and how far it lags."""
    lag = received_ns - event_ns
    if lag >= state.lag_ns or state.seen_ns == 0:
        state.lag_ns = lag
    else:
        state.lag_ns -= (state.lag_ns - lag) >> LAG_MEMORY
    state.seen_ns = max(state.seen_ns, event_ns)


@shared
def due(state: Any, now_ns: int, width_ns: int) -> int:
    """How many buckets end at or before ``now_ns``."""
    if state.end_ns == 0 or now_ns < state.end_ns:
        return 0
    return (now_ns - state.end_ns) // width_ns + 1  # type: ignore[no-any-return]


@shared
def close(state: Any, width_ns: int, stale_ns: int) -> tuple[int, float, float, float, int, int, bool, int]:
    """End the open bucket, open the next, and give the fields of the ended one from ``event_ns`` on, width left out."""
    end = state.end_ns
    age = max(end - state.seen_ns, 0)
    value = 100.0 * abs(math.log(state.last / state.start)) if state.ticks > 0 else 0.0
    closed = (end, state.start, state.last, value, state.ticks, state.missed, age > stale_ns, age // MILLISECOND)
    state.end_ns = end + width_ns
    state.start = state.last
    state.ticks = 0
    state.missed = 0
    return closed


@shared
def skip(state: Any, count: int, width_ns: int) -> None:
    """Pass over empty buckets."""
    state.missed += count
    state.end_ns += count * width_ns


@shared
def take(state: Any, event_ns: int, mid: float, trade_id: int, width_ns: int, first: bool, blind_ns: int) -> None:
    """Put a mid into the bucket it falls in; a gap in trade ids after ``blind_ns`` of silence re-bases the start."""
    if state.end_ns == 0:
        state.end_ns = (event_ns // width_ns + 1) * width_ns
        state.start = mid
    jumped = trade_id > state.trade_id + 1 and state.trade_id > 0 and event_ns - state.seen_ns > blind_ns
    if state.rebase or jumped or (first and state.ticks == 0):
        state.start = mid
        state.rebase = False
    state.last = mid
    state.ticks += 1
    state.tick_ns = event_ns
    state.trade_id = max(state.trade_id, trade_id)


class Buckets(BatchStage[Tick | Heartbeat | Connect | Clock, Bucket]):
    """Closes a bucket when a tick or the clock passes its end.

    >>> stage = Buckets("kraken:ETH-USD", BucketOptions(width_ms=1000))
    >>> quote = dict(instrument="kraken:ETH-USD", bid_size=1.0, ask_size=1.0, price=0.0, size=0.0, side="", sequence=0,
    ...              trade_id=0)
    >>> list(stage.on_event(Tick(event_ns=10**9, received_ns=10**9, bid=99.0, ask=101.0, **quote)))
    []
    >>> [bucket.last for bucket in stage.on_event(Clock(event_ns=3 * 10**9))]
    [100.0]
    """

    Options = BucketOptions
    State = BucketState
    columns = ("event_ns", "received_ns", "bid", "ask", "trade_id")
    options: BucketOptions
    state: BucketState

    def __init__(self, key: str, options: BucketOptions | None = None) -> None:
        super().__init__(key, options)
        self.width_ns, self.stale_ns, self.delay_ns, self.first, self.rebase, self.blind_ns = _numbers(self.options)

    def on_event(self, event: Tick | Heartbeat | Connect | Clock) -> Iterator[Bucket]:
        state = self.state
        if type(event) is Tick:
            if event.event_ns < bound(state, self.width_ns):
                raise Rejected(_late(event.event_ns, bound(state, self.width_ns)))
            if event.event_ns >= state.end_ns:
                yield from self._advance(event.event_ns)
            mid = (event.bid + event.ask) / 2.0
            take(state, event.event_ns, mid, event.trade_id, self.width_ns, self.first, self.blind_ns)
            track(state, event.event_ns, event.received_ns)
        elif type(event) is Clock:
            yield from self._advance(event.event_ns - state.lag_ns - self.delay_ns)
        elif type(event) is Heartbeat:
            track(state, event.event_ns, event.received_ns)
        elif state.end_ns != 0 and self.rebase:
            state.rebase = True

    def _advance(self, now_ns: int) -> Iterator[Bucket]:
        count = due(self.state, now_ns, self.width_ns)
        if count == 0:
            return
        yield self._closed()
        if count - 1 > self.options.fill:
            skip(self.state, count - 1 - self.options.fill, self.width_ns)
        for _ in range(min(count - 1, self.options.fill)):
            yield self._closed()

    def _closed(self) -> Bucket:
        end_ns, *others = close(self.state, self.width_ns, self.stale_ns)
        return Bucket(self.key, end_ns, self.options.width_ms, *others)  # type: ignore[arg-type]

    @classmethod
    def on_batch(
        cls, options: BucketOptions, keys: Keys, states: NDArray[np.void], events: Events
    ) -> tuple[list[Table], list[Rejection]]:
        rows, late = _run(
            states, keys.sorted_codes(), *events[:3], *events.columns.values(), *_numbers(options), options.fill
        )
        columns = columns_of(rows)
        columns["width_ms"] = np.full(len(rows), options.width_ms, np.int64)
        refused = [Rejection(cause, "buckets", _late(event, limit)) for cause, event, limit in late.tolist()]
        return [Table(Bucket, rows["cause"].copy(), rows["key"].copy(), columns)], refused


def _late(event_ns: int, limit_ns: int) -> str:
    return f"late by {(limit_ns - event_ns) / MILLISECOND:.3f} ms: event_ns {event_ns} is before {limit_ns}"


def _numbers(options: BucketOptions) -> tuple[int, int, int, bool, bool, int]:
    never = 1 << 62
    return (
        options.width_ms * MILLISECOND,
        options.stale_after_ms * MILLISECOND,
        options.clock_delay_ms * MILLISECOND,
        options.start == "first",
        options.rebase,
        options.stale_after_ms * MILLISECOND if options.rebase else never,
    )


ROW = row_type(
    event_ns=np.int64,
    start=np.float64,
    last=np.float64,
    return_percent=np.float64,
    ticks=np.int64,
    missed=np.int64,
    stale=np.bool_,
    feed_age_ms=np.int64,
)
TICK, HEARTBEAT, CONNECT, CLOCK = range(4)


@kernel
def _run(  # type: ignore[no-untyped-def]
    states, order, kinds, keys, causes, event_ns, received_ns, bid, ask, trade_id,
    width, stale, delay, first, rebase, blind, fill,
):  # fmt: skip
    rows, filled = np.empty(FIRST, ROW), 0
    late, refused = np.empty((16, 3), np.int64), 0
    one = np.empty(1, np.int32)
    for index in range(len(kinds)):
        kind, now = kinds[index], event_ns[index]
        one[0] = keys[index]
        for key in order if kind == CLOCK else one:
            state = states[key]
            if kind == TICK:
                limit = bound(state, width)
                if now < limit:
                    if refused == len(late):
                        late = np.concatenate((late, late))
                    late[refused, 0], late[refused, 1], late[refused, 2] = causes[index], now, limit
                    refused += 1
                    continue
            elif kind == CLOCK:
                now = event_ns[index] - state.lag_ns - delay
            count = due(state, now, width) if kind == TICK or kind == CLOCK else 0
            while count > 0:
                if filled == len(rows):
                    rows = doubled(rows)
                row = rows[filled]
                row.cause, row.key = causes[index], key
                (
                    row.event_ns, row.start, row.last, row.return_percent, row.ticks, row.missed, row.stale,
                    row.feed_age_ms,
                ) = close(state, width, stale)  # fmt: skip
                filled += 1
                count -= 1
                if count > fill:
                    skip(state, count - fill, width)
                    count = fill
            if kind == TICK:
                take(state, now, (bid[index] + ask[index]) / 2.0, trade_id[index], width, first, blind)
                track(state, now, received_ns[index])
            elif kind == HEARTBEAT:
                track(state, now, received_ns[index])
            elif kind == CONNECT and rebase and state.end_ns != 0:
                state.rebase = True
    return rows[:filled], late[:refused]
