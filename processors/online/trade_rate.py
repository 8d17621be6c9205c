"""Trades a second: the simplest intensity. It is no decay and has another unit: it cannot stand in ln(1 + gamma/kappa).

The 90 % interval is exact for a Poisson count: its ends are quantiles of gamma distributions.
"""

from typing import NamedTuple

from scipy.special import gammaincinv

from processors.online.units import PerSecond, Seconds, require


class TradeRate(NamedTuple):
    """Trades a second, with a 90 % interval."""

    rate: PerSecond
    low: PerSecond
    high: PerSecond


def trade_rate(trades: int, time: Seconds) -> TradeRate:
    """The rate of so many trades in some time.

    Raises:
        ValueError: the time is not above 0.

    >>> [round(float(value), 4) for value in trade_rate(100, Seconds(50.0))]
    [2.0, 1.6828, 2.3616]

    """
    require("time", time, positive=True)
    low = gammaincinv(trades, 0.05) if trades else 0.0
    return TradeRate(
        PerSecond(trades / time), PerSecond(float(low) / time), PerSecond(float(gammaincinv(trades + 1, 0.95)) / time)
    )
