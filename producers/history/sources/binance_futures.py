"""Binance USD-M futures: funding rates, and the taker volumes that the venue keeps for 30 days.

Format: developers.binance.com, USD-M futures market data. Funding is paid every eight hours or more often, some
milliseconds late, so its records are numbered by the second and may lie eight hours apart.
"""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from producers.agenda import Fetch
from producers.binance_rows import fundings, taker_volumes
from producers.history.series import SECOND_NS, Answer, Series, Source, Stretch
from schemas import Funding, Record, TakerVolume

HOST = "fapi.binance.com"
SECOND_MS, MILLISECOND_NS = 1_000, 1_000_000
KEPT_NS = (30 * 24 - 1) * 3_600_000_000_000  # an hour less than the venue says, for requests take time
PERIODS_MS = {"5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000}


class Fundings(Series):
    """Settled rates."""

    record: ClassVar[type[Record]] = Funding
    hosts: ClassVar[tuple[str, ...]] = (HOST,)
    window: ClassVar[int] = 365 * 86_400
    step: ClassVar[int] = 8 * 3_600 + 60

    def __init__(self, venue: str, symbol: str, kind: str) -> None:
        super().__init__(venue, symbol, kind, SECOND_NS)

    def offset(self) -> pl.Expr:
        return pl.col("event_ns") // SECOND_NS

    def fetch(self, left: Stretch) -> Fetch:
        times = f"startTime={left.first * SECOND_MS}&endTime={left.end * SECOND_MS - 1}"
        return Fetch("page", f"https://{HOST}/fapi/v1/fundingRate?symbol={self.symbol}&{times}&limit={self.page}")

    def answer(self, left: Stretch, body: bytes) -> Answer:
        found = fundings(self.instrument, body)
        reached = found[-1].event_ns // SECOND_NS + 1 if found else left.end
        full = len(found) >= self.page and reached < left.end
        return Answer(found, left._replace(first=reached) if full else None)


class TakerVolumes(Series):
    """What takers bought and sold."""

    record: ClassVar[type[Record]] = TakerVolume
    hosts: ClassVar[tuple[str, ...]] = (HOST,)
    page: ClassVar[int] = 500
    window: ClassVar[int] = 10_000

    def __init__(self, venue: str, symbol: str, kind: str) -> None:
        self.period = kind.removeprefix("taker_volumes_")
        super().__init__(venue, symbol, kind, PERIODS_MS[self.period] * MILLISECOND_NS, keeps_ns=KEPT_NS)

    def offset(self) -> pl.Expr:
        return pl.col("event_ns") // self.slot_ns - 1

    def fetch(self, left: Stretch) -> Fetch:
        width_ms = self.slot_ns // MILLISECOND_NS
        end = min(left.end, left.first + self.page)  # given both times, the venue answers with the newest rows
        times = f"startTime={left.first * width_ms}&endTime={end * width_ms - 1}&limit={self.page}"
        url = f"https://{HOST}/futures/data/takerlongshortRatio?symbol={self.symbol}&period={self.period}&{times}"
        return Fetch("page", url)

    def answer(self, left: Stretch, body: bytes) -> Answer:
        found = taker_volumes(self.instrument, self.period, body)
        reached = left.first + self.page
        return Answer(found, left._replace(first=reached) if reached < left.end else None)


class BinanceFutures(Source):
    """The source ``binance_futures``.

    >>> BinanceFutures().series("BTCUSDT", "fundings").fetch(Stretch(1, 3, 0)).url
    'https://fapi.binance.com/fapi/v1/fundingRate?symbol=BTCUSDT&startTime=1000&endTime=2999&limit=1000'
    """

    name: ClassVar[str] = "binance_futures"
    kinds: ClassVar[tuple[str, ...]] = ("fundings", *(f"taker_volumes_{period}" for period in PERIODS_MS))
    weights: ClassVar[Mapping[str, float]] = {HOST: 90.0}  # 500 requests in five minutes for fundings

    def series(self, symbol: str, kind: str) -> Series:
        made: type[Fundings | TakerVolumes] = Fundings if kind == "fundings" else TakerVolumes
        return made(self.name, symbol, kind)
