"""The simplest market maker there is, to have something that answers a venue: it joins both best prices."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from consumers.orders import Order, Orders, client_id
from processors.stage import Stage
from schemas import Book, Fill, OrderRequest, OrderState
from schemas.levels import unpacked

SECOND = 1_000_000_000


@dataclass(slots=True)
class QuoterState:
    orders: dict[str, Order] = field(default_factory=dict)
    sequence: int = 0
    held: int = 0


class Quoter(Stage[Book | OrderState | Fill, OrderRequest]):
    """One unit a side at the best price, moved when that moves, while less than ten are held."""

    State = QuoterState
    log: ClassVar[str] = "merges"
    state: QuoterState

    def on_event(self, event: Book | OrderState | Fill) -> Iterator[OrderRequest]:
        orders = Orders(self.state.orders)
        if isinstance(event, OrderState):
            orders.tell(event)
        elif isinstance(event, Fill):
            if orders.fill(event):
                self.state.held += event.size if event.side == "buy" else -event.size
        elif event.valid:
            for side, data, sign in (("buy", event.bids, 1), ("sell", event.asks, -1)):
                levels = unpacked(data)
                price = int(levels[0, 0]) if len(levels) and self.state.held * sign < 10 else 0
                yield from self._move(event, orders, side, price)

    def _move(self, event: Book, orders: Orders, side: str, price: int) -> Iterator[OrderRequest]:
        live = orders.live(side)
        for order in live:
            if order["price"] != price and not order["leaving"]:
                yield self._asked(event, orders, "cancel", order["client_id"], side, 0, 0)
        if price and not live:
            name = client_id("quoter", self.key, "", self.state.sequence + 1)
            yield self._asked(event, orders, "place", name, side, price, 1)

    def _asked(
        self, event: Book, orders: Orders, action: str, name: str, side: str, price: int, size: int
    ) -> OrderRequest:
        self.state.sequence += 1
        now = event.event_ns
        request = OrderRequest(
            self.key, now, "quoter", self.state.sequence, "", action, name, "", side, "limit", "GTT", True, False,
            price, size, event.price_decimals, event.size_decimals, now + 3_600 * SECOND, now + SECOND, "",
        )  # fmt: skip
        orders.ask(request)
        return request
