"""Levels of an order book as a message brings them, in the layout of schemas/levels.py."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

LITTLE = np.dtype("<i8")
NOTHING: Ints = np.frombuffer(b"", LITTLE)


class Unusable(Exception):
    """A message that cannot be applied to a book, or after which the book does not hold; ``cause`` is the proof."""

    def __init__(self, reason: str, cause: str = "error") -> None:
        super().__init__(reason)
        self.cause = cause


class Levels(NamedTuple):
    """What a message says of both sides, flat: price, size, price, size and so on; a change for each level or none."""

    price_decimals: int
    size_decimals: int
    bids: Ints
    asks: Ints
    bid_changes: Ints = NOTHING
    ask_changes: Ints = NOTHING

    @classmethod
    def read(
        cls, price_decimals: int, size_decimals: int, bids: bytes, asks: bytes, bid_changes: bytes, ask_changes: bytes
    ) -> "Levels":
        """The levels of a record's fields.

        Raises:
            Unusable: bytes are missing or left over.

        >>> Levels.read(2, 0, bytes([100, *[0] * 7, 5, *[0] * 7]), b"", b"", b"").bids.tolist()
        [100, 5]

        """
        return cls(
            price_decimals,
            size_decimals,
            _pairs(bids),
            _pairs(asks),
            _changes(bid_changes, bids),
            _changes(ask_changes, asks),
        )


def _pairs(data: bytes) -> Ints:
    if not data:
        return NOTHING
    if len(data) % 16:
        raise Unusable(f"{len(data)} bytes are no whole number of levels")
    return np.frombuffer(data, LITTLE)


def _changes(data: bytes, levels: bytes) -> Ints:
    if not data:
        return NOTHING
    if 2 * len(data) != len(levels):
        raise Unusable(f"{len(data)} bytes of changes for {len(levels)} bytes of levels")
    return np.frombuffer(data, LITTLE)
