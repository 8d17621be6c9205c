"""Binance spot: trades, aggregated trades and klines, from the archive's files and the REST pages.

Formats: github.com/binance/binance-public-data and binance-spot-api-docs, rest-api.md. Rules:

- The archive gives times in milliseconds before 2025 and in microseconds since; pages give microseconds when asked to,
  so that a record is the same whichever way it came. Each value tells by its size.
- Single trades are at the main host only; the host for market data serves the rest to everyone.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import polars as pl

from producers.agenda import Fetch
from producers.binance_rows import WIDTHS_MS, agg_trades, klines, trades
from producers.binance_wire import FIRST_US, LAST_MS, LAST_US
from producers.history.series import Answer, Series, Source, Stretch
from schemas import Bar, Record, Trade

MAIN, DATA = "api.binance.com", "data-api.binance.vision"
ARCHIVE = "https://data.binance.vision/data/spot"
MILLISECOND_NS, DAY_MS = 1_000_000, 86_400_000
SIDE = pl.when(pl.col("buyer_is_maker")).then(pl.lit("sell")).otherwise(pl.lit("buy"))


def nanoseconds(column: str) -> pl.Expr:
    """A column of times in ns; null for what is neither in milliseconds nor in microseconds."""
    time = pl.col(column)
    microseconds, milliseconds = time.is_between(FIRST_US, LAST_US), time.is_between(0, LAST_MS)
    return pl.when(microseconds).then(time * 1_000).when(milliseconds).then(time * 1_000_000)


class Spot(Series):
    """What the kinds have in common."""

    hosts: ClassVar[tuple[str, ...]] = (MAIN, DATA)
    folder: ClassVar[str]

    def archive(self, period: str) -> str:
        every = "monthly" if len(period) == len("2025-01") else "daily"
        name = self.folder if self.slot_ns == 0 else self.kind.removeprefix("klines_")
        inner = self.symbol if self.slot_ns == 0 else f"{self.symbol}/{name}"
        return f"{ARCHIVE}/{every}/{self.folder}/{inner}/{self.symbol}-{name}-{period}.zip"

    def url(self, path: str, **query: str | int) -> str:
        """Address of a page."""
        given = "&".join(f"{name}={value}" for name, value in query.items())
        return f"https://{self.hosts[0]}/api/v3/{path}?symbol={self.symbol}&{given}"

    def locate(self, time_ns: int) -> Fetch:
        url = f"https://{DATA}/api/v3/aggTrades?symbol={self.symbol}"
        return Fetch("locate", f"{url}&startTime={time_ns // MILLISECOND_NS}&limit=1", weight=4)

    def following(self, left: Stretch, records: list[Trade]) -> Answer:
        """The records, with what is left: a page that is not full is the last."""
        full = len(records) >= self.page and records[-1].event_ns < left.to_ns
        reached = records[-1].trade_id + 1 if records else 0
        return Answer(records, left._replace(first=reached) if full and reached < left.end else None)


class Trades(Spot):
    """Single trades."""

    record: ClassVar[type[Record]] = Trade
    hosts: ClassVar[tuple[str, ...]] = (MAIN,)
    folder: ClassVar[str] = "trades"
    archive_columns: ClassVar[Mapping[str, Any]] = {
        "id": pl.Int64, "price": pl.Float64, "size": pl.Float64, "quote_size": pl.Float64, "time": pl.Int64,
        "buyer_is_maker": pl.Boolean, "best_match": pl.Boolean,
    }  # fmt: skip

    def offset(self) -> pl.Expr:
        return pl.col("trade_id")

    def rows(self, batch: pl.DataFrame) -> pl.DataFrame:
        return _trades(self.instrument, batch, *("id", "id", "id"))

    def fetch(self, left: Stretch) -> Fetch:
        return Fetch("page", self.url("historicalTrades", fromId=left.first, limit=self.page), weight=25)

    def answer(self, left: Stretch, body: bytes) -> Answer:
        return self.following(left, trades(self.instrument, body))

    def located(self, body: bytes) -> int | None:
        return next((trade.first_id for trade in agg_trades(self.instrument, body)), None)


class AggTrades(Spot):
    """Trades of one taker order at one price as one; live they are a feed of their own, with ids of its own."""

    record: ClassVar[type[Record]] = Trade
    folder: ClassVar[str] = "aggTrades"
    archive_columns: ClassVar[Mapping[str, Any]] = {
        "id": pl.Int64, "price": pl.Float64, "size": pl.Float64, "first": pl.Int64, "last": pl.Int64, "time": pl.Int64,
        "buyer_is_maker": pl.Boolean, "best_match": pl.Boolean,
    }  # fmt: skip

    def offset(self) -> pl.Expr:
        return pl.col("trade_id")

    def rows(self, batch: pl.DataFrame) -> pl.DataFrame:
        return _trades(self.instrument, batch, *("id", "first", "last"))

    def fetch(self, left: Stretch) -> Fetch:
        return Fetch("page", self.url("aggTrades", fromId=left.first, limit=self.page), weight=4)

    def answer(self, left: Stretch, body: bytes) -> Answer:
        return self.following(left, agg_trades(self.instrument, body))

    def located(self, body: bytes) -> int | None:
        return next((trade.trade_id for trade in agg_trades(self.instrument, body)), None)


class Klines(Spot):
    """Bars."""

    record: ClassVar[type[Record]] = Bar
    folder: ClassVar[str] = "klines"
    archive_columns: ClassVar[Mapping[str, Any]] = {
        "time": pl.Int64, "open": pl.Float64, "high": pl.Float64, "low": pl.Float64, "close": pl.Float64,
        "volume": pl.Float64, "close_time": pl.Int64, "quote_volume": pl.Float64, "trades": pl.Int64,
        "taker_buy_volume": pl.Float64, "taker_buy_quote_volume": pl.Float64, "ignored": pl.String,
    }  # fmt: skip

    def __init__(self, venue: str, symbol: str, kind: str) -> None:
        self.interval = kind.removeprefix("klines_")
        super().__init__(venue, symbol, kind, WIDTHS_MS[self.interval] * MILLISECOND_NS)

    def offset(self) -> pl.Expr:
        return pl.col("event_ns") // self.slot_ns - 1

    def rows(self, batch: pl.DataFrame) -> pl.DataFrame:
        end_ns = nanoseconds("time") + self.slot_ns
        return batch.select(
            pl.lit(self.instrument).alias("instrument"),
            end_ns.alias("event_ns"),
            end_ns.alias("received_ns"),
            pl.lit(self.slot_ns // MILLISECOND_NS, pl.Int64).alias("width_ms"),
            *("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume"),
        )

    def fetch(self, left: Stretch) -> Fetch:
        width_ms = self.slot_ns // MILLISECOND_NS
        times = {"startTime": left.first * width_ms, "endTime": left.end * width_ms - 1}
        return Fetch("page", self.url("klines", interval=self.interval, **times, limit=self.page), weight=2)

    def answer(self, left: Stretch, body: bytes) -> Answer:
        bars = klines(self.instrument, self.interval, body)
        reached = bars[-1].event_ns // self.slot_ns if bars else left.end
        full = len(bars) >= self.page and reached < left.end
        return Answer(bars, left._replace(first=reached) if full else None)


class Binance(Source):
    """The source ``binance``.

    >>> Binance().series("BTCUSDT", "trades").archive("2025-01")
    'https://data.binance.vision/data/spot/monthly/trades/BTCUSDT/BTCUSDT-trades-2025-01.zip'
    >>> Binance().series("BTCUSDT", "klines_1s").archive("2025-01-31")
    'https://data.binance.vision/data/spot/daily/klines/BTCUSDT/1s/BTCUSDT-1s-2025-01-31.zip'
    """

    name: ClassVar[str] = "binance"
    # Widths that divide a day: their slots, counted from the epoch, are the venue's bars.
    kinds: ClassVar[tuple[str, ...]] = (
        "trades",
        "agg_trades",
        *(f"klines_{width}" for width, width_ms in WIDTHS_MS.items() if DAY_MS % width_ms == 0),
    )
    weights: ClassVar[Mapping[str, float]] = {MAIN: 4_800.0, DATA: 4_800.0}  # of 6,000; feeds use the same address
    headers: ClassVar[Mapping[str, str]] = {"X-MBX-TIME-UNIT": "MICROSECOND"}

    def series(self, symbol: str, kind: str) -> Series:
        if kind == "agg_trades":
            return AggTrades("binance_agg", symbol, kind)
        return Trades(self.name, symbol, kind) if kind == "trades" else Klines(self.name, symbol, kind)


def _trades(instrument: str, batch: pl.DataFrame, number: str, first: str, last: str) -> pl.DataFrame:
    time_ns = nanoseconds("time")
    return batch.select(
        pl.lit(instrument).alias("instrument"),
        time_ns.alias("event_ns"),
        time_ns.alias("received_ns"),
        "price",
        "size",
        SIDE.alias("side"),
        pl.col(number).alias("trade_id"),
        pl.col(first).alias("first_id"),
        pl.col(last).alias("last_id"),
    )
