"""Recorded markets as records in the order of their time: books or what makes them, and trades."""

import numpy as np
import polars as pl
from msgspec.structs import replace

from schemas import Book, Record, Trade
from tests.data import recording
from tests.recorded_books import messages, stream

MS = 1_000_000


def binance(name: str = "usdm_ethusdt") -> list[Record]:
    """Depths and trades by the time of their receipt, from the snapshot on; what came before it counts as come then."""
    depths = [event for event, _ in stream(name)]
    began = depths[0].event_ns
    early = [replace(event, event_ns=max(event.event_ns, began)) for event in depths]
    trades: list[Trade] = []
    for received_ns, message in messages(name):
        if message.get("e") == "trade" and message["X"] == "MARKET" and received_ns >= began:
            side = "sell" if message["m"] else "buy"
            numbers = float(message["p"]), float(message["q"])
            trades.append(Trade("binance:TEST", received_ns, received_ns, *numbers, side, *[int(message["t"])] * 3))
    return sorted([*early, *trades], key=lambda event: event.event_ns)


def standx(rows: int) -> list[Record]:
    """The first snapshots of 20 levels of an afternoon, 2 of 5 with equal bid and ask, and the trades between them."""
    given = pl.read_parquet(recording("l2/standx_btcusd_book20_full_2026-01-06_14.parquet")).head(rows)
    books: list[Record] = []
    levels = given.drop("timestamp_ms", "recv_ms", "seq").to_numpy().reshape(len(given), 20, 2, 2)
    whole = np.rint(levels * [10.0**2, 10.0**4]).astype("<i8")
    for at, sides in zip(given["timestamp_ms"].to_list(), whole, strict=True):
        bids, asks = (sides[:, side].tobytes() for side in (0, 1))
        said = (True, "", at * MS, 0, 2, 4, bids, asks, 100, 100)
        books.append(Book("standx:TEST", at * MS, *said, 0.0, 1.0, 1.0, 10.0))
    first, last = books[0].event_ns, books[-1].event_ns
    taken = pl.read_parquet(recording("l2/standx_btcusd_trades_2026-01-06.parquet")).with_columns(
        pl.col("timestamp").dt.epoch("ns")
    )
    taken = taken.filter(pl.col("timestamp").is_between(first, last))
    trades = [
        Trade("standx:TEST", at, at, price, size, side.lower(), 0, 0, 0)
        for at, price, size, side in taken.select("timestamp", "price", "quantity", "side").iter_rows()
    ]
    return sorted([*books, *trades], key=lambda event: event.event_ns)
