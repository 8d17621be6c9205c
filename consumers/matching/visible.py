"""The displayed levels of one side of a book, and what of them has been taken already."""

from collections.abc import Iterator

import numpy as np

from consumers.matching.resting import UNKNOWN

MOST = 20  # levels of a side in a Book: behind so many there may be more, also where the venue tells no more


class Visible:
    """Best levels first. What a taker takes is gone until the book is shown again.

    Levels are (price, size) pairs as in schemas/levels.py; ``known`` says how many of the side are known in all.

    >>> from schemas.levels import packed
    >>> asks = Visible(False)
    >>> asks.show(packed([(101, 5), (103, 2)]), 2, 1, 1)
    >>> asks.best(), asks.displayed(101), asks.displayed(102), list(asks.within(103))
    (101, 5, 0, [(101, 5), (103, 2)])
    >>> asks.take(101, 4)
    >>> list(asks.within(102))
    [(101, 1)]
    """

    __slots__ = ("_levels", "buy", "data", "known", "price_factor", "size_factor", "taken")

    def __init__(self, buy: bool) -> None:
        self.buy = buy
        self.show(b"", 0, 1, 1)

    def show(self, data: bytes, known: int, price_factor: int, size_factor: int) -> None:
        """Take a side as the book shows it; the factors bring its numbers to the venue's."""
        self.data, self.known = data, known
        self.price_factor, self.size_factor = price_factor, size_factor
        self.taken: dict[int, int] = {}
        self._levels: tuple[list[int], list[int]] | None = None

    def refine(self, price_factor: int, size_factor: int) -> None:
        """Go on with finer numbers."""
        self.price_factor *= price_factor
        self.size_factor *= size_factor
        self.taken = {price * price_factor: size * size_factor for price, size in self.taken.items()}
        self._levels = None

    def best(self) -> int:
        """The best price that is displayed; 0 for an empty side."""
        return int.from_bytes(self.data[:8], "little") * self.price_factor

    def displayed(self, price: int) -> int:
        """The size displayed at a price; UNKNOWN beyond the last level where there may be more."""
        prices, sizes = self._read()
        if price in prices:
            return sizes[prices.index(price)]
        beyond = not prices or (price < prices[-1] if self.buy else price > prices[-1])
        return UNKNOWN if beyond and (self.known > len(prices) or len(prices) >= MOST) else 0

    def within(self, limit: int) -> Iterator[tuple[int, int]]:
        """The levels up to a price, with what is left of each."""
        for price, size in zip(*self._read(), strict=True):
            if (price < limit) if self.buy else (price > limit):
                return
            left = size - self.taken.get(price, 0)
            if left > 0:
                yield price, left

    def take(self, price: int, size: int) -> None:
        """Have some of a level's size taken."""
        self.taken[price] = self.taken.get(price, 0) + size

    def _read(self) -> tuple[list[int], list[int]]:
        if self._levels is None:
            flat = np.frombuffer(self.data, "<i8")
            self._levels = (flat[0::2] * self.price_factor).tolist(), (flat[1::2] * self.size_factor).tolist()
        return self._levels
