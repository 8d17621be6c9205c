"""The quoter of bench/paper.py in hftbacktest and in NautilusTrader; run in the peers' environment.

    python -m bench.contestants.market_makers MARKET

Prints JSON: for each peer the seconds of processor time of a run, its inputs made beforehand and its code compiled, and
what came of it.
"""

import json
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import hftbacktest as hft
import msgspec
import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas, TradeTick
from nautilus_trader.model.enums import (
    AccountType,
    AggressorSide,
    BookAction,
    BookType,
    OmsType,
    OrderSide,
    RecordFlag,
    TimeInForce,
)
from nautilus_trader.model.identifiers import TradeId, Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy
from numba import njit

STEP_NS = 100_000_000
LATENCY_NS = 10_000_000
LOT = 0.001
MOST = 10  # lots
END_OF_DATA = 1
BOTH = int(hft.EXCH_EVENT | hft.LOCAL_EVENT)


def levels(row: list[Any]) -> list[tuple[int, float, float]]:
    """Side (1 bid, -1 ask), price and size of each level of a depth message."""
    found = []
    for sign, data in ((1, row[4]), (-1, row[5])):
        for price, size in np.frombuffer(data, "<i8").reshape(-1, 2).tolist():
            found.append((sign, price / 10 ** row[2], size / 10 ** row[3]))
    return found


def hft_events(rows: list[list[Any]]) -> Any:
    """The market as hftbacktest wants it."""
    found = []
    for row in rows:
        at, kind = row[0], row[1]
        if kind in ("snapshot", "delta"):
            flag = int(hft.DEPTH_SNAPSHOT_EVENT if kind == "snapshot" else hft.DEPTH_EVENT)
            for sign, price, size in levels(row):
                side = int(hft.BUY_EVENT if sign > 0 else hft.SELL_EVENT)
                found.append((BOTH | flag | side, at, at, price, size, 0, 0, 0.0))
        else:
            side = int(hft.BUY_EVENT if kind == "buy" else hft.SELL_EVENT)
            found.append((BOTH | int(hft.TRADE_EVENT) | side, at, at, row[2], row[3], 0, 0, 0.0))
    return np.array(found, dtype=hft.event_dtype)


@njit  # type: ignore[misc]
def quote(hbt: Any, counts: Any) -> int:
    """Join both best prices, every 100 ms; why it has ended."""
    number = 0
    while True:
        ended = hbt.elapse(STEP_NS)
        if ended != 0:
            return int(ended)
        hbt.clear_inactive_orders(0)
        depth, orders, held = hbt.depth(0), hbt.orders(0), round(hbt.position(0) / LOT)
        for sign in (1, -1):
            wanted = depth.best_bid_tick if sign > 0 else depth.best_ask_tick
            if held * sign >= MOST:
                wanted = -1
            live = False
            values = orders.values()
            while values.has_next():
                order = values.get()
                if order.side == sign:
                    live = True
                    if order.price_tick != wanted and order.cancellable:
                        hbt.cancel(0, order.order_id, False)
                        counts[0] += 1
            if wanted > 0 and not live:
                number += 1
                counts[0] += 1
                price = wanted * depth.tick_size
                if sign > 0:
                    hbt.submit_buy_order(0, number, price, LOT, hft.GTX, hft.LIMIT, False)
                else:
                    hbt.submit_sell_order(0, number, price, LOT, hft.GTX, hft.LIMIT, False)


def hftbacktest(events: Any) -> tuple[float, str]:
    """Seconds of a run of hftbacktest."""
    asset = (
        hft.BacktestAsset()
        .data([events])
        .linear_asset(1.0)
        .constant_order_latency(LATENCY_NS, LATENCY_NS)
        .power_prob_queue_model(1.0)
        .no_partial_fill_exchange()  # the other one ends early: its issue 301; least lots fill at once anyway
        .trading_value_fee_model(0.0, 0.00025)
        .tick_size(0.01)
        .lot_size(LOT)
    )
    hbt = hft.HashMapMarketDepthBacktest([asset])
    counts = np.zeros(1, np.int64)
    began = time.process_time()
    ended = quote(hbt, counts)
    spent = time.process_time() - began
    fills = int(hbt.state_values(0).num_trades)
    hbt.close()
    if ended != END_OF_DATA:
        raise RuntimeError(f"hftbacktest ended with code {ended}")
    return spent, f"{counts[0]:,} requests, {fills:,} fills"


class Quoter(Strategy):  # type: ignore[misc]
    """Join both best prices, at most every 100 ms."""

    def __init__(self, instrument: Any) -> None:
        super().__init__()
        self.instrument = instrument
        self.stretch = 0
        self.requests = self.fills = self.held = 0

    def on_start(self) -> None:
        """Ask for the market."""
        self.subscribe_order_book_deltas(self.instrument.id, BookType.L2_MBP)

    def on_order_book_deltas(self, deltas: Any) -> None:
        """Quote anew with the first message of a stretch."""
        stretch = deltas.ts_event // STEP_NS
        if stretch == self.stretch:
            return
        self.stretch = stretch
        book = self.cache.order_book(self.instrument.id)
        for side, price, sign in (
            (OrderSide.BUY, book.best_bid_price(), 1),
            (OrderSide.SELL, book.best_ask_price(), -1),
        ):
            wanted = price if self.held * sign < MOST else None
            live = [
                *self.cache.orders_open(instrument_id=self.instrument.id, side=side),
                *self.cache.orders_inflight(instrument_id=self.instrument.id, side=side),
            ]
            for order in live:
                if order.price != wanted and not order.is_pending_cancel:
                    self.cancel_order(order)
                    self.requests += 1
            if wanted is not None and not live:
                quantity = self.instrument.make_qty(LOT)
                asked = self.order_factory.limit(
                    self.instrument.id, side, quantity, wanted, time_in_force=TimeInForce.GTC, post_only=True
                )
                self.submit_order(asked)
                self.requests += 1

    def on_order_filled(self, event: Any) -> None:
        """Count what is held."""
        self.fills += 1
        self.held += 1 if event.order_side == OrderSide.BUY else -1


def nautilus_events(rows: list[list[Any]], instrument: Any) -> list[Any]:
    """The market as NautilusTrader wants it."""
    made: list[Any] = []
    for number, row in enumerate(rows):
        at, kind = row[0], row[1]
        if kind in ("snapshot", "delta"):
            deltas = [OrderBookDelta.clear(instrument.id, 0, at, at)] if kind == "snapshot" else []
            for sign, price, size in levels(row):
                side = OrderSide.BUY if sign > 0 else OrderSide.SELL
                order = BookOrder(side, Price(price, 2), Quantity(size, 3), 0)
                action = BookAction.UPDATE if size else BookAction.DELETE
                deltas.append(OrderBookDelta(instrument.id, action, order, 0, number, at, at))
            last = deltas[-1]
            deltas[-1] = OrderBookDelta(instrument.id, last.action, last.order, RecordFlag.F_LAST, number, at, at)
            made.append(OrderBookDeltas(instrument.id, deltas))
        else:
            taker = AggressorSide.BUYER if kind == "buy" else AggressorSide.SELLER
            price, size = Price(row[2], 2), Quantity(row[3], 3)
            made.append(TradeTick(instrument.id, price, size, taker, TradeId(str(number)), at, at))
    return made


def nautilus(rows: list[list[Any]]) -> tuple[float, str]:
    """Seconds of a run of NautilusTrader."""
    instrument = TestInstrumentProvider.ethusdt_perp_binance()
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("BINANCE"), OmsType.NETTING, AccountType.MARGIN, [Money(1_000_000, USDT)], base_currency=None,
        default_leverage=Decimal(1), book_type=BookType.L2_MBP, trade_execution=True,
        latency_model=LatencyModel(LATENCY_NS, LATENCY_NS, LATENCY_NS, LATENCY_NS),
    )  # fmt: skip
    engine.add_instrument(instrument)
    engine.add_data(nautilus_events(rows, instrument))
    quoter = Quoter(instrument)
    engine.add_strategy(quoter)
    began = time.process_time()
    engine.run()
    spent = time.process_time() - began
    note = f"{quoter.requests:,} requests, {quoter.fills:,} fills"
    engine.dispose()
    return spent, note


def main() -> None:
    """Run both over the market in a file."""
    rows = msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes())
    events = hft_events(rows)
    hftbacktest(events)  # compiles
    print(json.dumps({"hftbacktest": hftbacktest(events), "NautilusTrader": nautilus(rows)}))


if __name__ == "__main__":
    main()
