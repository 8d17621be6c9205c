"""Deribit: bars of its volatility indices (DVOL), paged backwards."""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from producers.agenda import Fetch
from producers.deribit_rows import RESOLUTIONS, page, url
from producers.history.series import Answer, Series, Source, Stretch
from schemas import Bar, Record

HOST = "www.deribit.com"
MILLISECOND_NS = 1_000_000
KINDS = {"dvol_1s": 1_000, "dvol_1m": 60_000, "dvol_1h": 3_600_000, "dvol_1d": 86_400_000}  # ms; all in RESOLUTIONS


class Dvol(Series):
    """Bars of an index."""

    record: ClassVar[type[Record]] = Bar
    hosts: ClassVar[tuple[str, ...]] = (HOST,)
    window: ClassVar[int] = 20_000

    def __init__(self, venue: str, symbol: str, kind: str) -> None:
        self.width_ms = KINDS[kind]
        assert self.width_ms in RESOLUTIONS
        super().__init__(venue, symbol, kind, self.width_ms * MILLISECOND_NS)

    def offset(self) -> pl.Expr:
        return pl.col("event_ns") // self.slot_ns - 1

    def fetch(self, left: Stretch) -> Fetch:
        last_ms = (left.end - 1) * self.width_ms
        return Fetch("page", url(self.symbol, left.first * self.width_ms, last_ms, self.width_ms))

    def answer(self, left: Stretch, body: bytes) -> Answer:
        bars, continuation = page(self.symbol, body, width_ms=self.width_ms)
        end = left.first if continuation is None else continuation // self.width_ms + 1
        return Answer(bars, left._replace(end=end) if left.first < end < left.end else None)


class Deribit(Source):
    """The source ``deribit``.

    >>> Deribit().series("btc_usd", "dvol_1m").fetch(Stretch(1, 3, 0)).url.partition("?")[2]
    'currency=BTC&start_timestamp=60000&end_timestamp=120000&resolution=60'
    """

    name: ClassVar[str] = "deribit"
    kinds: ClassVar[tuple[str, ...]] = tuple(KINDS)
    weights: ClassVar[Mapping[str, float]] = {HOST: 300.0}  # of 20 a second; feeds use the same address

    def series(self, symbol: str, kind: str) -> Series:
        return Dvol(self.name, symbol, kind)
