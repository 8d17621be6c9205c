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
FIRST = 256  # levels that there is room for at first
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
        self._make_room(FIRST)

    def sides(self, bids: "msgspec.Raw | bytes", asks: "msgspec.Raw | bytes") -> Sides:
        """Levels from both sides, each a JSON value.

        Raises:
            Rejected: they are not lists of pairs of decimals as strings, or too large for 64 bits.

        """
        text = b"".join((bids, asks))
        if len(text) > self._longest:
            self._make_room(len(text) // SHORTEST + 1)
        data = self._data
        middle, end, price_decimals, size_decimals = _read(text, self._numbers)
        if middle < 0:
            return _slowly(bytes(bids), bytes(asks))
        return (
            price_decimals,
            size_decimals,
            data[:middle].tobytes() if middle else b"",
            data[middle:end].tobytes() if middle < end else b"",
        )

    def _make_room(self, levels: int) -> None:
        """Room for the numbers of so many levels; kept, for to make it anew would cost as much as to fill it."""
        self._longest = levels * SHORTEST
        self._numbers = np.empty(2 * levels, np.int64)
        self._data = self._numbers.data.cast("B")


@kernel
def _read(text: bytes, numbers: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """Where the bytes of bids and of asks end in ``numbers``, and both decimals; -1 for unknown text."""
    if len(text) < 4 or text[len(text) - 1] != CLOSE:
        return -1, 0, 0, 0
    bids, at, price_decimals, size_decimals = _side(text, 0, numbers, 0, -1, -1)
    if bids < 0 or at == len(text):
        return -1, 0, 0, 0
    levels, at, price_decimals, size_decimals = _side(text, at, numbers, bids, price_decimals, size_decimals)
    if levels < 0 or at != len(text):
        return -1, 0, 0, 0
    return 16 * bids, 16 * levels, max(price_decimals, 0), max(size_decimals, 0)


@kernel
def _side(
    text: bytes, at: int, numbers: NDArray[np.int64], levels: int, price_decimals: int, size_decimals: int
) -> tuple[int, int, int, int]:
    """Read the side that begins at ``at``: levels with its own, where it has ended, both decimals.

    Decimals must be those given unless they are -1. Unknown text gives -1 levels. The last character of ``text`` is a
    bracket that closes, so the end is met before it is overrun.
    """
    if text[at] != OPEN or text[at + 1] == CLOSE:
        return levels if text[at] == OPEN else -1, at + 2, price_decimals, size_decimals
    sign = COMMA
    while sign == COMMA:
        if text[at + 1] != OPEN:
            return -1, 0, 0, 0
        price, decimals, at = _decimal(text, at + 2)
        if price <= 0 or text[at] != COMMA or price_decimals not in (-1, decimals):
            return -1, 0, 0, 0
        price_decimals = decimals
        size, decimals, at = _decimal(text, at + 1)
        if size < 0 or text[at] != CLOSE or size_decimals not in (-1, decimals) or at + 1 == len(text):
            return -1, 0, 0, 0
        size_decimals = decimals
        numbers[2 * levels], numbers[2 * levels + 1] = price, size
        levels, at = levels + 1, at + 1
        sign = text[at]
    return levels if sign == CLOSE else -1, at + 1, price_decimals, size_decimals


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
