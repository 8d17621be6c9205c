"""Executor ``market_maker``: keeps a bid and an ask in the book of each instrument that it is told to.

It reads a merged log. After each event, which changes what it knows (policies/knowledge.py), it asks whether it may
quote at all (policies/readiness.py), what it wants (policies/quoting.py on policies/avellaneda_stoikov.py) and what to
ask for so that its orders become that (policies/difference.py). Limits (limits.py) look at every order before it goes
and at every new book and equity; a breach cancels all orders and halts, until a person resets. What cannot be known
for sure withdraws the quotes, with the reason in a Quote.

Nothing is asked of an order twice: a request waits for the venue's answer, and only after ``answer_ms`` without one the
order is asked to go, again and again, and nothing is quoted meanwhile.
"""

from collections.abc import Iterator
from typing import Any

from consumers.orders import Order, client_id
from consumers.policies.avellaneda_stoikov import Inputs
from consumers.policies.difference import MILLISECOND, Plan, difference
from consumers.policies.knowledge import Knowledge
from consumers.policies.making import STRATEGY, MakerOptions, MakerState
from consumers.policies.quoting import Grid, Rooms, Target, Touch, Wanted, wanted
from consumers.policies.readiness import refusal
from processors.online.units import Base, PerRootSecond, PerUsd, Seconds, Usd, in_usd
from processors.stage import Stage
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
    OrderRequest,
    OrderState,
    Quote,
    Volatility,
)

In = Book | Volatility | Intensity | OrderState | Fill | NetPosition | Equity | Mark | Market | Control | Clock
Out = Quote | OrderRequest | Control


class MarketMaker(Stage[In, Out]):
    """Quotes one instrument on both sides.

    >>> stage = MarketMaker("x:ETH-USD")
    >>> [quote.reason for quote in stage.on_event(Clock(1_000_000_000))]
    ['no market']
    """

    log = "merges"
    Options = MakerOptions
    State = MakerState
    options: MakerOptions
    state: MakerState

    def __init__(self, key: str, options: MakerOptions | None = None) -> None:
        super().__init__(key, options)
        self._quoted = self.options.quotes_instrument(key)
        self._configuration = self.options.configuration()
        self._terms, self._thresholds = self.options.terms(), self.options.thresholds()
        self._known = Knowledge(key, self.options, self.state)

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        super().restore(snapshot)
        self._known = Knowledge(self.key, self.options, self.state)

    def on_event(self, event: In) -> Iterator[Out]:
        if self._quoted:
            if breach := self._known.take(event):
                yield from self._halt(breach)
            yield from self._decide()

    def _decide(self) -> Iterator[Out]:
        state, known = self.state, self._known
        live = known.live()
        if not live:
            known.adopt_steps()
        why, made = refusal(state, self.options, live), None
        requests: Iterator[OrderRequest] | None = None
        if not why:
            grid = known.grid
            assert grid is not None, "a market that may be quoted has steps"
            rooms = known.rooms(grid)
            try:
                made = self._wanted(grid, rooms)
            except ValueError:
                why = "no finite quotes"
            else:
                if made.beyond:
                    why, made = "quotes wider than the price band", None
                else:
                    requests = self._changed(made, live, grid, rooms)
        acted = False
        for request in requests or self._withdrawn(why, live):
            acted = True
            if request.action in ("place", "replace"):
                breach = known.limits.check(request, self._beside(request))
                if breach:
                    state.requests -= 1  # it is not sent
                    yield from self._halt(breach)
                    yield from self._decide()
                    return
            self._ask(request)
            yield request
        yield from self._say(why, made, acted)
        state.reconciled = False

    def _wanted(self, grid: Grid, rooms: Rooms) -> Wanted:
        state, options, known = self.state, self.options, self._known
        mid = Usd(known.mid)
        inputs = Inputs(
            mid,
            Base(known.position),
            in_usd(PerRootSecond(state.sigma), mid),
            PerUsd(state.kappa),
            PerUsd(options.gamma),
            Seconds(options.horizon_s),
            state.funding_rate,
            Seconds(options.funding_interval_s),
            Usd(state.markouts[0]),
            Usd(state.markouts[1]),
        )
        touch = Touch(state.best_bid, state.best_ask, state.book_decimals)
        return wanted(
            inputs, self._terms, options.least_half_spread_bps, grid, touch, known.sizes.order, rooms,
            options.limits.band_bps,
        )  # fmt: skip

    def _withdrawn(self, why: str, live: list[Order]) -> Iterator[OrderRequest]:
        """Take every order back; ask again for those that should have gone."""
        yield from self._again(live)
        for order in live:
            if not order["leaving"]:
                yield self._request("cancel", why, order["client_id"])

    def _changed(self, made: Wanted, live: list[Order], grid: Grid, rooms: Rooms) -> Iterator[OrderRequest]:
        """Make the orders of both sides what is wanted."""
        yield from self._again(live)
        state = self.state
        for number, (side, target, room) in enumerate((("buy", made.bid, rooms.bid), ("sell", made.ask, rooms.ask))):
            own = [order for order in live if order["side"] == side]
            plan = difference(target, own, room, grid, self._thresholds, state.now_ns, state.changed[number])
            if plan.place or plan.replace:
                state.changed[number] = state.now_ns
            why_gone = (
                "moved" if target else "no room for the position" if room < grid.least else "outside the price band"
            )
            yield from self._carried_out(side, why_gone, plan)

    def _again(self, live: list[Order]) -> Iterator[OrderRequest]:
        state = self.state
        for order in live:
            last = state.asked.get(order["client_id"], [0, state.now_ns])[1]
            if order["leaving"] and state.now_ns - last > self.options.answer_ms * MILLISECOND:
                yield self._request("cancel", "unanswered", order["client_id"])

    def _carried_out(self, side: str, why_gone: str, plan: Plan) -> Iterator[OrderRequest]:
        for gone in plan.cancel:
            yield self._request("cancel", why_gone, gone)
        if plan.replace:
            old, new = plan.replace
            yield self._request("replace", "moved", "", side, new, old)
        if plan.place:
            yield self._request("place", "quoted", "", side, plan.place)

    def _request(
        self, action: str, reason: str, gone: str = "", side: str = "", target: Target | None = None, replaces: str = ""
    ) -> OrderRequest:
        """A request for an order that comes, ``target``, or for one that goes, ``gone``."""
        state, options, grid = self.state, self.options, self._known.grid
        state.requests += 1
        placing = target is not None
        new = f"{self._configuration}:{state.began_ns}"
        return OrderRequest(
            instrument=self.key,
            event_ns=state.now_ns,
            strategy=STRATEGY,
            sequence=state.requests,
            configuration=self._configuration,
            action=action,
            client_id=client_id(STRATEGY, self.key, new, state.requests) if placing else gone,
            replaces=replaces,
            side=side,
            kind="limit" if placing else "",
            time_in_force="GTT" if placing else "",
            post_only=placing,
            reduce_only=False,
            price=target.price if target else 0,
            size=target.size if target else 0,
            price_decimals=grid.price.decimals if grid else 0,
            size_decimals=grid.size.decimals if grid else 0,
            expires_ns=state.now_ns + options.order_life_ms * MILLISECOND if placing else 0,
            valid_until_ns=state.now_ns + options.request_ttl_ms * MILLISECOND,
            reason=reason,
        )

    def _ask(self, request: OrderRequest) -> None:
        """Take down what is asked for."""
        state, known = self.state, self._known
        touched = [order["client_id"] for order in known.live()] if request.action == "cancel_all" else []
        touched += filter(None, (request.client_id, request.replaces))
        known.orders.ask(request)
        for name in touched:
            state.asked.setdefault(name, [state.now_ns, state.now_ns])[1] = state.now_ns
        if request.replaces:
            state.replacing[request.client_id] = request.replaces

    def _beside(self, request: OrderRequest) -> list[Order]:
        """The orders that a new one would stand beside."""
        return [order for order in self._known.live() if order["client_id"] != request.replaces]

    def _halt(self, breach: str) -> Iterator[Out]:
        """Stop trading, once."""
        limits = self._known.limits
        if not limits.halted:
            request = self._request("cancel_all", breach)
            self._ask(request)
            yield request
            yield limits.halt(self.state.now_ns, self.key, breach)

    def _say(self, why: str, made: Wanted | None, acted: bool) -> Iterator[Quote]:
        """Tell what is wanted: whenever something is asked for or the reason changes, else now and then."""
        state, options = self.state, self.options
        bid, ask = (made.bid or NONE, made.ask or NONE) if made else (NONE, NONE)
        row = [why, *bid, *ask, state.position]
        due = state.now_ns - state.said_ns >= options.report_every_ms * MILLISECOND
        if state.said and not acted and why == state.said[0] and not (due and row != state.said):
            return
        state.said, state.said_ns, state.quotes = row, state.now_ns, state.quotes + 1
        grid = self._known.grid or UNKNOWN
        mid = 0.0 if state.book_reason or why.startswith("book") else self._known.mid
        sigma = 0.0 if state.sigma_reason or why == "volatility stale" else state.sigma
        kappa = 0.0 if state.kappa_reason or why == "intensity stale" else state.kappa
        yield Quote(
            instrument=self.key,
            event_ns=state.now_ns,
            strategy=STRATEGY,
            sequence=state.quotes,
            configuration=self._configuration,
            quoting=made is not None,
            reason=why,
            mid=mid,
            reservation=max(made.quotes.reservation, 0.0) if made else 0.0,
            half_spread=made.quotes.half_spread if made else 0.0,
            bid=grid.price.number(bid.price),
            bid_size=grid.size.number(bid.size),
            ask=grid.price.number(ask.price),
            ask_size=grid.size.number(ask.size),
            inventory=self._known.position,
            sigma=sigma * mid,
            kappa=kappa,
            gamma=options.gamma,
            horizon_s=options.horizon_s,
            book_ns=state.book_ns,
            book_sequence=state.book_sequence,
            sigma_ns=state.sigma_ns,
            kappa_ns=state.kappa_ns,
        )


NONE = Target(0, 0)
UNKNOWN = Grid.of(1.0, 1.0, 1.0)
