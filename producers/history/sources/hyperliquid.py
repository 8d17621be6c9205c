"""Hyperliquid: candles, of which the venue keeps the newest 5,000 of each width."""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from producers.agenda import Fetch
from producers.history.series import Answer, Series, Source, Stretch
from producers.hyperliquid_rows import MOST, URL, WIDTHS_MS, bars, request
from schemas import Bar, Record

HOST = "api.hyperliquid.xyz"
MILLISECOND_NS = 1_000_000


class Candles(Series):
    """Bars of a coin."""

    record: ClassVar[type[Record]] = Bar
    hosts: ClassVar[tuple[str, ...]] = (HOST,)
    page: ClassVar[int] = MOST
    window: ClassVar[int] = MOST

    def __init__(self, venue: str, symbol: str, kind: str) -> None:
        self.interval = kind.removeprefix("candles_")
        slot_ns = WIDTHS_MS[self.interval] * MILLISECOND_NS
        super().__init__(venue, symbol, kind, slot_ns, keeps_ns=MOST * slot_ns)

    def offset(self) -> pl.Expr:
        return pl.col("event_ns") // self.slot_ns - 1

    def fetch(self, left: Stretch) -> Fetch:
        width_ms = self.slot_ns // MILLISECOND_NS
        body = request(self.symbol, left.first * width_ms, (left.end - 1) * width_ms, self.interval)
        return Fetch("page", URL, body, weight=20 + (left.end - left.first) // 60)

    def answer(self, left: Stretch, body: bytes) -> Answer:
        return Answer(bars(body))


class Hyperliquid(Source):
    """The source ``hyperliquid``.

    >>> Hyperliquid().series("@107", "candles_1m").fetch(Stretch(1, 3, 0)).body
    '{"type":"candleSnapshot","req":{"coin":"@107","interval":"1m","startTime":60000,"endTime":120000}}'
    """

    name: ClassVar[str] = "hyperliquid"
    kinds: ClassVar[tuple[str, ...]] = tuple(f"candles_{width}" for width in WIDTHS_MS)
    weights: ClassVar[Mapping[str, float]] = {HOST: 900.0}  # of 1,200 a minute; feeds use the same address

    def series(self, symbol: str, kind: str) -> Series:
        return Candles(self.name, symbol, kind)
