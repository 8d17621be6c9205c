"""Levels of an order book straight out of JSON text, a whole message in one pass.

Many venues send a side as ``[["price","size"],...]``, each number with as many decimals as all others of its kind. Such
text is read by a kernel, digit by digit, without an object for each number; whatever it does not know as exactly that
goes through ``levels.scaled``, which is strict and slow. Both give the same levels. Rules:

- Both sides of a message share their decimals: as many as the venue writes, or where the numbers would not fit into
  64 bits so, the least that hold them.
- Prices are above zero, sizes at least zero.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.jit import kernel
from schemas.levels import packed, scaled
from schemas.record import Rejected

MOST_DIGITS = 18  # of a number that surely fits into 64 bits
KEPT = 256  # levels that numbers are kept for
SHORTEST = len('["1","1"],')
QUOTE, COMMA, POINT, ZERO, NINE, OPEN, CLOSE = (ord(sign) for sign in '",.09[]')
PAIRS = msgspec.json.Decoder(list[tuple[str, str]])


Sides = tuple[int, int, bytes, bytes]  # decimals of prices and sizes, bids and asks as a Depth holds them


class Reader:
    """Reads levels; one a feed.

    >>> Reader().sides(b'[["0.50","10"],["0.49","0"]]', b"[]")[:2]
    (2, 0)
    """

    def __init__(self) -> None:
        self._numbers = np.empty(2 * KEPT, np.int64)  # kept, for to make it anew would cost as much as to fill it
        self._data = self._numbers.data.cast("B")

    def sides(self, bids: "msgspec.Raw | bytes", asks: "msgspec.Raw | bytes") -> Sides:
        """Levels from the JSON text of both sides.

        Raises:
            Rejected: they are not lists of pairs of decimals as strings, or too large for 64 bits.

        """
        bids, asks = bytes(bids), bytes(asks)
        numbers, data, most = self._numbers, self._data, (len(bids) + len(asks)) // SHORTEST
        if most > KEPT:
            numbers = np.empty(2 * most, np.int64)
            data = numbers.data.cast("B")
        count, more, price_decimals, size_decimals = _read(bids, asks, numbers)
        if count < 0:
            return _slowly(bids, asks)
        middle, end = 16 * count, 16 * (count + more)
        return price_decimals, size_decimals, data[:middle].tobytes(), data[middle:end].tobytes()


@kernel
def _read(bids: bytes, asks: bytes, numbers: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """Levels of each side and both decimals, the numbers themselves into ``numbers``; -1 levels for unknown text."""
    bid_levels, price_decimals, size_decimals = _side(bids, numbers, -1, -1)
    if bid_levels < 0:
        return -1, 0, 0, 0
    ask_levels, price_decimals, size_decimals = _side(asks, numbers[2 * bid_levels :], price_decimals, size_decimals)
    if ask_levels < 0:
        return -1, 0, 0, 0
    return bid_levels, ask_levels, max(price_decimals, 0), max(size_decimals, 0)


@kernel
def _side(text: bytes, numbers: NDArray[np.int64], price_decimals: int, size_decimals: int) -> tuple[int, int, int]:
    """Levels of a side and both decimals, which must be those given unless they are -1; -1 levels for unknown text."""
    last = len(text) - 1
    if last < 1 or text[0] != OPEN or text[last] != CLOSE:
        return -1, 0, 0
    levels, at = 0, 1
    while at < last:
        price, decimals, at = _decimal(text, at + 1 if text[at] == OPEN else last)
        if price <= 0 or text[at] != COMMA or price_decimals not in (-1, decimals):
            return -1, 0, 0
        price_decimals = decimals
        size, decimals, at = _decimal(text, at + 1)
        if size < 0 or text[at] != CLOSE or size_decimals not in (-1, decimals):
            return -1, 0, 0
        size_decimals = decimals
        numbers[2 * levels], numbers[2 * levels + 1] = price, size
        levels, at = levels + 1, at + 1
        if at < last:
            at = at + 1 if text[at] == COMMA and at + 1 < last else last + 1
    return levels if at == last else -1, price_decimals, size_decimals


@kernel
def _decimal(text: bytes, at: int) -> tuple[int, int, int]:
    """A number in quotes without its point, its decimals, and where it has ended; -1 for anything else.

    The last character of ``text`` is a bracket, so the end is met before it is overrun.
    """
    if text[at] != QUOTE:
        return -1, 0, at
    at += 1
    number, digits, point = 0, 0, -1
    while ZERO <= text[at] <= NINE or (text[at] == POINT and point < 0 < digits):
        if text[at] == POINT:
            point = digits
        else:
            number = 10 * number + (text[at] - ZERO)
            digits += 1
        at += 1
    decimals = 0 if point < 0 else digits - point
    if text[at] != QUOTE or not 0 < digits <= MOST_DIGITS or point == digits:
        return -1, 0, at
    return number, decimals, at + 1


def _slowly(bids: bytes, asks: bytes) -> Sides:
    try:
        levels = PAIRS.decode(bids), PAIRS.decode(asks)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Rejected(f"unreadable levels: {error}") from error
    pairs = [*levels[0], *levels[1]]
    prices, sizes = scaled([price for price, _ in pairs]), scaled([size for _, size in pairs])
    if min(prices.numbers, default=1) <= 0 or min(sizes.numbers, default=0) < 0:
        raise Rejected(f"a level without a positive price or with a negative size: {pairs[:5]}")
    both: Sequence[tuple[int, int]] = list(zip(prices.numbers, sizes.numbers, strict=True))
    count = len(levels[0])
    return prices.decimals, sizes.decimals, packed(both[:count]), packed(both[count:])


Reader().sides(b"[]", b"[]")  # compiles the kernels, or takes them from the cache, before any venue waits for it
