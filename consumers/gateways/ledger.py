"""What a gateway knows of its orders, trades and positions, and the records that tell of what changes.

Rules:

- An id is asked for once, for as long as it is remembered, whatever becomes of the order.
- A trade counts once. One that names only the venue's id waits until that id is known to be an order's; at a
  reconciliation it is told as nobody's.
- A position is the sum of the trades until the venue says otherwise: then its word counts, as ``reconciled``.
"""

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal

from consumers.gateways.holding import Holding
from consumers.gateways.venue import Funds, Held, Paid, Told, Traded, Venue
from consumers.orders import FINAL, Order, Orders
from schemas import Equity, Fill, NetPosition, OrderRequest, OrderState, Record
from schemas.levels import scaled

REMEMBERED = 200_000  # ids of orders, trades and payments


class Seen:
    """The last ids that came, and what each stands for."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, str] = OrderedDict()

    def add(self, name: str, meaning: str = "") -> bool:
        """Whether it is new; it is known from now on."""
        return name not in self._ids and self.becomes(name, meaning)

    def becomes(self, name: str, meaning: str) -> bool:
        """Whether an id stood for something else, or is new; it stands for this from now on."""
        if self._ids.get(name) == meaning:
            return False
        self._ids[name] = meaning
        if len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)
        return True

    def of(self, name: str) -> str:
        """What an id stands for; empty where it is not known."""
        return self._ids.get(name, "")


class Ledger:
    """The books of one account at one venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._orders: dict[str, Orders] = {}
        self._trades, self._payments = Seen(), Seen()
        self._words = Seen()  # the last on each order
        self._asked = Seen()  # client ids, for the strategy
        self._named = Seen()  # the venue's ids of orders, for the client id
        self.waiting: list[Traded] = []  # trades of an order that is not known yet
        self.going: set[str] = set()  # orders that were asked to be cancelled, and have not ended
        self.holdings: dict[str, Holding] = {}
        self.funds = Funds(Decimal(), 0)
        self.from_ns = 0  # trades and payments before it are in the books
        self.traded = 0  # trades counted

    def orders(self, instrument: str) -> Orders:
        """The orders of an instrument."""
        return self._orders.setdefault(instrument, Orders({}))

    def live(self) -> list[tuple[str, Order]]:
        """Every order that has not ended, with its instrument."""
        return [(instrument, order) for instrument, orders in self._orders.items() for order in orders.live()]

    def of(self, instrument: str, client_id: str) -> Order | None:
        """An order, None where it is not known."""
        return self.orders(instrument).of(client_id)

    def ask(self, request: OrderRequest) -> bool:
        """Take down a request; False where it asks for nothing that was not asked for before."""
        orders = self.orders(request.instrument)
        if request.action in ("place", "replace"):
            new = self._asked.add(request.client_id, request.strategy)
            return new and orders.ask(request)
        named = {request.client_id} if request.action == "cancel" else set(orders.rows)
        going = {order["client_id"] for order in orders.live()} & named - self.going
        self.going |= going
        orders.ask(request)
        return bool(going)

    def tell(self, told: Told) -> list[Record]:
        """Take the venue's word on an order; its state where that is news, and the trades that waited for it."""
        order = self.of(told.instrument, told.client_id)
        if order is not None and order["status"] == "unknown":  # whatever the venue's clock says, this came after
            told = told._replace(event_ns=max(told.event_ns, order["changed_ns"]))
        state = self.state(told)
        order = self._heard(state)
        if order is None or order["status"] != told.status:
            return self._settle()  # it came late, or was forgotten
        word = f"{told.status} {order['filled']} {told.venue_id}"
        return [*([state] if self._words.becomes(told.client_id, word) else []), *self._settle()]

    def state(self, told: Told) -> OrderState:
        """The venue's word as a record."""
        decimals = self._venue.decimals(told.instrument)
        price = scaled([f"{told.price:f}"], decimals[0])
        sizes = scaled([f"{told.size:f}", f"{min(told.filled, told.size):f}"], decimals[1])
        return OrderState(
            told.instrument, told.event_ns, self._asked.of(told.client_id), self._venue.name, told.client_id,
            told.venue_id, told.status, told.side, price.numbers[0], sizes.numbers[0], sizes.numbers[1], price.decimals,
            sizes.decimals, told.post_only, told.reduce_only, told.expires_ns, told.reason,
        )  # fmt: skip

    def trade(self, traded: Traded) -> list[Record]:
        """Take a trade: a Fill, and what it makes of the position; nothing where it was known, or has to wait."""
        client_id = traded.client_id or self._named.of(traded.venue_id)
        if not client_id:
            self.waiting.append(traded)
            return []
        return self._filled(traded._replace(client_id=client_id))

    def drain(self) -> list[Record]:
        """Tell the trades that still wait as nobody's."""
        waiting, self.waiting = self.waiting, []
        return [record for traded in waiting for record in self._filled(traded)]

    def hold(self, held: Held) -> None:
        """Take the mark out of the venue's word on a position."""
        if held.mark:
            self.holding(held.instrument).mark = held.mark

    def differing(self, holdings: Iterable[Held]) -> list[Held]:
        """The positions of which the venue says something else than our trades, as the venue says them."""
        said = {held.instrument: held for held in holdings}
        for held in said.values():
            self.hold(held)
        nothing = {name: Held(name, Decimal(), Decimal(), Decimal(), 0) for name in self.holdings.keys() - said.keys()}
        return [held for name, held in sorted((said | nothing).items()) if held.size != self.holding(name).size]

    def reconcile(self, held: Held, now_ns: int) -> list[Record]:
        """Take the venue's word for a position."""
        self.holding(held.instrument).become(held.size, held.entry)
        return [self.position(held.instrument, now_ns, "reconciled")]

    def pay(self, paid: Paid) -> list[Record]:
        """Take a funding payment, once."""
        if not self._payments.add(paid.payment_id):
            return []
        self.holding(paid.instrument).funding += paid.amount
        return [self.position(paid.instrument, paid.event_ns, "funding"), self.equity(paid.instrument, paid.event_ns)]

    def holding(self, instrument: str) -> Holding:
        """What is held of an instrument."""
        return self.holdings.setdefault(instrument, Holding())

    def position(self, instrument: str, event_ns: int, cause: str) -> NetPosition:
        """What is held, as a record."""
        holding = self.holding(instrument)
        size = scaled([f"{holding.size:f}"], self._venue.decimals(instrument)[1])
        entry, mark = float(holding.entry), float(holding.mark)
        return NetPosition(
            instrument, event_ns, self._venue.name, size.numbers[0], size.decimals, entry, mark, cause
        )  # fmt: skip

    def equity(self, instrument: str, event_ns: int) -> Equity:
        """What trading an instrument has brought, as a record."""
        holding = self.holding(instrument)
        whole = holding.realised + holding.unrealised - holding.fees + holding.funding
        return Equity(
            instrument, event_ns, self._venue.name, float(holding.realised), float(holding.unrealised),
            float(holding.fees), float(holding.funding), float(whole), float(self.funds.equity),
        )  # fmt: skip

    def recall(self, records: Iterable[Record]) -> None:
        """Take back up what an earlier gateway wrote, in the order in which it was written.

        What another venue has answered is no order of this one; its id is asked for.
        """
        records = list(records)
        others = {each.client_id for each in records if isinstance(each, OrderState) and each.venue != self._venue.name}
        for record in records:
            if isinstance(record, OrderRequest):
                if record.client_id in others:
                    self._asked.add(record.client_id, record.strategy)
                else:
                    self.ask(record)
            elif getattr(record, "venue", "") != self._venue.name:
                continue
            elif isinstance(record, OrderState):
                self._asked.add(record.client_id, record.strategy)
                self._heard(record)
            elif isinstance(record, Fill):
                self._trades.add(record.fill_id)
                self.orders(record.instrument).fill(record)
            elif isinstance(record, NetPosition):
                size = Decimal(record.size).scaleb(-record.size_decimals)
                self.holding(record.instrument).become(size, Decimal(repr(record.entry_price)))
            elif isinstance(record, Equity):
                holding = self.holding(record.instrument)
                holding.realised = Decimal(repr(record.realised))
                holding.fees, holding.funding = Decimal(repr(record.fees)), Decimal(repr(record.funding))

    def _heard(self, state: OrderState) -> Order | None:
        """Take down what the venue has said of an order; the order, None where it is not known."""
        orders = self.orders(state.instrument)
        orders.tell(state)
        if state.venue_id:
            self._named.add(state.venue_id, state.client_id)
        order = orders.of(state.client_id)
        if order is None or ended(order):
            self.going.discard(state.client_id)
        return order

    def _settle(self) -> list[Record]:
        """The trades that waited for an order which is known now."""
        waiting, self.waiting = self.waiting, []
        return [record for traded in waiting for record in self.trade(traded)]

    def _filled(self, traded: Traded) -> list[Record]:
        if not self._trades.add(traded.fill_id):
            return []
        self.traded += 1
        instrument, decimals = traded.instrument, self._venue.decimals(traded.instrument)
        order = self.of(instrument, traded.client_id)
        price, size = scaled([f"{traded.price:f}"], decimals[0]), scaled([f"{traded.size:f}"], decimals[1])
        fill = Fill(
            instrument, traded.event_ns, self._asked.of(traded.client_id), self._venue.name, traded.client_id,
            traded.venue_id, traded.fill_id, traded.side, price.numbers[0], size.numbers[0], price.decimals,
            size.decimals, float(traded.fee), "maker" if traded.maker else "taker", 0.0,
        )  # fmt: skip
        if traded.client_id:
            self.orders(instrument).fill(fill)
        signed = traded.size if traded.side == "buy" else -traded.size
        self.holding(instrument).trade(signed, traded.price, traded.fee)
        event_ns = traded.event_ns
        whole: list[Record] = []
        if order is not None and order["status"] == "filled":
            whole = self.tell(known(instrument, order, "filled", "", event_ns))
        return [fill, *whole, self.position(instrument, event_ns, "fill"), self.equity(instrument, event_ns)]


def asked(request: OrderRequest, now_ns: int) -> Told:
    """What a request asks for, as a word on its order."""
    price = Decimal(request.price).scaleb(-request.price_decimals)
    size = Decimal(request.size).scaleb(-request.size_decimals)
    return Told(
        request.instrument, request.client_id, "", "accepted", request.side, price, size, Decimal(), request.post_only,
        request.reduce_only, request.expires_ns, now_ns,
    )  # fmt: skip


def known(instrument: str, order: Order, status: str, reason: str, now_ns: int) -> Told:
    """What we know of an order, as a word on it."""
    price, size, filled = (
        Decimal(number).scaleb(-decimals)
        for number, decimals in (
            (order["price"], order["price_decimals"]),
            (order["size"], order["size_decimals"]),
            (order["filled"], order["size_decimals"]),
        )
    )
    return Told(
        instrument, order["client_id"], order["venue_id"], status, order["side"], price, size, filled,
        order["post_only"], order["reduce_only"], order["expires_ns"], now_ns, reason,
    )  # fmt: skip


def ended(order: Order) -> bool:
    """Whether nothing more can become of an order."""
    return order["status"] in FINAL
