"""Order books from PyPI over one stream, each fed as it likes best; run in the peers' environment by bench/books.py.

    python -m bench.contestants.order_books STREAM

Prints JSON: for each peer the seconds of processor time with inputs made beforehand, the seconds from the bytes of the
records on, and a digest of the best levels after every message.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from nautilus_trader.model.book import OrderBook as NautilusBook
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas
from nautilus_trader.model.enums import BookAction, BookType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity
from order_book import OrderBook
from sortedcontainers import SortedDict

Sides = tuple[list[list[int]], list[list[int]]]
Best = tuple[int, int, int, int]


class Stream(msgspec.Struct):
    """Packed levels, all with the same decimals."""

    price_decimals: int
    size_decimals: int
    messages: list[tuple[bytes, bytes]]


def sides(message: tuple[bytes, bytes]) -> Sides:
    """Levels of a message as pairs of integers."""
    bids, asks = (np.frombuffer(side, "<i8").reshape(-1, 2).tolist() for side in message)
    return bids, asks


class Sorted:
    """sortedcontainers: a sorted dict a side."""

    def __init__(self, _: Stream) -> None:
        self.bids, self.asks = SortedDict(), SortedDict()

    prepare = staticmethod(sides)

    def take(self, message: Sides) -> Any:
        for book, levels in zip((self.bids, self.asks), message, strict=True):
            for price, size in levels:
                if size:
                    book[price] = size
                else:
                    book.pop(price, None)
        return self.bids.peekitem(-1), self.asks.peekitem(0)

    @staticmethod
    def best(found: Any) -> Best:
        return *found[0], *found[1]


class InC:
    """order-book: dicts in C that are sorted when they are looked at."""

    def __init__(self, _: Stream) -> None:
        book = OrderBook()
        self.bids, self.asks = book.bids, book.asks

    prepare = staticmethod(sides)

    def take(self, message: Sides) -> Any:
        for book, levels in zip((self.bids, self.asks), message, strict=True):
            for price, size in levels:
                if size:
                    book[price] = size
                elif price in book:
                    del book[price]
        return self.bids.index(0), self.asks.index(0)

    best = staticmethod(Sorted.best)


class Nautilus:
    """nautilus_trader: a book in Rust."""

    def __init__(self, stream: Stream) -> None:
        self.name = InstrumentId.from_str("BENCH.BENCH")
        self.book = NautilusBook(self.name, BookType.L2_MBP)
        self.price_decimals, self.size_decimals = stream.price_decimals, stream.size_decimals
        self.price_unit, self.size_unit = 10**stream.price_decimals, 10**stream.size_decimals

    def prepare(self, message: tuple[bytes, bytes]) -> Any:
        deltas = [
            self._delta(side, price, size)
            for side, levels in zip((OrderSide.BUY, OrderSide.SELL), sides(message), strict=True)
            for price, size in levels
        ]
        return OrderBookDeltas(self.name, deltas) if deltas else None

    def take(self, message: Any) -> Any:
        book = self.book
        if message is not None:
            book.apply_deltas(message)
        return book.best_bid_price(), book.best_bid_size(), book.best_ask_price(), book.best_ask_size()

    def best(self, found: Any) -> Best:
        units = (self.price_unit, self.size_unit) * 2
        bid, bid_size, ask, ask_size = (int(Decimal(str(each)) * unit) for each, unit in zip(found, units, strict=True))
        return bid, bid_size, ask, ask_size

    def _delta(self, side: OrderSide, price: int, size: int) -> OrderBookDelta:
        order = BookOrder(
            side,
            Price(price / self.price_unit, self.price_decimals),
            Quantity(size / self.size_unit, self.size_decimals),
            0,
        )
        return OrderBookDelta(self.name, BookAction.UPDATE if size else BookAction.DELETE, order, 0, 0, 0, 0)


PEERS = {"sortedcontainers": Sorted, "order-book (C)": InC, "nautilus_trader (Rust)": Nautilus}


def timed(peer: Any, inputs: Iterable[Any], prepare: Callable[[Any], Any] | None = None) -> float:
    """Seconds of processor time to take all inputs."""
    take = peer.take
    began = time.process_time()
    if prepare is None:
        for each in inputs:
            take(each)
    else:
        for each in inputs:
            take(prepare(each))
    return time.process_time() - began


def digest(bests: Iterable[Best]) -> str:
    """One digest of all best levels."""
    return hashlib.sha256(repr(list(bests)).encode()).hexdigest()


def main() -> None:
    """Run every peer once, after a run that does not count."""
    stream = msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Stream)
    found = {}
    for name, kind in PEERS.items():
        first = kind(stream)
        inputs = [first.prepare(message) for message in stream.messages]
        bests = digest(first.best(first.take(each)) for each in inputs)
        prepared = timed(kind(stream), inputs)
        whole = kind(stream)
        found[name] = (prepared, timed(whole, stream.messages, whole.prepare), bests)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
