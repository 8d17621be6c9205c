"""What a market maker knows: its state, changed by each record that it reads.

The position is the sum of the fills. A reconciled NetPosition takes its place, with all fills up to then; the merged
log may hold it after fills that are younger, which count on top of it. Fills that an order state tells of before they
come count against the bound at once (``rooms``).
"""

import re
import struct
from collections.abc import Callable
from typing import Any

from consumers.limits import Limits
from consumers.orders import FINAL, Order, Orders
from consumers.policies.difference import MILLISECOND
from consumers.policies.making import STRATEGY, MakerOptions, MakerState
from consumers.policies.markouts import Markouts
from consumers.policies.quoting import Grid, Rooms, Sizes
from consumers.steps import rescaled, rounded_up, unscaled
from schemas import (
    Book,
    Clock,
    Control,
    Equity,
    Fill,
    Intensity,
    Mark,
    Market,
    NetPosition,
    OrderState,
    Record,
    Rejected,
    Volatility,
)

RACES = ("post_only", "replaces")  # rejects without fault: the book or a fill was faster than the request
LATEST_MS = 60_000  # by which the venue's word on the position may come after younger fills
FIGURE = re.compile(r"-?\d[\d.,e-]*")
LEVEL = struct.Struct("<qq")  # price, size


class Knowledge:
    """A look at a maker's state that knows how records change it."""

    def __init__(self, key: str, options: MakerOptions, state: MakerState) -> None:
        self.key, self.options, self.state = key, options, state
        self.limits = Limits(options.limits, state.limits)
        self.orders = Orders(state.orders)
        self.grid: Grid | None = None
        self.sizes = Sizes(0, 0)
        if state.steps:
            self._use(state.steps)
        self._markouts = Markouts(
            state.waiting, state.markouts, options.markout_fills, options.markout_ms * MILLISECOND
        )

    def take(self, event: Record) -> str:
        """Take what a record tells; the breach of a limit that it shows, else empty.

        Raises:
            Rejected: it cannot be used; nothing has changed.

        """
        breach = TAKES[type(event)](self, event)
        self._advance(event)
        return breach

    def adopt_steps(self) -> None:
        """Quote with the market's steps as last told."""
        state = self.state
        if state.told_steps != state.steps:
            state.steps = state.told_steps
            self._use(state.steps)

    def _use(self, steps: list[float]) -> None:
        self.grid = Grid.of(*steps)
        self.sizes = Sizes.of(self.options.order_size, self.options.inventory, self.grid)

    @property
    def mid(self) -> float:
        """Mid of the last usable book, in quote currency."""
        state = self.state
        return unscaled(state.best_bid + state.best_ask, state.book_decimals) / 2.0

    @property
    def position(self) -> float:
        """What is held, in base units."""
        return unscaled(self.state.position, self.state.position_decimals)

    def live(self) -> list[Order]:
        """The orders that have not ended, oldest first.

        Of one whose size is not known only a fill has told: it ended so long ago that we have forgotten it, or its
        state is still to come.
        """
        return [order for order in self.orders.live() if order["size"]]

    def rooms(self, grid: Grid) -> Rooms:
        """What may be traded before the position's bounds, scaled by the grid.

        A fill that is known of and not yet in the position counts as there and as not there, whichever is worse.
        """
        state, decimals, bound = self.state, grid.size.decimals, self.sizes.inventory
        unseen = {"buy": 0, "sell": 0}
        for order in state.orders.values():
            if order["filled"] > order["traded"] and order["changed_ns"] > state.reconciled_ns:
                unseen[order["side"]] += rounded_up(order["filled"] - order["traded"], order["size_decimals"], decimals)
        most = rounded_up(state.position, state.position_decimals, decimals)
        least = -rounded_up(-state.position, state.position_decimals, decimals)
        return Rooms(bound - most - unseen["buy"], bound + least - unseen["sell"])

    def _advance(self, event: Record) -> None:
        """Let time pass; a venue whose time is far ahead of the clock does not take ours along."""
        state = self.state
        state.began_ns = state.began_ns or event.event_ns
        if isinstance(event, Clock):
            state.clock_ns = max(state.clock_ns, event.event_ns)
        now_ns = max(state.now_ns, event.event_ns)
        if state.clock_ns:
            now_ns = max(min(now_ns, state.clock_ns + self.options.skew_ms * MILLISECOND), state.clock_ns)
        state.now_ns = now_ns
        if not state.book_reason:
            self._markouts.mid(now_ns, self.mid)
        if isinstance(event, Clock):
            self._forget()

    def _forget(self) -> None:
        """Drop orders that ended more than ``answer_ms`` ago and whose fills are all in, and fills of long ago."""
        state = self.state
        state.fills = [fill for fill in state.fills if fill[0] > state.now_ns - LATEST_MS * MILLISECOND]
        before_ns = state.now_ns - self.options.answer_ms * MILLISECOND
        for order in list(state.orders.values()):
            over = order["status"] in FINAL or not order["size"]
            if over and order["changed_ns"] < before_ns and order["filled"] <= order["traded"]:
                del state.orders[order["client_id"]]

    def _clock(self, event: Clock) -> str:
        return ""

    def _book(self, event: Book) -> str:
        state = self.state
        if len(event.bids) % LEVEL.size or len(event.asks) % LEVEL.size:
            raise Rejected(f"levels of {len(event.bids)} and {len(event.asks)} bytes, which are no multiples of 16")
        state.book_ns, state.book_sequence = event.event_ns, event.sequence
        if not event.valid:
            state.book_reason = f"book invalid: {event.reason.partition(':')[0]}"
        elif not event.bids or not event.asks:
            state.book_reason = "book one-sided"
        else:
            bid, ask = LEVEL.unpack_from(event.bids)[0], LEVEL.unpack_from(event.asks)[0]
            state.book_reason = "book crossed" if bid > ask else "" if bid > 0 else "book without a price"
            if not state.book_reason:
                state.best_bid, state.best_ask, state.book_decimals = bid, ask, event.price_decimals
                return self.limits.mark(event.event_ns, self.mid)
        return ""

    def _volatility(self, event: Volatility) -> str:
        if event.method == self.options.sigma_method:
            state = self.state
            state.sigma_ns, state.sigma = event.event_ns, event.sigma
            state.sigma_reason = _unusable("volatility", event.usable, event.sigma, event.reason)
        return ""

    def _intensity(self, event: Intensity) -> str:
        if (event.method, event.side) == (self.options.kappa_method, self.options.kappa_side):
            state = self.state
            state.kappa_ns, state.kappa = event.event_ns, event.kappa
            state.kappa_reason = _unusable("intensity", event.usable, event.kappa, event.reason)
        return ""

    def _mark(self, event: Mark) -> str:
        self.state.funding_rate = event.funding_rate
        return ""

    def _market(self, event: Market) -> str:
        steps = [event.price_step, event.size_step, event.size_least]
        if event.price_step and event.size_step:
            try:
                Grid.of(*steps)
            except ValueError as error:
                raise Rejected(str(error)) from None
            self.state.told_steps = steps
            self.state.status = event.status
        else:
            self.state.status = "without steps"
        return ""

    def _order_state(self, event: OrderState) -> str:
        state = self.state
        if event.strategy != STRATEGY or not self.orders.tell(event):
            return ""
        breach = self._rejected(event) if event.status == "rejected" else ""
        if event.status in ("accepted", "open", "partly_filled", "filled"):
            state.rejects = 0
        self._answered(event.client_id)
        return breach

    def _answered(self, client_id: str) -> None:
        """The venue has an order, whatever told of it; one that is asked to go is only answered for by its end."""
        state, order = self.state, self.state.orders[client_id]
        ended = order["status"] in FINAL
        if ended or not order["leaving"]:
            state.asked.pop(client_id, None)
        if ended:
            state.replacing.pop(client_id, None)

    def _rejected(self, event: OrderState) -> str:
        """The order that was to be replaced is still there; wait before the next one, unless it was a race."""
        state, options = self.state, self.options
        old = state.orders.get(state.replacing.pop(event.client_id, ""))
        if old is not None and old["status"] not in FINAL:
            old["leaving"] = False
            state.asked.pop(old["client_id"], None)
        if event.reason.lower().replace("-", "_").startswith(RACES):
            return ""
        state.rejects += 1
        wait_ms = min(options.backoff_ms * 2 ** (state.rejects - 1), options.backoff_most_ms)
        state.retry_ns = max(state.now_ns, event.event_ns) + wait_ms * MILLISECOND
        return f"rejects: {state.rejects} in a row" if state.rejects >= options.rejects_most else ""

    def _fill(self, event: Fill) -> str:
        state = self.state
        if event.strategy != STRATEGY or not self.orders.fill(event):
            return ""
        self._answered(event.client_id)
        change = event.size if event.side == "buy" else -event.size
        state.fills.append([event.event_ns, change, event.size_decimals])
        if event.event_ns > state.reconciled_ns:
            self._hold(change, event.size_decimals)
        if mid := event.mid or (0.0 if state.book_reason else self.mid):
            self._markouts.fill(event.side, event.event_ns, mid)
        return ""

    def _hold(self, change: int, decimals: int) -> None:
        state = self.state
        most = max(decimals, state.position_decimals)
        state.position = rescaled(state.position, state.position_decimals, most) + rescaled(change, decimals, most)
        state.position_decimals = most

    def _net_position(self, event: NetPosition) -> str:
        if event.cause == "reconciled":
            state = self.state
            state.position, state.position_decimals = event.size, event.size_decimals
            state.reconciled_ns, state.reconciled = event.event_ns, True
            for at_ns, change, decimals in state.fills:
                if at_ns > event.event_ns:
                    self._hold(change, decimals)
        return self.limits.position(event)

    def _equity(self, event: Equity) -> str:
        return self.limits.equity(event)

    def _control(self, event: Control) -> str:
        if event.action == "reset" and not event.reason.strip():
            raise Rejected("a reset without a reason")
        self.limits.control(event, STRATEGY, self.key)
        if event.action == "reset":
            self.state.rejects = 0
        return ""


TAKES: dict[type[Record], Callable[[Knowledge, Any], str]] = {
    Clock: Knowledge._clock,
    Book: Knowledge._book,
    Volatility: Knowledge._volatility,
    Intensity: Knowledge._intensity,
    Mark: Knowledge._mark,
    Market: Knowledge._market,
    OrderState: Knowledge._order_state,
    Fill: Knowledge._fill,
    NetPosition: Knowledge._net_position,
    Equity: Knowledge._equity,
    Control: Knowledge._control,
}


def _unusable(what: str, usable: bool, value: float, reason: str) -> str:
    """Why an estimate cannot be used, in a phrase that does not change with its figures."""
    if not usable:
        return f"{what} not usable: {FIGURE.sub('#', reason)}"
    return "" if value > 0.0 else f"{what} not usable: it is 0"
