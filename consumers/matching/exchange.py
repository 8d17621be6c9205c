"""A venue that trades our orders against a market that we only watch, in price-time priority.

- A trade fills orders at its price as their place in the queue allows (consumers/matching/resting.py), and orders at
  better prices first, for its taker would have met those before; all together never more than its size.
- A book whose other side has come to an order's price, or past it, fills the order at its own price, when nobody is
  ahead of it, up to the size displayed there.
- An order that trades at once walks the displayed levels; what is taken is gone until the book is shown again.
- An order that would meet one of our own is cut off there and the rest cancelled, reason ``self_trade``.
- While the book is not valid nothing trades; resting orders stay.

All numbers are whole, of ``price_decimals`` and ``size_decimals``, which only grow.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, NamedTuple

from consumers.matching.account import Account
from consumers.matching.resting import UNKNOWN, Resting, trade
from consumers.matching.visible import Visible

NEVER = 1 << 62


class Told(NamedTuple):
    """What has become of an order."""

    order: Resting
    status: str
    filled: int
    reason: str


class Executed(NamedTuple):
    """A trade of an order; the account has it already."""

    order: Resting
    price: int
    size: int
    maker: bool
    fee: float  # quote currency
    mid: float  # of the book just before, as Exchange.mid


Happened = list[Told | Executed]


@dataclass(frozen=True, slots=True)
class Terms:
    """What does not follow from the market."""

    maker_fee: float
    taker_fee: float
    cancels_ahead: float


class Exchange:
    """The orders of one account on one instrument."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.price_decimals = self.size_decimals = 0
        self.valid = False
        self.shown = (Visible(True), Visible(False))  # bids, asks
        self.resting: tuple[list[Resting], list[Resting]] = ([], [])  # best price first, then first come
        self.account = Account()
        self.soonest_ns = NEVER  # when the first of them expires
        self._mid = 0.0  # before what is being looked at

    def mid(self) -> float:
        """In quote currency; 0 while the book is not valid or a side is empty."""
        bid, ask = self.shown[0].best(), self.shown[1].best()
        return (bid + ask) / 2 / int(10**self.price_decimals) if self.valid and bid and ask else 0.0

    def entry(self) -> float:
        """Average price of what is held, in quote currency; 0 when flat."""
        account = self.account
        return account.cost / account.position / int(10**self.price_decimals) if account.position else 0.0

    def find(self, client_id: str) -> Resting | None:
        """A resting order, None where none has the id."""
        return next((order for side in self.resting for order in side if order.client_id == client_id), None)

    def orders(self) -> list[Resting]:
        """All that rests."""
        return [*self.resting[0], *self.resting[1]]

    def hide(self) -> None:
        """The book is not valid."""
        self.valid = False
        for side in self.shown:
            side.show(b"", 0, 1, 1)
        for order in self.orders():
            order.show(UNKNOWN, 0.0)

    def show(
        self, price_decimals: int, size_decimals: int, bids: bytes, asks: bytes, counts: tuple[int, int]
    ) -> Happened:
        """The book shows these levels."""
        self._mid = self.mid() if self.resting[0] or self.resting[1] else 0.0
        self.refine(price_decimals, size_decimals)
        self.valid = True
        price_factor = int(10 ** (self.price_decimals - price_decimals))
        size_factor = int(10 ** (self.size_decimals - size_decimals))
        for side, data, known in zip(self.shown, (bids, asks), counts, strict=True):
            side.show(data, known, price_factor, size_factor)
        happened: Happened = []
        for side, queue in zip(self.shown, self.resting, strict=True):
            for order in queue:
                order.show(side.displayed(order.price), self.terms.cancels_ahead)
        for queue in self.resting:
            if queue and self._meets(queue[0].buy, queue[0].price):
                for order in [order for order in queue if order.ahead == 0]:
                    self._walk(order, order.price, True, happened)
        return happened

    def trade(self, price: int, size: int, taker_buys: bool, at_ns: int) -> Happened:
        """Others have traded, at a time that may have passed already: what came later was not there to be filled."""
        queue = self.resting[1 if taker_buys else 0]
        happened: Happened = []
        if not queue or not self.valid or _beyond(queue[0], price):
            return happened
        self._mid = self.mid()
        left = size
        for _, level in groupby([order for order in queue if not _beyond(order, price)], key=lambda order: order.price):
            orders = list(level)
            if orders[0].price != price:  # traded through
                for order in orders:
                    order.enter(0)
            for order, offered in trade(orders, left):
                got = self._most(order, offered) if at_ns >= order.came_ns else 0
                left -= got
                self._fill(order, order.price, got, True, happened)
        return happened

    def place(self, order: Resting, limit: int | None, rests: bool, replaces: str = "") -> Happened:
        """An order arrives; ``limit`` None for a market order; what it replaces is cancelled if it is taken."""
        replaced = self.find(replaces) if replaces else None
        reason = self._refusal(order, limit, rests, replaces, replaced)
        if reason:
            return [Told(order, "rejected", 0, reason)]
        happened: Happened = []
        if replaced is not None:
            self._end(replaced, "cancelled", "replaced", happened)
        worst = limit if limit is not None else (NEVER if order.buy else 0)
        self._mid = self.mid()
        stopped = self._walk(order, worst, False, happened)
        if order.left == 0:
            return happened
        if stopped or not rests or self._most(order, 1) == 0:
            reason = "self_trade" if stopped else "reduce_only" if rests else "nothing more within the limit"
            happened.append(Told(order, "cancelled", order.filled, reason))
            return happened
        side = 0 if order.buy else 1
        if self.valid:
            order.enter(self.shown[side].displayed(order.price))
        insort(self.resting[side], order, key=lambda each: -each.price if each.buy else each.price)
        if not order.filled:
            happened.append(Told(order, "open", 0, ""))
        self._wake()
        return happened

    def cancel(self, orders: Iterable[Resting], status: str, reason: str) -> Happened:
        """End resting orders."""
        happened: Happened = []
        for order in orders:
            self._end(order, status, reason, happened)
        return happened

    def expire(self, now_ns: int) -> Happened:
        """End what has expired."""
        due = [order for order in self.orders() if 0 < order.expires_ns <= now_ns]
        return self.cancel(sorted(due, key=lambda order: order.expires_ns), "expired", "")

    def refine(self, price_decimals: int, size_decimals: int) -> None:
        """Go on with at least so many decimals."""
        price_factor = int(10 ** max(price_decimals - self.price_decimals, 0))
        size_factor = int(10 ** max(size_decimals - self.size_decimals, 0))
        if price_factor == size_factor == 1:
            return
        for order in self.orders():
            order.refine(price_factor, size_factor)
        for side in self.shown:
            side.refine(price_factor, size_factor)
        self.account.refine(price_factor, size_factor)
        self.price_decimals = max(price_decimals, self.price_decimals)
        self.size_decimals = max(size_decimals, self.size_decimals)

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "decimals": [self.price_decimals, self.size_decimals],
            "valid": self.valid,
            "shown": [[side.data, side.known, side.price_factor, side.size_factor] for side in self.shown],
            "taken": [sorted(map(list, side.taken.items())) for side in self.shown],
            "resting": [[asdict(order) for order in side] for side in self.resting],
            "account": asdict(self.account),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self.price_decimals, self.size_decimals = snapshot["decimals"]
        self.valid = snapshot["valid"]
        for side, shown, taken in zip(self.shown, snapshot["shown"], snapshot["taken"], strict=True):
            side.show(*shown)
            side.taken = dict(taken)
        for queue, rows in zip(self.resting, snapshot["resting"], strict=True):
            queue[:] = [Resting(**row) for row in rows]
        self.account = Account(**snapshot["account"])
        self._wake()

    def _refusal(self, order: Resting, limit: int | None, rests: bool, replaces: str, replaced: Resting | None) -> str:
        if replaces and replaced is None:
            return f"replaces: no live order {replaces}"
        if not self.valid and not rests:
            return "book: not valid"
        if self._most(order, 1) == 0:
            return "reduce_only: nothing to reduce"
        if order.post_only and limit is not None:
            own = [other for other in self.resting[1 if order.buy else 0] if other is not replaced]
            if own and not _beyond(own[0], limit):
                return "post_only: would trade with an order of the same account"
            if self._meets(order.buy, limit):
                return "post_only: would trade at once"
        return ""

    def _meets(self, buy: bool, price: int) -> bool:
        """Whether an order of a side would find somebody at its price."""
        return next(self.shown[1 if buy else 0].within(price), None) is not None

    def _walk(self, order: Resting, limit: int, maker: bool, happened: Happened) -> bool:
        """Trade with the displayed levels up to a limit, a maker at its own price; whether an own order stopped it."""
        other = 1 if order.buy else 0
        for price, size in list(self.shown[other].within(limit)):
            own = self.resting[other]
            if own and not maker and not _beyond(own[0], price):
                return True
            got = self._most(order, min(size, order.left))
            if got:
                self.shown[other].take(price, got)
                self._fill(order, order.price if maker else price, got, maker, happened)
        own = self.resting[other]
        return bool(own) and not maker and order.left > 0 and not _beyond(own[0], limit)

    def _fill(self, order: Resting, price: int, size: int, maker: bool, happened: Happened) -> None:
        if not size:
            return
        order.filled += size
        units = int(10 ** (self.price_decimals + self.size_decimals))
        fee = price * size / units * (self.terms.maker_fee if maker else self.terms.taker_fee)
        self.account.fill(order.buy, price, size, fee)
        happened.append(Executed(order, price, size, maker, fee, self._mid))
        if order.left:
            happened.append(Told(order, "partly_filled", order.filled, ""))
        else:
            self._end(order, "filled", "", happened)
        for other in self.orders():
            if other.reduce_only and not self.account.reducible(other.buy):
                self._end(other, "cancelled", "reduce_only", happened)

    def _most(self, order: Resting, size: int) -> int:
        """How much of a size an order may trade."""
        return min(size, self.account.reducible(order.buy)) if order.reduce_only else size

    def _end(self, order: Resting, status: str, reason: str, happened: Happened) -> None:
        queue = self.resting[0 if order.buy else 1]
        queue[:] = [other for other in queue if other is not order]
        happened.append(Told(order, status, order.filled, reason))
        self._wake()

    def _wake(self) -> None:
        self.soonest_ns = min((order.expires_ns for order in self.orders() if order.expires_ns), default=NEVER)


def _beyond(order: Resting, price: int) -> bool:
    """Whether a price does not reach a resting order."""
    return price > order.price if order.buy else price < order.price
