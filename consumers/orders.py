"""Orders of one instrument, from what was asked for and what the venue says of it, in whatever order that comes.

    requested ─► accepted ─► open ─► partly_filled ─► filled | cancelled | rejected | expired

- A status may skip what lies between, as a rejected order was never open.
- A status only moves along; one that comes late is passed over, but what it says of ``filled`` is kept.
- ``requested`` is ours alone: asked for, and no word yet. ``unknown`` is the venue out of reach: whatever it says later
  replaces it.
- A fill may come before the state that tells of it, and after the one that says cancelled or expired: what is filled is
  the greater of the venue's word and the sum of the fills, each counted once.
- Orders are plain values, so a stage keeps them in its state and looks at them through ``Orders``.
"""

import hashlib
from typing import TypedDict

from consumers.steps import rescaled
from schemas import Fill, OrderRequest, OrderState

FINAL = frozenset({"filled", "cancelled", "rejected", "expired"})
LEGAL = {
    "requested": frozenset({"accepted", "open", "partly_filled", "unknown", *FINAL}),
    "unknown": frozenset({"accepted", "open", "partly_filled", *FINAL}),
    "accepted": frozenset({"open", "partly_filled", "unknown", *FINAL}),
    "open": frozenset({"partly_filled", "unknown", *FINAL}),
    "partly_filled": frozenset({"unknown", *FINAL}),
    "cancelled": frozenset({"filled"}),  # the fill was faster
    "expired": frozenset({"filled"}),
    "filled": frozenset[str](),
    "rejected": frozenset[str](),
}
ENDED_KEPT = 64  # ended orders remembered, so that a repeat of theirs is known as one


class Order(TypedDict):
    """What is known of an order: plain values. Prices and sizes are scaled as in OrderState."""

    client_id: str
    venue_id: str
    strategy: str
    status: str
    side: str
    price: int
    size: int  # 0 while only a fill has told of it
    filled: int
    price_decimals: int
    size_decimals: int
    post_only: bool
    reduce_only: bool
    expires_ns: int
    changed_ns: int  # event time of the last word on it
    leaving: bool  # asked to be cancelled or replaced
    traded: int  # sum of its fills
    fills: list[str]  # their ids
    reason: str


def client_id(strategy: str, instrument: str, configuration: str, sequence: int, ordinal: int = 0) -> str:
    """The id of an order: the same whenever the same decision is made again, another for any other.

    ``ordinal`` tells orders of one sequence number apart.

    >>> client_id("market_maker", "extended:ETH-USD", "c0ffee", 7)
    'cb775d5740a404577b89'
    """
    parts = (strategy, instrument, configuration, str(sequence), str(ordinal))
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def remaining(order: Order) -> int:
    """What is left to trade, scaled."""
    return max(order["size"] - order["filled"], 0)


class Orders:
    """The orders of one instrument; ``rows`` is all there is to them, by client id in the order of their coming.

    >>> request = OrderRequest("x:A", 1, "s", 1, "c", "place", "id", "", "buy", "limit", "GTT", True, False, 100, 5, 0,
    ...                        0, 99, 9, "")
    >>> orders = Orders({})
    >>> orders.ask(request)
    True
    >>> orders.fill(Fill("x:A", 2, "s", "paper", "id", "v", "f", "buy", 100, 2, 0, 0, 0.0, "maker", 100.5))
    True
    >>> orders.tell(OrderState("x:A", 2, "s", "paper", "id", "v", "open", "buy", 100, 5, 0, 0, 0, True, False, 99, ""))
    False
    >>> [(order["status"], remaining(order)) for order in orders.live()]
    [('partly_filled', 3)]
    """

    def __init__(self, rows: dict[str, Order]) -> None:
        self.rows = rows

    def of(self, client_id: str) -> Order | None:
        """The order of an id, None where none is known."""
        return self.rows.get(client_id)

    def live(self, side: str = "") -> list[Order]:
        """Orders that have not ended, oldest first; those of one side if it is named."""
        return [
            order
            for order in self.rows.values()
            if order["status"] not in FINAL and (not side or order["side"] == side)
        ]

    def ask(self, request: OrderRequest) -> bool:
        """Take down a request that is sent; False where it changes nothing, as a repeat."""
        if request.action == "cancel_all":
            return sum(self._leaves(order) for order in self.live()) > 0  # any() would stop at the first
        if request.action == "cancel":
            return self._leaves(self.rows.get(request.client_id))
        if request.client_id in self.rows:
            return False
        if request.action == "replace":
            self._leaves(self.rows.get(request.replaces))
        self.rows[request.client_id] = Order(
            client_id=request.client_id, venue_id="", strategy=request.strategy, status="requested", side=request.side,
            price=request.price, size=request.size, filled=0, price_decimals=request.price_decimals,
            size_decimals=request.size_decimals, post_only=request.post_only, reduce_only=request.reduce_only,
            expires_ns=request.expires_ns, changed_ns=request.event_ns, leaving=False, traded=0, fills=[], reason="",
        )  # fmt: skip
        return True

    def tell(self, state: OrderState) -> bool:
        """Take the venue's word; False where it says nothing new."""
        order = self.rows.get(state.client_id)
        if order is None:
            order = self.rows[state.client_id] = _stranger(state, state.size)
        elif order["status"] == "unknown" and state.event_ns < order["changed_ns"]:
            return False  # said before the venue was lost from sight
        before = order["status"], order["filled"], order["size"], order["venue_id"]
        _common(order, state.size_decimals)
        order["filled"] = max(order["filled"], rescaled(state.filled, state.size_decimals, order["size_decimals"]))
        order["venue_id"] = order["venue_id"] or state.venue_id
        if not order["size"] or state.status in LEGAL[order["status"]]:
            order["price"], order["price_decimals"] = state.price, state.price_decimals
            order["size"] = rescaled(state.size, state.size_decimals, order["size_decimals"])
            order["expires_ns"] = state.expires_ns or order["expires_ns"]
        if state.status in LEGAL[order["status"]]:
            order["status"], order["reason"] = state.status, state.reason
            order["changed_ns"] = max(order["changed_ns"], state.event_ns)
        self._settle(order)
        return before != (order["status"], order["filled"], order["size"], order["venue_id"])

    def fill(self, fill: Fill) -> bool:
        """Take a trade of an order; False where it was known already."""
        order = self.rows.get(fill.client_id)
        if order is None:
            order = self.rows[fill.client_id] = _stranger(fill, 0)
        elif fill.fill_id in order["fills"]:
            return False
        _common(order, fill.size_decimals)
        order["fills"].append(fill.fill_id)
        order["traded"] += rescaled(fill.size, fill.size_decimals, order["size_decimals"])
        order["filled"] = max(order["filled"], order["traded"])
        order["venue_id"] = order["venue_id"] or fill.venue_id
        order["changed_ns"] = max(order["changed_ns"], fill.event_ns)
        if order["status"] in ("requested", "accepted", "open"):
            order["status"] = "partly_filled"
        self._settle(order)
        return True

    def _settle(self, order: Order) -> None:
        """See whether the order is filled; forget those of the others that ended first, where too many have."""
        if order["size"] and order["filled"] >= order["size"] and "filled" in LEGAL[order["status"]]:
            order["status"] = "filled"
        if order["status"] in FINAL and len(self.rows) > ENDED_KEPT:
            ended = [known for known in self.rows.values() if known["status"] in FINAL and known is not order]
            ended.sort(key=lambda known: known["changed_ns"])
            for old in ended[: 1 - ENDED_KEPT]:
                del self.rows[old["client_id"]]

    @staticmethod
    def _leaves(order: Order | None) -> bool:
        if order is None or order["status"] in FINAL or order["leaving"]:
            return False
        order["leaving"] = True
        return True


def _stranger(word: OrderState | Fill, size: int) -> Order:
    """An order that we first hear of from the venue."""
    return Order(
        client_id=word.client_id, venue_id=word.venue_id, strategy=word.strategy, status="requested", side=word.side,
        price=word.price, size=size, filled=0, price_decimals=word.price_decimals, size_decimals=word.size_decimals,
        post_only=isinstance(word, OrderState) and word.post_only,
        reduce_only=isinstance(word, OrderState) and word.reduce_only, expires_ns=0, changed_ns=word.event_ns,
        leaving=False, traded=0, fills=[], reason="",
    )  # fmt: skip


def _common(order: Order, size_decimals: int) -> None:
    """Give the order's sizes as many decimals as a word on it has, where it has fewer."""
    if size_decimals > order["size_decimals"]:
        for name in ("size", "filled", "traded"):
            order[name] = rescaled(order[name], order["size_decimals"], size_decimals)
        order["size_decimals"] = size_decimals
