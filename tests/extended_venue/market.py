"""The market around the account: recorded or generated books and trades, played at any speed into the exchange.

Whoever listens to the public streams gets them as Extended sends them: a snapshot first and once a minute, changes
between, whose ``q`` is the change of a level and ``c`` its size after it; trades one by one; the mark once a second.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.data import recording
from tests.extended_venue.account import MARKET
from tests.extended_venue.exchange import now_ms
from tests.extended_venue.server import ExtendedVenue

SNAPSHOT_S = 60.0
MARK_S = 1.0
DEPTH = 20
Side = dict[Decimal, Decimal]  # sizes by price


class Step(NamedTuple):
    """The market at a time: a book, or a trade (taker's side, price, size)."""

    at_s: float
    book: tuple[Side, Side] | None = None
    trade: tuple[str, Decimal, Decimal] | None = None


def recorded() -> tuple[dict[str, Any], list[Step]]:
    """35 minutes of ETH of another venue, and a market with its tick."""
    books = pl.read_parquet(recording("l2/hyperliquid_orderbooks_eth_2025-09-04.parquet"))
    trades = pl.read_parquet(recording("l2/hyperliquid_trades_eth_2025-09-04.parquet"))
    start_ms = books["exchange_timestamp"].min()
    assert isinstance(start_ms, int)
    steps = [
        Step(
            (row["exchange_timestamp"] - start_ms) / 1_000,
            book=(_side(row, "bid"), _side(row, "ask")),
        )
        for row in books.iter_rows(named=True)
    ]
    steps += [
        Step(
            (row["exchange_timestamp"] - start_ms) / 1_000,
            trade=(row["side"].upper(), _decimal(row["price"]), _decimal(row["size"])),
        )
        for row in trades.iter_rows(named=True)
        if row["exchange_timestamp"] >= start_ms
    ]
    market = json.loads(json.dumps(MARKET))
    market["tradingConfig"]["minPriceChange"] = "0.1"
    steps.sort(key=lambda step: step.at_s)
    return market, steps


def generated(seconds: float, seed: int = 7, tick: str = "0.5") -> tuple[dict[str, Any], list[Step]]:
    """A random walk of books ten times a second, with trades at either side of it."""
    chance, step = random.Random(seed), Decimal(tick)
    steps, mid, at_s = [], 4_000, 0.0  # in ticks
    while at_s < seconds:
        mid += chance.choice([-1, 0, 0, 0, 1])
        sides = tuple(
            {(mid + sign * (1 + level)) * step: Decimal(chance.randrange(1, 5_000)) / 1_000 for level in range(DEPTH)}
            for sign in (-1, 1)
        )
        steps.append(Step(at_s, book=(sides[0], sides[1])))
        if chance.random() < 0.3:
            taker = chance.choice(["BUY", "SELL"])
            price = (mid + (1 if taker == "BUY" else -1) * chance.randrange(1, 4)) * step
            steps.append(Step(at_s + 0.05, trade=(taker, price, Decimal(chance.randrange(1, 500)) / 1_000)))
        at_s += 0.1
    return json.loads(json.dumps(MARKET)), steps


class Player:
    """Plays steps into a venue's market, ``speed`` times as fast as they were."""

    def __init__(self, venue: ExtendedVenue, market: str, steps: Iterable[Step], speed: float = 1.0) -> None:
        self._venue, self._market, self._steps, self._speed = venue, market, steps, speed
        self._book: tuple[Side, Side] = {}, {}
        self._sequences: dict[ServerConnection, int] = {}
        self._snapshot_at: dict[ServerConnection, float] = {}
        self._marked_at = 0.0
        self._trades = 1_000_000

    async def run(self) -> None:
        """Play to the end."""
        began = time.monotonic()
        for step in self._steps:
            wait_s = began + step.at_s / self._speed - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            if step.book is not None:
                await self._move(step.book)
            elif step.trade is not None:
                await self._trade(*step.trade)

    async def _move(self, book: tuple[Side, Side]) -> None:
        before, self._book = self._book, book
        if book[0] and book[1]:
            self._venue.exchange.quote(self._market, max(book[0]), min(book[1]))
        for socket in self._listeners("orderbooks"):
            now = time.monotonic()
            whole = socket not in self._snapshot_at or now - self._snapshot_at[socket] >= SNAPSHOT_S
            if whole:
                self._snapshot_at[socket] = now
                sides = [_levels({}, side) for side in book]
            else:
                sides = [_levels(old, new) for old, new in zip(before, book, strict=True)]
            if whole or sides[0] or sides[1]:
                kind = "SNAPSHOT" if whole else "DELTA"
                await self._send(socket, {"type": kind, "data": {"m": self._market, "b": sides[0], "a": sides[1]}})
        if time.monotonic() - self._marked_at >= MARK_S:
            self._marked_at = time.monotonic()
            mark = str(self._venue.exchange.mark(self._market))
            for socket in self._listeners("prices/mark"):
                await self._send(socket, {"type": "MP", "data": {"m": self._market, "p": mark, "ts": now_ms()}})

    async def _trade(self, taker: str, price: Decimal, size: Decimal) -> None:
        self._venue.exchange.trade(self._market, taker, price, size)
        self._trades += 1
        deal = {
            "m": self._market, "S": taker, "tT": "TRADE", "T": now_ms(), "p": str(price), "q": str(size),
            "i": self._trades,
        }  # fmt: skip
        for socket in self._listeners("publicTrades"):
            await self._send(socket, {"data": [deal]})

    def _listeners(self, stream: str) -> list[ServerConnection]:
        return list(self._venue.public.get(f"/{stream}/{self._market}", ()))

    async def _send(self, socket: ServerConnection, message: dict[str, Any]) -> None:
        sequence = self._sequences[socket] = self._sequences.get(socket, 0) + 1
        try:
            await socket.send(json.dumps(message | {"ts": now_ms(), "seq": sequence}))
        except ConnectionClosed:
            self._sequences.pop(socket, None)
            self._snapshot_at.pop(socket, None)


def repeated(steps: list[Step], seconds: float) -> Iterator[Step]:
    """Steps over and over until some seconds are full."""
    length, start = steps[-1].at_s + 1.0, 0.0
    while True:
        for step in steps:
            if start + step.at_s > seconds:
                return
            yield step._replace(at_s=start + step.at_s)
        start += length


def _levels(before: Side, after: Side) -> list[dict[str, str]]:
    """What has changed of a side, the level's size after it beside it."""
    nothing = Decimal()
    changed = [price for price in sorted({*before, *after}) if before.get(price, nothing) != after.get(price, nothing)]
    return [
        {
            "p": f"{price:f}",
            "q": f"{after.get(price, nothing) - before.get(price, nothing):f}",
            "c": f"{after.get(price, nothing):f}",
        }
        for price in changed
    ]


def _side(row: dict[str, Any], name: str) -> Side:
    pairs = ((row[f"{name}_price_{level}"], row[f"{name}_size_{level}"]) for level in range(DEPTH))
    return {_decimal(price): _decimal(size) for price, size in pairs if price and size}


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))
