"""Prices that lie too far from an instrument's recent ones.

A price is an outlier when its log return from the last good price exceeds ``factor`` times the exponentially weighted
mean of absolute returns (weight ``WEIGHT`` a price), and ``LEAST`` at any rate. It moves neither the price nor the
mean; but ``ACCEPTED`` outliers in a row are a new level, not an error, and the last of them is taken as good.
"""

import math
from dataclasses import dataclass
from typing import Any

from schemas.jit import shared

WEIGHT = 0.02
LEAST = 1e-3
ACCEPTED = 3


@dataclass  # without slots, so that a state may have it as one of its bases
class Prices:
    """What is known of an instrument's prices."""

    price: float = 0.0  # last good one; 0 before the first
    spread: float = 0.0  # mean absolute log return
    run: int = 0  # outliers in a row


@shared
def is_outlier(state: Any, price: float, factor: float) -> bool:
    """Take a price and judge it.

    >>> state = Prices()
    >>> [is_outlier(state, price, 10.0) for price in (100.0, 100.01, 150.0, 100.02)]
    [False, False, True, False]
    """
    if price <= 0.0:
        return False
    if state.price == 0.0:
        state.price = price
        return False
    move = abs(math.log(price / state.price))
    if move > max(LEAST, factor * state.spread):
        state.run += 1
        if state.run >= ACCEPTED:
            state.price, state.run = price, 0
        return True
    state.price, state.run = price, 0
    state.spread += WEIGHT * (move - state.spread)
    return False
