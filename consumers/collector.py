"""Books and trades as CSV files: a row a snapshot with 20 levels a side, a row a trade.

    orderbook_depth.csv  timestamp_ms,datetime,market,seq,bid_price0,bid_qty0,ask_price0,ask_qty0,bid_price1,…
    trades.csv           timestamp_ms,datetime,market,trade_id,side,price,qty

Times are the venue's. Prices and sizes of books are exact decimals as the venue tells them; a level that a book lacks
leaves its cells empty. A book that is not valid is not written. The files read back with consumers/backtest/tables.py.
"""

from datetime import UTC, datetime
from pathlib import Path

from consumers.collector_files import CsvFile
from schemas import Book, Trade
from schemas.levels import unpacked

LEVELS = 20
BOOKS_FILE, TRADES_FILE = "orderbook_depth.csv", "trades.csv"
COLUMNS = ("timestamp_ms", "datetime", "market")
BOOKS_HEADER = (
    *COLUMNS, "seq",
    *(f"{side}_{what}{level}" for level in range(LEVELS) for side in ("bid", "ask") for what in ("price", "qty")),
)  # fmt: skip
TRADES_HEADER = (*COLUMNS, "trade_id", "side", "price", "qty")
MILLISECOND = 1_000_000


class Collector:
    """Two files that records are written to."""

    def __init__(self, folder: Path) -> None:
        self.books = CsvFile(folder / BOOKS_FILE, BOOKS_HEADER)
        self.trades = CsvFile(folder / TRADES_FILE, TRADES_HEADER)

    def take(self, record: object) -> None:
        """Write a book or a trade; other records are none of ours."""
        if isinstance(record, Book) and record.valid:
            self.books.write(book_row(record))
        elif isinstance(record, Trade):
            self.trades.write(trade_row(record))

    def close(self) -> None:
        """Write what is left."""
        self.books.close()
        self.trades.close()


def book_row(book: Book) -> list[object]:
    """A snapshot's cells."""
    row = [*_when(book.event_ns), _market(book.instrument), book.sequence]
    sides = [unpacked(data).tolist() for data in (book.bids, book.asks)]
    for level in range(LEVELS):
        for side in sides:
            if level < len(side):
                price, size = side[level]
                row += [exact(price, book.price_decimals), exact(size, book.size_decimals)]
            else:
                row += ["", ""]
    return row


def trade_row(trade: Trade) -> list[object]:
    """A trade's cells."""
    when = _when(trade.event_ns)
    return [*when, _market(trade.instrument), trade.trade_id, trade.side, repr(trade.price), repr(trade.size)]


def exact(scaled: int, decimals: int) -> str:
    """A scaled number as a decimal.

    >>> exact(100500, 3), exact(5, 0), exact(7, 2)
    ('100.5', '5', '0.07')
    """
    whole, rest = divmod(scaled, int(10**decimals))
    digits = f"{rest:0{decimals}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def _when(event_ns: int) -> list[object]:
    ms = event_ns // MILLISECOND
    moment = datetime.fromtimestamp(ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return [ms, f"{moment}.{ms % 1_000:03d}Z"]


def _market(instrument: str) -> str:
    return instrument.partition(":")[2] or instrument
