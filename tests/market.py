"""Books and trades of one market, in whole numbers: prices of one decimal, sizes of two."""

from schemas import Book, Trade
from schemas.levels import packed
from tests.orders import ETH

MS = 1_000_000
SECOND = 1_000 * MS
START = 1_000 * SECOND
Pairs = list[tuple[int, int]]


def book(bids: Pairs, asks: Pairs, ms: float = 0.0, known: int | None = None) -> Book:
    """A book, ``ms`` after START, of which ``known`` levels a side are known, those given by default."""
    counts = (len(bids), len(asks)) if known is None else (known, known)
    event_ns = START + round(ms * MS)
    sides = packed(bids), packed(asks)
    return Book(ETH, event_ns, True, "", event_ns, 1, 1, 2, *sides, *counts, 0.0, 1.0, 1.0, 10.0)


def broken(ms: float = 0.0) -> Book:
    """The book's word that it is not valid."""
    return Book(ETH, START + round(ms * MS), False, "sequence: lost", 0, 1, 1, 2, b"", b"", 0, 0, 0.0, 0.0, 0.0, 10.0)


def trade(price: int, size: int, side: str = "sell", ms: float = 0.0) -> Trade:
    """A trade of others; ``side`` is the taker's."""
    event_ns = START + round(ms * MS)
    return Trade(ETH, event_ns, event_ns, price / 10, size / 100, side, 1, 1, 1)
