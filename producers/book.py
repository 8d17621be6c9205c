"""An exact order book that knows its best levels: prices as decimals, so no level is lost to rounding.

Each side keeps its prices in a heap besides the levels themselves; deleted prices are dropped from the heap when they
come up, and the heap is made anew when more than half of it is such waste. A change costs O(log n) on average.
"""

import heapq
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

Level = tuple[Decimal, float]  # price in quote currency, size in base units


class Quote(NamedTuple):
    """The best level of each side."""

    bid: Decimal
    bid_size: float
    ask: Decimal
    ask_size: float


class Side:
    """The levels of one side; ``sign`` is -1 for bids, whose best price is the highest, and 1 for asks.

    >>> bids = Side(-1, [(Decimal("10"), 1.0), (Decimal("11"), 2.0)])
    >>> bids.put(Decimal("11.00"), 0.0)
    >>> bids.best()
    (Decimal('10'), 1.0)
    """

    def __init__(self, sign: int, levels: Iterable[Level] = ()) -> None:
        self._sign = sign
        self._sizes = {price: size for price, size in levels if size > 0.0}
        self._heap: list[Decimal] = []
        self._rebuild()

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, price: Decimal, size: float) -> None:
        """Set the size at a price; 0 removes the level."""
        if size <= 0.0:
            self._sizes.pop(price, None)
            return
        if price not in self._sizes:
            heapq.heappush(self._heap, self._sign * price)
        self._sizes[price] = size

    def best(self) -> Level | None:
        """The best level; None for an empty side."""
        if len(self._heap) > 2 * len(self._sizes) + 64:
            self._rebuild()
        while self._heap:
            price = self._sign * self._heap[0]
            if price in self._sizes:
                return price, self._sizes[price]
            heapq.heappop(self._heap)
        return None

    def _rebuild(self) -> None:
        self._heap = [self._sign * price for price in self._sizes]
        heapq.heapify(self._heap)


class Book:
    """Both sides."""

    def __init__(self, bids: Iterable[Level] = (), asks: Iterable[Level] = ()) -> None:
        self.bids = Side(-1, bids)
        self.asks = Side(1, asks)

    def best(self) -> Quote | None:
        """The best levels, crossed or not; None while a side is empty."""
        bid, ask = self.bids.best(), self.asks.best()
        return None if bid is None or ask is None else Quote(*bid, *ask)
