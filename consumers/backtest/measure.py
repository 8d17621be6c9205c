"""What a run of a maker was like, gathered step by step from the merged log.

    fill ratio     of the size that was ever open, what traded
    time in book   share of the time in which a side has an open order
    drawdown       the largest fall of the equity from its height so far
    markout at h   mean move of the mid in our favour h after a fill, weighted by size, in basis points of the price
    after fees     the same from the price of the fill, less its fee: what a fill has brought once h is over

All figures are of event time; an order is open from the time at which the venue has it to the time at which it ended.
"""

import bisect
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from consumers.backtest.accounting import Ledger
from consumers.orders import FINAL
from consumers.steps import unscaled
from schemas import Book, Control, Equity, Fill, OrderRequest, OrderState, Quote, Record

SECOND = 1_000_000_000
HORIZONS_S = (1, 5, 30, 60)


class Point(NamedTuple):
    """A moment of the run, once a second of event time."""

    event_ns: int
    mid: float
    bid: float  # wanted; 0 for none
    ask: float
    position: float
    equity: float
    spread: float
    inventory: float
    fees: float
    funding: float


@dataclass(slots=True)
class Open:
    """The orders that a side has in the book, and since when there is one."""

    ids: set[str] = field(default_factory=set)
    since_ns: int = 0
    total_ns: int = 0


@dataclass(slots=True)
class Measure:
    """A run's figures so far."""

    ledger: Ledger = field(default_factory=Ledger)
    began_ns: int = 0
    ended_ns: int = 0
    events: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, int] = field(default_factory=dict)  # ns without quotes, by reason
    sizes: dict[str, float] = field(default_factory=dict)  # of orders that were open, by client id
    sides: dict[str, Open] = field(default_factory=lambda: {"buy": Open(), "sell": Open()})
    points: list[Point] = field(default_factory=list)
    mids: list[tuple[int, float]] = field(default_factory=list)  # each change
    quotes: list[Quote] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    halts: list[Control] = field(default_factory=list)
    usable: bool = False  # the book: it has a mid
    peak: float = 0.0
    drawdown: float = 0.0

    def event(self, event: Record, derived: list[Record]) -> None:
        """Take an event of the merged log and what followed from it."""
        self.events += 1
        self.began_ns = self.began_ns or event.event_ns
        self.ended_ns = max(self.ended_ns, event.event_ns)
        if isinstance(event, Book):
            self._book(event)
        for record in derived:
            if isinstance(record, Fill):
                self.ledger.fill(record)
                self.fills.append(record)
            elif isinstance(record, Equity):
                self._equity(record)
            elif isinstance(record, OrderState):
                self._state(record)
            elif isinstance(record, OrderRequest):
                self.requests[record.action] += 1
            elif isinstance(record, Quote):
                self._quote(record)
            elif isinstance(record, Control):
                self.halts.append(record)
        if self.ended_ns // SECOND > (self.points[-1].event_ns // SECOND if self.points else 0):
            self._point()

    def finish(self) -> None:
        """The run is over: what is open counts until now."""
        for side in self.sides.values():
            if side.ids:
                side.total_ns += self.ended_ns - side.since_ns
                side.ids.clear()
        if self.quotes:
            self._withdrawn(self.ended_ns)
        if self.began_ns:
            self._point()

    @property
    def seconds(self) -> float:
        """How long it was, in event time."""
        return (self.ended_ns - self.began_ns) / SECOND

    @property
    def fill_ratio(self) -> float:
        """Share of the size that was open and traded."""
        offered = sum(self.sizes.values())
        return sum(abs(signed) for _, signed, *_ in self.ledger.fills) / offered if offered else 0.0

    def time_in_book(self, side: str) -> float:
        """Share of the time in which a side had an order in the book."""
        return self.sides[side].total_ns / (self.ended_ns - self.began_ns) if self.ended_ns > self.began_ns else 0.0

    def markout(self, horizon_s: float, of_price: bool = False) -> tuple[float, int]:
        """Mean over the fills that a horizon has passed since, in basis points, and how many those are."""
        times = [event_ns for event_ns, _ in self.mids]
        total = weight = 0.0
        count = 0
        for fill in self.fills:
            due = fill.event_ns + int(horizon_s * SECOND)
            if due > self.ended_ns or not times:
                continue
            price = unscaled(fill.price, fill.price_decimals)
            size = unscaled(fill.size, fill.size_decimals)
            later = self.mids[max(bisect.bisect_right(times, due) - 1, 0)][1]
            sign = 1.0 if fill.side == "buy" else -1.0
            move = sign * (later - price) - fill.fee / size if of_price else sign * (later - (fill.mid or price))
            total, weight, count = total + size * move / price, weight + size, count + 1
        return (1e4 * total / weight if weight else 0.0), count

    def _book(self, book: Book) -> None:
        self.usable = book.valid and bool(book.bids and book.asks)
        if self.usable:
            best = sum(int.from_bytes(side[:8], "little", signed=True) for side in (book.bids, book.asks))
            mid = unscaled(best, book.price_decimals) / 2.0
            if mid != self.ledger.mid:
                self.mids.append((book.event_ns, mid))
            self.ledger.mid = mid

    def _equity(self, equity: Equity) -> None:
        self.ledger.told(equity, self.usable)
        self.peak = max(self.peak, equity.equity)
        self.drawdown = max(self.drawdown, self.peak - equity.equity)

    def _state(self, state: OrderState) -> None:
        side = self.sides[state.side]
        if state.status in FINAL:
            if state.client_id in side.ids:
                side.ids.remove(state.client_id)
                if not side.ids:
                    side.total_ns += state.event_ns - side.since_ns
        elif state.client_id not in side.ids:
            self.sizes[state.client_id] = unscaled(state.size, state.size_decimals)
            if not side.ids:
                side.since_ns = state.event_ns
            side.ids.add(state.client_id)

    def _quote(self, quote: Quote) -> None:
        if self.quotes:
            self._withdrawn(quote.event_ns)
        self.quotes.append(quote)

    def _withdrawn(self, until_ns: int) -> None:
        last = self.quotes[-1]
        if not last.quoting:
            self.reasons[last.reason] = self.reasons.get(last.reason, 0) + until_ns - last.event_ns

    def _point(self) -> None:
        ledger, last = self.ledger, self.quotes[-1] if self.quotes else None
        self.points.append(
            Point(
                self.ended_ns, ledger.mid, last.bid if last else 0.0, last.ask if last else 0.0, ledger.position,
                ledger.equity, ledger.spread, ledger.inventory, ledger.fees, ledger.funding,
            )
        )  # fmt: skip
