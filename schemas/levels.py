"""Levels of an order book as bytes: exact decimals, as whole numbers of a power of ten.

A level is a pair (price, size) of 64-bit little-endian integers; what one stands for is said by ``price_decimals`` and
``size_decimals`` of the record that holds it. Levels of one message share the least number of decimals that holds them
all exactly. The changes of their sizes, where a venue tells them, are one such integer a level, in the same order.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.record import Rejected

Levels = NDArray[np.int64]  # shape (levels, 2): price, size
# Stricter than int() and float(), which also take "nan", "1_000" and blanks.
DECIMAL = re.compile(r"(-?)([0-9]{1,30})(?:\.([0-9]{1,30}))?", re.ASCII).fullmatch
LARGEST = 2**63 - 1


class Scaled(NamedTuple):
    """Decimals as whole numbers of 10^-``decimals``."""

    numbers: list[int]
    decimals: int


def scaled(texts: Sequence[str], least: int = 0) -> Scaled:
    """Decimal strings on one grid, of at least ``least`` decimals.

    Raises:
        Rejected: one is no decimal, or too large for 64 bits on the grid that the finest of them needs.

    >>> scaled(["0.50", "12", "-3.125"])
    Scaled(numbers=[500, 12000, -3125], decimals=3)

    """
    parts: list[tuple[str, str, str]] = []
    for text in texts:
        found = DECIMAL(text)
        if found is None:
            raise Rejected(f"{text[:50]!r} is not a decimal number")
        sign, whole, fraction = found.groups("")
        parts.append((sign, whole, fraction.rstrip("0")))
    decimals = max([least, *(len(fraction) for _, _, fraction in parts)])
    numbers = [int(sign + whole + fraction.ljust(decimals, "0")) for sign, whole, fraction in parts]
    for number, text in zip(numbers, texts, strict=True):
        if abs(number) > LARGEST:
            raise Rejected(f"{text[:50]} with {decimals} decimals does not fit into 64 bits")
    return Scaled(numbers, decimals)


def packed(pairs: Iterable[tuple[int, int]]) -> bytes:
    """Levels as bytes.

    >>> packed([(1, 2)]).hex()
    '01000000000000000200000000000000'
    """
    return np.array(list(pairs), "<i8").tobytes()


def packed_changes(sizes: Iterable[int]) -> bytes:
    """By how much the size of each level changes, as bytes.

    >>> packed_changes([-1, 2]).hex()
    'ffffffffffffffff0200000000000000'
    """
    return np.array(list(sizes), "<i8").tobytes()


def unpacked(data: bytes) -> Levels:
    """Levels from bytes, shape (levels, 2).

    Raises:
        Rejected: the bytes are no whole number of levels.

    >>> unpacked(packed([(1, 2), (3, 4)])).tolist()
    [[1, 2], [3, 4]]

    """
    if len(data) % 16:
        raise Rejected(f"levels of {len(data)} bytes, which is no multiple of 16")
    return np.frombuffer(data, "<i8").reshape(-1, 2)
