"""The paper venue: order requests and a market that is only watched -> order states, fills, position, equity.

What is traded and when is said by consumers/matching/exchange.py. This adds what a venue's gate does:

- A request of event time t is at the venue at t + ``latency_in_ms``; what happens there at u is known at
  u + ``latency_out_ms``, which is the event time of the records that say so. What is due at the very time of a market
  event comes after it.
- A request whose id was had already is passed over; one that comes after its ``valid_until_ns`` is refused and counted.
- Prices, sizes and least sizes are held against the newest Market, which may also set the fees: ``makerFeeRate`` and
  ``takerFeeRate`` in its details.
- A halt for all, the instrument or a strategy cancels what rests and refuses what comes, until a reset with a reason.
- Funding is paid with each Funding record, or, if ``funding`` is ``marks``, when a Mark's next_funding_ns has come, at
  the last mark and rate before it.
- A NetPosition and an Equity follow each change; while something is held an Equity marks it to the mid at most once a
  second of event time.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from consumers.matching import words
from consumers.matching.arrivals import Arrivals
from consumers.matching.exchange import NEVER, Exchange, Happened, Terms, Told
from consumers.matching.gate import CANCELLING, Rules, check, rests
from consumers.matching.resting import Resting
from consumers.steps import coarse, rescaled
from processors.stage import Stage
from schemas import (
    EVERY_KEY,
    Book,
    Clock,
    Control,
    Equity,
    Fill,
    Funding,
    Mark,
    Market,
    NetPosition,
    OrderRequest,
    OrderState,
    Trade,
)

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
In = OrderRequest | Book | Trade | Mark | Funding | Market | Control | Clock
Out = OrderState | Fill | NetPosition | Equity


@dataclass(frozen=True, slots=True)
class PaperOptions:
    """What the venue is like."""

    latency_in_ms: float = 10.0  # from an order's decision to the venue
    latency_out_ms: float = 10.0  # from the venue to us
    maker_fee: float = 0.0  # rates; negative for a rebate
    taker_fee: float = 0.00025
    cancels_ahead: float = 1.0  # consumers/matching/resting.py
    funding: str = "fundings"  # or marks

    def __post_init__(self) -> None:
        if min(self.latency_in_ms, self.latency_out_ms) < 0.0:
            raise ValueError("latency_in_ms and latency_out_ms must be at least 0")
        if max(abs(self.maker_fee), abs(self.taker_fee)) >= 0.1:
            raise ValueError("maker_fee and taker_fee are rates: 0.0005 is 5 basis points")
        if not 0.0 <= self.cancels_ahead <= 1.0:
            raise ValueError(f"cancels_ahead must lie between 0 and 1, not {self.cancels_ahead}")
        if self.funding not in ("fundings", "marks"):
            raise ValueError(f"funding must be fundings or marks, not {self.funding!r}")


@dataclass(slots=True)
class PaperState:
    """What the venue knows of one instrument."""

    exchange: Exchange
    now_ns: int = 0  # latest event time seen
    arrivals: Arrivals = field(default_factory=Arrivals)
    stale: int = 0  # requests refused for being late
    halted: dict[str, str] = field(default_factory=dict)  # reasons by scope
    rules: Rules = field(default_factory=Rules)
    mark: float = 0.0  # mark price and funding rate as last told
    rate: float = 0.0
    next_funding_ns: int = 0  # 0 where nothing is awaited
    orders: int = 0  # taken so far
    fills: int = 0
    marked_s: int = 0  # second of event time in which the equity was last told


class Paper(Stage[In, Out]):
    """The venue of one instrument.

    >>> from schemas.levels import packed
    >>> venue = Paper("x:A", PaperOptions(latency_in_ms=0.0, latency_out_ms=1.0))
    >>> sides = packed([(99, 5)]), packed([(101, 5)])
    >>> book = Book("x:A", 10**9, True, "", 0, 1, 0, 0, *sides, 1, 1, 0.0, 1.0, 1.0, 10.0)
    >>> list(venue.on_event(book))
    []
    >>> order = OrderRequest("x:A", 10**9, "s", 1, "c", "place", "id", "", "buy", "limit", "GTT", True, False, 100, 2,
    ...                      0, 0, 9 * 10**9, 2 * 10**9, "")
    >>> [state.status for state in venue.on_event(order)]
    ['open']
    >>> trade = Trade("x:A", 10**9 + 1, 0, 100.0, 3.0, "sell", 1, 1, 1)
    >>> fill, state, position, equity = venue.on_event(trade)
    >>> fill.size, fill.event_ns - 10**9, state.status, position.size, equity.unrealised
    (2, 1000001, 'filled', 2, 0.0)
    """

    Options = PaperOptions
    State = PaperState
    log: ClassVar[str] = "merges"
    options: PaperOptions
    state: PaperState

    def __init__(self, key: str, options: PaperOptions | None = None) -> None:
        self.key = key
        self.options = given = options or PaperOptions()
        self._in_ns = round(given.latency_in_ms * MILLISECOND)
        self._out_ns = round(given.latency_out_ms * MILLISECOND)
        self.state = PaperState(Exchange(Terms(given.maker_fee, given.taker_fee, given.cancels_ahead)))

    def on_event(self, event: In) -> Iterator[Out]:
        if isinstance(event, OrderRequest | Control | Market):
            check(event)
        state = self.state
        out: list[Out] = []
        now = max(event.event_ns, state.now_ns)
        if self._due() < (until := now + isinstance(event, Mark)):  # it may tell of the next interval of funding
            self._advance(until, out)
        state.now_ns = now
        if isinstance(event, Trade):
            self._trade(event, out)
        elif isinstance(event, Book):
            self._book(event, out)
        elif isinstance(event, OrderRequest):
            state.arrivals.send(event, max(event.event_ns + self._in_ns, now), now)
        elif isinstance(event, Control):
            self._control(event, out)
        elif isinstance(event, Market):
            self._market(event)
        elif isinstance(event, Mark):
            self._mark(event)
        elif isinstance(event, Funding) and self.options.funding == "fundings":
            self._fund(event.rate, event.mark_price or state.mark, now, out)
        if self._due() <= now:
            self._advance(now + 1, out)
        return iter(out)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        state = self.state
        return {item.name: getattr(state, item.name) for item in fields(state)} | {
            "exchange": state.exchange.snapshot(),
            "arrivals": state.arrivals.snapshot(),
            "halted": dict(state.halted),
            "rules": asdict(state.rules),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self.state.exchange.restore(snapshot["exchange"])
        nested = {
            "exchange": self.state.exchange,
            "arrivals": Arrivals.restored(snapshot["arrivals"]),
            "halted": dict(snapshot["halted"]),
            "rules": Rules(**snapshot["rules"]),
        }
        self.state = PaperState(**snapshot | nested)
        self._set_terms()

    def _due(self) -> int:
        """When something happens by itself."""
        state = self.state
        due = state.next_funding_ns or NEVER
        if state.arrivals.waiting:
            due = min(due, state.arrivals.waiting[0][0])
        return min(due, state.exchange.soonest_ns)

    def _advance(self, until_ns: int, out: list[Out]) -> None:
        """Have happen, in order of time, what happens by itself before a time."""
        state, exchange = self.state, self.state.exchange
        while (due := self._due()) < until_ns:
            if exchange.soonest_ns == due:
                self._tell(exchange.expire(due), due, out)
            elif state.arrivals.waiting and state.arrivals.waiting[0][0] == due:
                self._arrive(state.arrivals.waiting.pop(0)[1], due, out)
            else:
                state.next_funding_ns = 0
                self._fund(state.rate, state.mark, due, out)

    def _trade(self, event: Trade, out: list[Out]) -> None:
        exchange = self.state.exchange
        if not (exchange.resting[0] or exchange.resting[1]):
            return
        buys = event.side == "buy" if event.side else event.price > exchange.mid()
        price = coarse(event.price, exchange.price_decimals, not buys)  # the worse for us
        size = round(event.size * 10**exchange.size_decimals)
        if happened := exchange.trade(price, size, buys, event.event_ns):
            self._tell(happened, self.state.now_ns, out)

    def _book(self, event: Book, out: list[Out]) -> None:
        state, exchange = self.state, self.state.exchange
        if not event.valid:
            exchange.hide()
        elif happened := exchange.show(
            event.price_decimals, event.size_decimals, event.bids, event.asks, (event.bid_levels, event.ask_levels)
        ):
            self._tell(happened, state.now_ns, out)
        elif exchange.account.position and state.now_ns // SECOND > state.marked_s:
            self._value(state.now_ns, out)

    def _arrive(self, request: OrderRequest, now: int, out: list[Out]) -> None:
        """A request is at the venue."""
        state, exchange = self.state, self.state.exchange
        late = now > request.valid_until_ns
        state.stale += late
        if request.action in CANCELLING:
            orders = [order for order in exchange.orders() if order.strategy == request.strategy]
            if request.action == "cancel":
                orders = [order for order in orders if order.client_id == request.client_id]
            if not late:
                self._tell(exchange.cancel(orders, "cancelled", request.reason), now, out)
            return
        if exchange.find(request.client_id):
            return
        halted = [state.halted[scope] for scope in (EVERY_KEY, self.key, request.strategy) if scope in state.halted]
        reason = f"halted: {halted[0]}" if halted else state.rules.refusal(request, now)
        if late:
            reason = f"stale: valid until {request.valid_until_ns}, there at {now}"
        if reason:
            out.append(words.refused(request, reason, now + self._out_ns))
            return
        exchange.refine(request.price_decimals, request.size_decimals)
        state.orders += 1
        order = Resting(
            request.client_id, request.strategy, f"{words.VENUE}-{state.orders}", request.side == "buy",
            rescaled(request.price, request.price_decimals, exchange.price_decimals),
            rescaled(request.size, request.size_decimals, exchange.size_decimals),
            0, request.post_only, request.reduce_only, request.expires_ns, came_ns=now,
        )  # fmt: skip
        limit = order.price if request.kind == "limit" else None
        self._tell(exchange.place(order, limit, rests(request), request.replaces), now, out)

    def _control(self, event: Control, out: list[Out]) -> None:
        state, exchange = self.state, self.state.exchange
        if event.action == "reset":
            state.halted = {} if event.scope == EVERY_KEY else state.halted
            state.halted.pop(event.scope, None)
        elif event.action == "halt":
            state.halted.setdefault(event.scope, event.reason)
            orders = [each for each in exchange.orders() if event.scope in (EVERY_KEY, self.key, each.strategy)]
            self._tell(exchange.cancel(orders, "cancelled", f"halted: {event.reason}"), state.now_ns, out)

    def _market(self, event: Market) -> None:
        self.state.rules = Rules.of(event)
        self._set_terms()

    def _set_terms(self) -> None:
        rules, options = self.state.rules, self.options
        maker = options.maker_fee if rules.maker_fee is None else rules.maker_fee
        taker = options.taker_fee if rules.taker_fee is None else rules.taker_fee
        self.state.exchange.terms = Terms(maker, taker, options.cancels_ahead)

    def _mark(self, event: Mark) -> None:
        state = self.state
        state.mark, state.rate = event.mark_price, event.funding_rate
        if self.options.funding == "marks" and event.next_funding_ns > state.now_ns:
            state.next_funding_ns = event.next_funding_ns

    def _fund(self, rate: float, mark: float, now: int, out: list[Out]) -> None:
        """Have longs pay shorts a share of the notional."""
        exchange = self.state.exchange
        account = exchange.account
        if account.position and (price := mark or exchange.mid()):
            account.funding -= rate * price * account.position / 10**exchange.size_decimals
            out.append(words.held(exchange, self.key, self._mid(), "funding", now + self._out_ns))
            self._value(now, out)

    def _tell(self, happened: Happened, now: int, out: list[Out]) -> None:
        """Say what has happened at a time; after trades the position and the equity."""
        state, known_ns = self.state, now + self._out_ns
        before = state.fills
        for each in happened:
            if isinstance(each, Told):
                out.append(words.told(state.exchange, self.key, each, known_ns))
            else:
                state.fills += 1
                out.append(words.filled(state.exchange, self.key, each, state.fills, known_ns))
        if state.fills > before:
            out.append(words.held(state.exchange, self.key, self._mid(), "fill", known_ns))
            self._value(now, out)

    def _value(self, now: int, out: list[Out]) -> None:
        self.state.marked_s = now // SECOND
        out.append(words.worth(self.state.exchange, self.key, self._mid(), now + self._out_ns))

    def _mid(self) -> float:
        """What the position is valued at: the mid; the last mark, or what it has cost, where there is none."""
        return self.state.exchange.mid() or self.state.mark or self.state.exchange.entry()
