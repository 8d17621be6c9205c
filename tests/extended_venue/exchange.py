"""The exchange: orders of one account against a market that moves as it is told, simple enough to be seen to be right.

A resting order fills at its own price when the other side of the market touches it, or when a public trade goes through
it. A taking order fills at the market's best price, whatever its size. Whatever happens is told to ``emit``, with the
words of the account stream.
"""

import itertools
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.extended_venue.account import Keys, Wrong, check

Emit = Callable[[str, dict[str, Any]], None]
OPEN = ("NEW", "PARTIALLY_FILLED")


class Exchange:
    """One account's orders, trades, positions and funds, in some markets."""

    def __init__(self, markets: list[dict[str, Any]], keys: Keys, fees: tuple[str, str] = ("0.0002", "0.0005")) -> None:
        self.markets = {market["name"]: market for market in markets}
        self.keys, self.fees = keys, fees
        self.orders: dict[int, dict[str, Any]] = {}
        self.trades: list[dict[str, Any]] = []
        self.payments: list[dict[str, Any]] = []
        self.sizes: dict[str, Decimal] = {}
        self.entries: dict[str, Decimal] = {}
        self.cash = Decimal(100_000)
        self.countdown_s = 0
        self.fires_at = float("inf")  # of the dead man's switch, monotonic
        self.fired = 0
        self.best = {
            name: (Decimal(market["marketStats"]["bidPrice"]), Decimal(market["marketStats"]["askPrice"]))
            for name, market in self.markets.items()
        }
        self.emit: Emit = lambda _kind, _data: None
        self._numbers = itertools.count(1_791_000_000_000_000_000)
        self._nonces: set[int] = set()

    # What a client may ask.

    def place(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take an order; raises Wrong."""
        market = self.markets.get(body["market"])
        if market is None:
            raise Wrong(1001, "Market not found")
        nonce = int(body["nonce"])
        if not isinstance(body["nonce"], str) or not 1 <= nonce <= 2**31 or nonce in self._nonces:
            raise Wrong(1130, "Invalid or repeated nonce")
        if any(order["externalId"] == body["id"] for order in self.orders.values()):
            raise Wrong(1131, "Duplicate external id")
        if len(self.open()) >= int(market["tradingConfig"]["maxNumOrders"]):
            raise Wrong(1132, "Too many orders")
        check(body, market, self.keys, self.fees, now_ms())
        replaced = self.by_external(body["cancelId"]) if body["cancelId"] else None
        if body["cancelId"] and (replaced is None or replaced["status"] not in OPEN):
            raise Wrong(1133, "Previous order not found")
        self._nonces.add(nonce)
        order = self._new(body)
        if replaced is not None:
            self._end(replaced, "CANCELLED", "ORDER_REPLACED")
        self._enter(order, body["timeInForce"])
        return {"id": order["id"], "externalId": order["externalId"]}

    def cancel(self, external_id: str) -> None:
        """Cancel an order; raises Wrong."""
        order = self.by_external(external_id)
        if order is None:
            raise Wrong(1142, "Order not found")
        if order["status"] in OPEN:
            self._end(order, "CANCELLED", "NONE")

    def mass_cancel(self, markets: list[str] | None = None) -> None:
        """Cancel the orders of some markets, or all."""
        for order in self.open():
            if markets is None or order["market"] in markets:
                self._end(order, "CANCELLED", "NONE")

    def arm(self, countdown_s: int) -> None:
        """Set the dead man's switch."""
        self.countdown_s = countdown_s
        self.fires_at = time.monotonic() + countdown_s if countdown_s else float("inf")

    def open(self) -> list[dict[str, Any]]:
        """Open orders."""
        return [order for order in self.orders.values() if order["status"] in OPEN]

    def by_external(self, external_id: str) -> dict[str, Any] | None:
        """An order by the client's id."""
        return next((order for order in self.orders.values() if order["externalId"] == external_id), None)

    def positions(self) -> list[dict[str, Any]]:
        """What is held."""
        return [self._position(market) for market, size in self.sizes.items() if size]

    def balance(self) -> dict[str, Any]:
        """Funds: cash and what is held at the mark."""
        worth = sum((size * self.mark(market) for market, size in self.sizes.items()), Decimal())
        return {"collateralName": "USD", "balance": str(self.cash), "equity": str(self.cash + worth),
                "updatedTime": now_ms()}  # fmt: skip

    def mark(self, market: str) -> Decimal:
        """A market's mark price."""
        return Decimal(self.markets[market]["marketStats"]["markPrice"])

    # What happens by itself.

    def tick(self) -> None:
        """What is due by time: expiries and the dead man's switch."""
        for order in self.open():
            if order["expireTime"] <= now_ms():
                self._end(order, "EXPIRED", "NONE")
        if time.monotonic() >= self.fires_at:
            self.fires_at = float("inf")
            self.fired += 1
            self.mass_cancel()

    def quote(self, market: str, bid: str | Decimal, ask: str | Decimal) -> None:
        """Move the market; resting orders that it touches fill."""
        self.best[market] = Decimal(bid), Decimal(ask)
        self.markets[market]["marketStats"]["markPrice"] = str((Decimal(bid) + Decimal(ask)) / 2)
        for order in self.open():
            price, buys = Decimal(order["price"]), order["side"] == "BUY"
            if order["market"] == market and (price >= Decimal(ask) if buys else price <= Decimal(bid)):
                self._fill(order, price, _left(order), taker=False)

    def trade(self, market: str, taker: str, price: str | Decimal, size: str | Decimal) -> None:
        """A public trade: resting orders of the other side at its price or better have a part in it."""
        left = Decimal(size)
        for order in self.open():
            own = Decimal(order["price"])
            reached = own >= Decimal(price) if taker == "SELL" else own <= Decimal(price)
            if left > 0 and order["market"] == market and order["side"] != taker and reached:
                part = min(left, _left(order))
                self._fill(order, own, part, taker=False)
                left -= part

    def pay(self, market: str, amount: str) -> None:
        """Pay funding to the account."""
        self.cash += Decimal(amount)
        self.payments.append(
            {"id": next(self._numbers), "market": market, "fundingFee": amount, "paidTime": now_ms()}
        )  # fmt: skip

    def _new(self, body: dict[str, Any]) -> dict[str, Any]:
        order = {
            "id": next(self._numbers), "accountId": 1, "externalId": body["id"], "market": body["market"],
            "type": body["type"], "side": body["side"], "status": "NEW", "price": body["price"], "qty": body["qty"],
            "filledQty": "0", "reduceOnly": body["reduceOnly"], "postOnly": body["postOnly"],
            "timeInForce": body["timeInForce"], "expireTime": body["expiryEpochMillis"], "createdTime": now_ms(),
            "updatedTime": now_ms(), "fee": body["fee"],
        }  # fmt: skip
        self.orders[order["id"]] = order
        return order

    def _enter(self, order: dict[str, Any], time_in_force: str) -> None:
        bid, ask = self.best[order["market"]]
        price, buys = Decimal(order["price"]), order["side"] == "BUY"
        held = self.sizes.get(order["market"], Decimal())
        if order["reduceOnly"] and (held >= 0 if buys else held <= 0):
            self._end(order, "REJECTED", "REDUCE_ONLY_FAILED")
        elif not (price >= ask if buys else price <= bid):
            self.emit("ORDER", {"orders": [dict(order)]})
            if time_in_force == "IOC":
                self._end(order, "CANCELLED", "NO_LIQUIDITY")
        elif order["postOnly"]:
            self._end(order, "REJECTED", "POST_ONLY_FAILED")
        else:
            self.emit("ORDER", {"orders": [dict(order)]})
            self._fill(order, ask if buys else bid, _left(order), taker=True)

    def _end(self, order: dict[str, Any], status: str, reason: str) -> None:
        order |= {"status": status, "statusReason": reason, "updatedTime": now_ms()}
        self.emit("ORDER", {"orders": [dict(order)]})

    def _fill(self, order: dict[str, Any], price: Decimal, size: Decimal, *, taker: bool) -> None:
        market = order["market"]
        signed = size if order["side"] == "BUY" else -size
        fee = price * size * Decimal(self.fees[taker])
        trade = {
            "id": next(self._numbers), "accountId": 1, "market": market, "orderId": order["id"],
            "externalId": order["externalId"], "side": order["side"], "price": str(price), "qty": str(size),
            "value": str(price * size), "fee": str(fee), "tradeType": "TRADE", "createdTime": now_ms(),
            "isTaker": taker,
        }  # fmt: skip
        self.trades.append(trade)
        self.cash -= signed * price + fee
        self._hold(market, signed, price)
        order["filledQty"] = str(Decimal(order["filledQty"]) + size)
        order["updatedTime"] = now_ms()
        order["status"] = "PARTIALLY_FILLED" if _left(order) else "FILLED"
        self.emit("ORDER", {"orders": [dict(order)]})
        self.emit("TRADE", {"trades": [{name: value for name, value in trade.items() if name != "externalId"}]})
        self.emit("POSITION", {"positions": [self._position(market)]})
        self.emit("BALANCE", {"balance": self.balance()})

    def _hold(self, market: str, signed: Decimal, price: Decimal) -> None:
        held, entry = self.sizes.get(market, Decimal()), self.entries.get(market, Decimal())
        total = held + signed
        if held * signed >= 0:
            entry = (held * entry + signed * price) / total
        elif total * held < 0:
            entry = price
        self.sizes[market], self.entries[market] = total, entry if total else Decimal()

    def _position(self, market: str) -> dict[str, Any]:
        size = self.sizes.get(market, Decimal())
        mark, entry = self.mark(market), self.entries.get(market, Decimal())
        return {
            "id": 1, "accountId": 1, "market": market, "status": "OPENED" if size else "CLOSED",
            "side": "SHORT" if size < 0 else "LONG", "leverage": "5", "size": str(abs(size)), "value": "0",
            "openPrice": str(entry), "markPrice": str(mark), "unrealisedPnl": str(size * (mark - entry)),
            "realisedPnl": "0", "createdAt": now_ms(), "updatedAt": now_ms(),
        }  # fmt: skip


def _left(order: dict[str, Any]) -> Decimal:
    return Decimal(order["qty"]) - Decimal(order["filledQty"])


def now_ms() -> int:
    """The venue's clock."""
    return time.time_ns() // 1_000_000
