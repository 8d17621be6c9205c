"""Pyth: minute bars of Pyth Pro's history, which needs a key; minutes without a publication have none.

A symbol may stand with its class, as Equity.US.AAPL/USD; one without is a coin's. Instruments are named without, as the
feed names them.
"""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from producers.agenda import Fetch
from producers.history.series import OPEN, SECOND_NS, Answer, Series, Source, Stretch
from producers.pyth_bars import bars, history_url
from schemas import Bar, Record

HOST = "pyth.dourolabs.app"
WIDTH_S = 60


class Minutes(Series):
    """Minute bars of a price; ``asked`` is its symbol with its class."""

    record: ClassVar[type[Record]] = Bar
    hosts: ClassVar[tuple[str, ...]] = (HOST,)
    window: ClassVar[int] = 1_440 * 7

    def __init__(self, venue: str, asked: str, kind: str) -> None:
        self.asked = asked
        super().__init__(venue, asked.rpartition(".")[2], kind, WIDTH_S * SECOND_NS)

    def offset(self) -> pl.Expr:
        return pl.col("event_ns") // self.slot_ns - 1

    def fetch(self, left: Stretch) -> Fetch:
        end = min(left.end, left.first + self.page)
        return Fetch("page", history_url(self.asked, left.first * WIDTH_S, end * WIDTH_S - 1))

    def answer(self, left: Stretch, body: bytes) -> Answer:
        reached = left.first + self.page
        found = bars(self.instrument, body, until_ns=OPEN * SECOND_NS, width_s=WIDTH_S)
        return Answer(found, left._replace(first=reached) if reached < left.end else None)


class Pyth(Source):
    """The source ``pyth``.

    >>> Pyth().series("BTC/USD", "bars_1m").fetch(Stretch(1, 3, 0)).url.partition("?")[2]
    'symbol=Crypto.BTC%2FUSD&resolution=1&from=60&to=179'
    >>> Pyth().series("Equity.US.AAPL/USD", "bars_1m").instrument
    'pyth:AAPL/USD'
    """

    name: ClassVar[str] = "pyth"
    kinds: ClassVar[tuple[str, ...]] = ("bars_1m",)
    weights: ClassVar[Mapping[str, float]] = {HOST: 120.0}  # 30 in ten seconds; feeds use the same address
    bearer: ClassVar[str] = "pyth_key"

    def series(self, symbol: str, kind: str) -> Series:
        return Minutes(self.name, symbol if "." in symbol else f"Crypto.{symbol}", kind)
