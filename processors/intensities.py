"""Topic ``intensities``: how the rate of fills falls with the distance from the mid, from books and trades.

- Virtual quotes stand at several depths and are followed until filled (processors/online/virtual_quotes.py); what was
  counted is fitted by one of three methods (processors/online/kappa.py), said anew every so many seconds of the clock.
- kappa is per unit of quote currency, by the market's tick: Market says it, and where it changes all begins anew.
- Own orders are followed as well: at which depth they stood for how long, and their first fills. That is held against
  what the last rates foretold, and ``bayes`` learns from it.
- Books that are not valid, and what comes when the book is too old, do not count. A record far ahead of the clock is
  refused, but for a Market: nothing is reckoned from its time, and after an outage it may come before the clock.
  Where the market has gone silent, or nothing can be estimated, ``reason`` says so and no figure is given.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from processors.online.decay_fits import Fit
from processors.online.fill_counts import ASK, BID, SECOND, SIDES, Counts, counts
from processors.online.fill_posterior import Prior
from processors.online.kappa import METHODS, QUEUED, Method, fit, in_quote
from processors.online.virtual_quotes import Levels, QuoteOptions, QuotesState, VirtualQuotes
from processors.stage import Stage
from schemas import Book, Clock, Fill, Intensity, Market, OrderState, Rejected, Trade
from schemas.levels import unpacked

AHEAD_NS = 60 * SECOND  # of the clock, that a record may be
STANDING = frozenset({"open", "partly_filled"})
MOST_OWN = 1_000  # orders followed at once
OWN_SIDES = {"sell": ASK, "buy": BID}


@dataclass(frozen=True, slots=True)
class IntensityOptions(QuoteOptions):
    """How kappa is estimated, and how often it is said."""

    method: Method = "depth"
    side: str = "both"
    every_ms: int = 10_000
    price_step: float = 0.0  # tick until a Market tells it; 0: none is known
    weighed: bool = True  # by fills, of depth; False: all depths alike
    prior_rate: float = 0.05  # fills per second at the mid, of bayes
    prior_decay: float = 3.0  # how often the rate falls by e up to the deepest depth
    prior_seconds: float = 60.0  # of watching that the belief is worth
    own_weight: float = 5.0  # virtual fills that an own fill is worth

    def __post_init__(self) -> None:
        QuoteOptions.__post_init__(self)
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        if self.side not in SIDES:
            raise ValueError(f"side must be one of {', '.join(SIDES)}, not {self.side!r}")
        if self.every_ms < 1:
            raise ValueError(f"every_ms must be at least 1, not {self.every_ms}")
        if not (math.isfinite(self.price_step) and self.price_step >= 0.0):
            raise ValueError(f"price_step must be finite and not below 0, not {self.price_step}")
        self.prior()

    def prior(self) -> Prior:
        """The belief that bayes begins with."""
        return Prior(self.prior_rate, self.prior_decay, self.prior_seconds, self.own_weight)


@dataclass(slots=True)
class IntensityState(QuotesState):
    """The virtual quotes, own orders, and what was said last."""

    step: float = 0.0  # tick in quote currency
    clock_ns: int = 0
    seen: bool = False  # a book has come
    own: dict[str, list[float]] = field(default_factory=dict)  # by id: side, price in quote currency
    own_ns: int = 0  # up to when their time is counted
    rates: list[float] = field(default_factory=list)  # fills per second at each depth, as last estimated


class Intensities(Stage[Book | Trade | Market | OrderState | Fill | Clock, Intensity]):
    """Says the intensity at every multiple of ``every_ms`` that the clock passes, once a book has come.

    >>> stage = Intensities("kraken:ETH-USD")
    >>> book = Book("kraken:ETH-USD", 10**9, False, "no snapshot yet", 0, 0, 2, 3, b"", b"", 0, 0, 0.0, 0.0, 0.0, 10.0)
    >>> list(stage.on_event(book))
    []
    >>> [(found.usable, found.reason) for found in stage.on_event(Clock(20 * 10**9))]
    [(False, 'the price step is not known')]
    """

    log = "merges"
    Options = IntensityOptions
    State = IntensityState
    options: IntensityOptions
    state: IntensityState

    def __init__(self, key: str, options: IntensityOptions | None = None) -> None:
        super().__init__(key, options)
        self.state.step = self.options.price_step
        self._follow()

    def restore(self, snapshot: dict[str, Any]) -> None:
        super().restore(snapshot)
        self._follow()

    def _follow(self) -> None:
        self._quotes = VirtualQuotes(self.options, self.state, self.options.method in QUEUED)

    def on_event(self, event: Book | Trade | Market | OrderState | Fill | Clock) -> Iterator[Intensity]:
        state = self.state
        if isinstance(event, Clock):
            yield from self._tell(event.event_ns)
        elif isinstance(event, Market):
            self._market(event)
        elif state.clock_ns and event.event_ns > state.clock_ns + AHEAD_NS:
            ahead = (event.event_ns - state.clock_ns) // SECOND
            raise Rejected(f"event_ns {event.event_ns} is {ahead} s ahead of the clock")
        elif isinstance(event, Book):
            self._book(event)
        elif isinstance(event, Trade):
            if state.step > 0.0:
                self._quotes.trade(event.event_ns, event.price / state.step, event.size, event.side)
        elif isinstance(event, OrderState):
            self._order(event)
        else:
            self._fill(event)

    def _book(self, event: Book) -> None:
        bids, asks = (_levels(side, event, self.state.step) for side in (event.bids, event.asks))
        self._count_own(event.event_ns)
        self.state.seen = True
        if self.state.step <= 0.0:
            return
        if event.valid:
            self._quotes.book(event.event_ns, bids, asks)
        else:
            self._quotes.invalid(event.event_ns)

    def _market(self, event: Market) -> None:
        if event.price_step > 0.0 and event.price_step != self.state.step:
            self.state.step, self.state.rates = event.price_step, []
            self._quotes.clear()

    def _order(self, event: OrderState) -> None:
        """Follow an order while it stands unfilled."""
        state = self.state
        self._count_own(event.event_ns)
        if event.filled > 0:
            self._filled(event.client_id)
        elif event.status not in STANDING or event.side not in OWN_SIDES:
            state.own.pop(event.client_id, None)
        elif event.price > 0:
            state.own[event.client_id] = [float(OWN_SIDES[event.side]), event.price * 10.0**-event.price_decimals]
            if len(state.own) > MOST_OWN:
                state.own.pop(next(iter(state.own)))

    def _fill(self, event: Fill) -> None:
        self._count_own(event.event_ns)
        self._filled(event.client_id)

    def _filled(self, client_id: str) -> None:
        """Count the first fill of an order, told of by its state or by the fill, and follow it no longer."""
        order = self.state.own.pop(client_id, None)
        depth = self._depth(order) if order else -1
        if order and depth >= 0:
            self._quotes.open_block()["own_fills"][int(order[0])][depth] += 1

    def _count_own(self, event_ns: int) -> None:
        """Count the time up to now of the orders that stand, where they stand."""
        state = self.state
        seconds = (event_ns - state.own_ns) / SECOND
        state.own_ns = max(state.own_ns, event_ns)
        if not 0.0 < seconds <= self.options.stale_ms / 1_000 or not state.own:
            return
        block = self._quotes.open_block()
        for order in state.own.values():
            depth = self._depth(order)
            if depth >= 0:
                block["own_seconds"][int(order[0])][depth] += seconds
                block["own_expected"] += seconds * state.rates[depth] if state.rates else 0.0

    def _depth(self, order: list[float]) -> int:
        return self._quotes.distance(int(order[0]), order[1] / self.state.step) if self.state.step > 0.0 else -1

    def _tell(self, clock_ns: int) -> Iterator[Intensity]:
        state, every_ns = self.state, self.options.every_ms * 1_000_000
        before, state.clock_ns = state.clock_ns, max(state.clock_ns, clock_ns)
        if state.seen and state.clock_ns // every_ns > before // every_ns:
            yield self._said()

    def window(self) -> Counts:
        """What was counted up to now, on the sides that count."""
        self._quotes.settle()
        return counts(self.state.blocks, self.options.side, self.state.spacing)

    def estimate(self, window: Counts) -> Fit:
        """The decay per unit of quote currency; its rates are kept for what is foretold of own orders."""
        state, options = self.state, self.options
        if state.step <= 0.0:
            return Fit(reason="the price step is not known")
        if state.spacing == 0:
            return Fit(reason="no valid book since the price step is known")
        if state.clock_ns > state.now_ns + options.stale_ms * 1_000_000:
            return Fit(reason=f"no book and no trade for {(state.clock_ns - state.now_ns) // SECOND} s")
        found = fit(window, options.method, options.weighed, options.prior())
        if not found.reason:
            state.rates = [found.scale * math.exp(-found.kappa * depth) for depth in window.depths.tolist()]
        return in_quote(found, state.step)

    def _said(self) -> Intensity:
        state, options, window = self.state, self.options, self.window()
        found = self.estimate(window)
        return Intensity(
            instrument=self.key,
            event_ns=state.now_ns or state.clock_ns,  # nothing is counted before the price step is known
            method=options.method,
            side=options.side,
            kappa=found.kappa,
            kappa_low=found.low,
            kappa_high=found.high,
            scale=found.scale,
            r_squared=found.r_squared,
            trades=window.trades,
            window_ms=options.block_ms * options.blocks,
            price_step=state.step,
            usable=not found.reason,
            reason=found.reason,
            fills=int(window.own_fills.sum()),
            fills_expected=window.own_expected,
        )


def _levels(side: bytes, book: Book, step: float) -> Levels:
    """Prices in ticks and sizes in base units."""
    if step <= 0.0 or not side:
        return []
    prices, sizes = unpacked(side).T
    in_ticks = (prices * (10.0**-book.price_decimals / step)).tolist()
    return list(zip(in_ticks, (sizes * 10.0**-book.size_decimals).tolist(), strict=True))
