"""Venues that give the minutes of ``made``, over HTTP on this machine."""

import json

from consumers.synth.state import MINUTE_NS
from schemas import Bar
from tests.consumers.synth.made import MONDAY, closes
from tests.producers.history.server import Venue

BINANCE, HYPERLIQUID = "/api.binance.com/api/v3/klines", "/api.hyperliquid.xyz/info"
PYTH = "/pyth.dourolabs.app/v1/fixed_rate@200ms/history"
PRICES = closes(8).tolist()
MINUTE_MS = 60_000


class Minutes:
    """What venues have: a close of each minute since Monday, but for those that lack."""

    def __init__(self, missing=()):
        self.missing = {MONDAY + place for place in missing}

    def rows(self, first_ms, last_ms, most):
        """Minute and open, high, low, close of those that begin in a span."""
        first, last = -(-first_ms // MINUTE_MS), last_ms // MINUTE_MS
        found = [
            minute for minute in range(first, min(last, MONDAY + len(PRICES) - 1) + 1) if minute not in self.missing
        ]
        return [(minute, *prices(minute)) for minute in found if minute >= MONDAY][:most]

    def serve(self, venue: Venue) -> Venue:
        venue.pages[BINANCE] = self.klines
        venue.pages[HYPERLIQUID] = self.candles
        venue.pages[PYTH] = self.columns
        return venue

    def klines(self, query, _):
        rows = self.rows(int(query["startTime"]), int(query["endTime"]), int(query["limit"]))
        return [
            [
                minute * MINUTE_MS * 1_000,
                *map(str, ohlc),
                "2",
                (minute + 1) * MINUTE_MS * 1_000 - 1,
                "1",
                3,
                "1",
                "1",
                "0",
            ]
            for minute, *ohlc in rows
        ]

    def candles(self, _, body):
        wanted = json.loads(body)["req"]
        rows = self.rows(wanted["startTime"], wanted["endTime"], 5_000)
        return [
            {
                "t": minute * MINUTE_MS, "T": (minute + 1) * MINUTE_MS - 1, "s": wanted["coin"], "i": "1m", "n": 3,
                **{name: str(price) for name, price in zip("ohlc", ohlc, strict=True)}, "v": "2",
            }
            for minute, *ohlc in rows
        ]  # fmt: skip

    def columns(self, query, _):
        rows = self.rows(int(query["from"]) * 1_000, int(query["to"]) * 1_000, 10_000)
        names = zip("tohlc", zip(*((minute * 60, *ohlc) for minute, *ohlc in rows), strict=True), strict=False)
        return {"s": "ok", **{name: list(column) for name, column in names}}


def prices(minute):
    """Open, high, low and close of a minute."""
    close = PRICES[minute - MONDAY]
    return close, close * 1.0001, close * 0.9999, close


def bar(minute, instrument="binance:BTCUSDT"):
    end_ns = (minute + 1) * MINUTE_NS
    return Bar(instrument, end_ns, end_ns, MINUTE_MS, *prices(minute), 2.0, 1.0, 3, 1.0)


def ended(minute):
    """The time at which a minute since Monday has just been settled."""
    return (MONDAY + minute + 1) * MINUTE_NS + 3_000_000_000
