"""Units of a market maker's figures as types, so that a number of one unit cannot be passed for another.

USD stands for the quote currency of the market, whatever that is.
"""

import math
from typing import NewType

Usd = NewType("Usd", float)
PerUsd = NewType("PerUsd", float)  # kappa and gamma
PerSecond = NewType("PerSecond", float)  # rates of trades and fills
Seconds = NewType("Seconds", float)
Base = NewType("Base", float)  # base units: a position is above 0 when long
PerRootSecond = NewType("PerRootSecond", float)  # sigma of log returns
UsdPerRootSecond = NewType("UsdPerRootSecond", float)  # sigma of the price


def in_usd(sigma: PerRootSecond, mid: Usd) -> UsdPerRootSecond:
    """The volatility of the price where that of its log returns is known, to first order.

    >>> in_usd(PerRootSecond(2e-5), Usd(4_000.0))
    0.08
    """
    return UsdPerRootSecond(sigma * mid)


def require(name: str, value: float, positive: bool) -> None:
    """See that a figure is finite and has the sign it must.

    Raises:
        ValueError: it is or has not, with its name.

    """
    if not (math.isfinite(value) and (value > 0.0 if positive else value >= 0.0)):
        raise ValueError(f"{name} must be finite and {'above 0' if positive else 'not below 0'}, not {value}")
