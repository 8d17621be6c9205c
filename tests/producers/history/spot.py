"""Binance spot as a venue of server.py: seeded trades with ids that rise by one, as files and as pages."""

import bisect
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tests.producers.history.server import Venue, zipped

MAIN, DATA, ARCHIVE = "/api.binance.com", "/data-api.binance.vision", "/data.binance.vision/data/spot"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000


class Row(NamedTuple):
    """A trade as the venue has it."""

    number: int
    price: str
    size: str
    time_us: int
    buyer_is_maker: bool


def trades(day: str, days: int, each: int, first: int = 1_000, seed: int = 7) -> list[Row]:
    """So many trades on each of some days."""
    chance = random.Random(seed)
    start_us = microseconds(day)
    found: list[Row] = []
    for place in range(days):
        times = sorted(chance.randrange(DAY_US) for _ in range(each))
        for time_us in times:
            price, size = f"{chance.uniform(90_000, 100_000):.2f}", f"{chance.uniform(0.00001, 2):.5f}"
            number = first + len(found)
            found.append(Row(number, price, size, start_us + place * DAY_US + time_us, chance.random() < 0.5))
    return found


def microseconds(day: str) -> int:
    """The begin of a day."""
    return (datetime.fromisoformat(day).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def offer(
    venue: Venue,
    rows: Sequence[Row],
    symbol: str = "BTCUSDT",
    *,
    monthly: Sequence[str] = (),
    daily: Sequence[str] = (),
    header: bool = False,
) -> None:
    """Offer trades as pages and as files of some months and days; files before 2025 have milliseconds."""
    for period in (*monthly, *daily):
        own = [row for row in rows if stamp(row).startswith(period)]
        every = "monthly" if len(period) == 7 else "daily"
        name = f"{symbol}-trades-{period}"
        lines = ["id,price,qty,quote_qty,time,is_buyer_maker,is_best_match"] if header else []
        lines += [csv_line(row, milliseconds=period < "2025") for row in own]
        venue.put(f"{ARCHIVE}/{every}/trades/{symbol}/{name}.zip", zipped(f"{name}.csv", lines))
    venue.rows[symbol] = rows

    def historical(query: Mapping[str, str], body: bytes) -> Any:
        first, limit = int(query["fromId"]), int(query["limit"])
        there = venue.rows[query["symbol"]]
        begin = bisect.bisect_left(there, first, key=lambda row: row.number)
        return [page_row(row) for row in there[begin : begin + limit]]

    def aggregated(query: Mapping[str, str], body: bytes) -> Any:
        start_us = int(query["startTime"]) * 1_000
        found = [row for row in venue.rows[query["symbol"]] if row.time_us >= start_us][: int(query["limit"])]
        return [
            {"a": row.number, "p": row.price, "q": row.size, "f": row.number, "l": row.number, "T": row.time_us,
             "m": row.buyer_is_maker, "M": True}
            for row in found
        ]  # fmt: skip

    venue.pages[f"{MAIN}/api/v3/historicalTrades"] = historical
    for host in (MAIN, DATA):
        venue.pages[f"{host}/api/v3/aggTrades"] = aggregated


def stamp(row: Row) -> str:
    """The moment of a trade."""
    return (EPOCH + timedelta(microseconds=row.time_us)).isoformat()


def csv_line(row: Row, milliseconds: bool = False) -> str:
    """A trade as the archive writes it."""
    quote = f"{float(row.price) * float(row.size):.8f}"
    time = row.time_us // 1_000 if milliseconds else row.time_us
    return f"{row.number},{row.price},{row.size},{quote},{time},{row.buyer_is_maker},True"


def page_row(row: Row) -> dict[str, Any]:
    """A trade as a page has it."""
    return {"id": row.number, "price": row.price, "qty": row.size, "quoteQty": "0", "time": row.time_us,
            "isBuyerMaker": row.buyer_is_maker, "isBestMatch": True}  # fmt: skip
