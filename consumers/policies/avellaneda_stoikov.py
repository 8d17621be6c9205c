"""Quotes of Avellaneda and Stoikov, "High-frequency trading in a limit order book" (2008).

    r     = mid - q gamma sigma^2 T                                  reservation price, USD
    delta = (1/gamma) ln(1 + gamma/kappa) + 1/2 gamma sigma^2 T      half spread, USD
    bid   = r - delta        ask = r + delta

mid in USD; q, the position, in base units; gamma, the risk aversion, in 1/USD; sigma in USD/s^(1/2) (a volatility of
returns goes through ``in_usd``); T in seconds; kappa, by which the rate of fills falls with the distance, in 1/USD. A
count of trades a second is no kappa. delta is half of the paper's optimal spread. Without risk aversion r is the mid
and delta 1/kappa.

Two terms of our own, off unless asked for:

    funding    r     falls by weight rate mid T / interval: what a long pays for holding one unit for T
    markouts   delta of a side grows by weight max(0, -markout): what its last fills lost to those who knew more
"""

import math
from dataclasses import dataclass
from typing import Literal

from processors.online.units import Base, PerUsd, Seconds, Usd, UsdPerRootSecond, require

Reading = Literal["paper", "origin"]  # origin: r = mid + q gamma sigma^2 T / 2, as the seed's own source has it
READINGS: dict[str, float] = {"paper": -1.0, "origin": 0.5}
HOUR, NOTHING = Seconds(3_600.0), Usd(0.0)


@dataclass(frozen=True, slots=True)
class Terms:
    """What else moves the quotes; each weight 0 leaves its term out."""

    reading: Reading = "paper"
    funding_weight: float = 0.0
    markout_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.reading not in READINGS:
            raise ValueError(f"reading must be paper or origin, not {self.reading!r}")
        for name in ("funding_weight", "markout_weight"):
            require(name, getattr(self, name), positive=False)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known when quotes are wanted."""

    mid: Usd
    position: Base
    sigma: UsdPerRootSecond
    kappa: PerUsd
    gamma: PerUsd
    horizon: Seconds
    funding_rate: float = 0.0  # share of notional that longs pay at the end of an interval; negative: they receive
    funding_interval: Seconds = HOUR
    bid_markout: Usd = NOTHING  # mean move of the mid in our favour after a fill of the bid; negative: against us
    ask_markout: Usd = NOTHING

    def __post_init__(self) -> None:
        for name in ("mid", "kappa", "funding_interval"):
            require(name, getattr(self, name), positive=True)
        for name in ("sigma", "gamma", "horizon"):
            require(name, getattr(self, name), positive=False)
        for name in ("position", "funding_rate", "bid_markout", "ask_markout"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Quotes:
    """Both sides, unrounded; far from the mid a bid can be negative."""

    reservation: Usd
    half_spread: Usd  # without what markouts add
    bid: Usd
    ask: Usd


PLAIN = Terms()


def quotes(inputs: Inputs, terms: Terms = PLAIN) -> Quotes:
    """The quotes for a state of the market and of the position.

    Raises:
        ValueError: an input is not finite or has the wrong sign, or the quotes would not be finite.

    >>> made = quotes(Inputs(Usd(100.0), Base(5.0), UsdPerRootSecond(2.0), PerUsd(1.5), PerUsd(0.1), Seconds(0.5)))
    >>> made.reservation, round(made.half_spread, 6), round(made.bid, 6), round(made.ask, 6)
    (99.0, 0.745385, 98.254615, 99.745385)

    """
    middle = reservation_price(inputs.mid, inputs.position, inputs.gamma, inputs.sigma, inputs.horizon, terms.reading)
    middle = Usd(middle - terms.funding_weight * funding(inputs))
    half = half_spread(inputs.gamma, inputs.kappa, inputs.sigma, inputs.horizon)
    bid = middle - half - terms.markout_weight * max(0.0, -inputs.bid_markout)
    ask = middle + half + terms.markout_weight * max(0.0, -inputs.ask_markout)
    if not (math.isfinite(bid) and math.isfinite(ask)):
        raise ValueError(f"no finite quotes follow from {inputs}")
    return Quotes(middle, half, Usd(bid), Usd(ask))


def reservation_price(
    mid: Usd, position: Base, gamma: PerUsd, sigma: UsdPerRootSecond, horizon: Seconds, reading: Reading = "paper"
) -> Usd:
    """The price at which one unit more is worth as much as it costs.

    >>> reservation_price(Usd(100.0), Base(2.0), PerUsd(0.5), UsdPerRootSecond(2.0), Seconds(1.0))
    96.0
    """
    return Usd(mid + READINGS[reading] * position * gamma * sigma**2 * horizon)


def half_spread(gamma: PerUsd, kappa: PerUsd, sigma: UsdPerRootSecond, horizon: Seconds) -> Usd:
    """Distance of each quote from the reservation price.

    >>> half_spread(PerUsd(0.0), PerUsd(4.0), UsdPerRootSecond(2.0), Seconds(1.0))
    0.25
    """
    return Usd(liquidity(gamma, kappa) + 0.5 * gamma * sigma**2 * horizon)


def liquidity(gamma: PerUsd, kappa: PerUsd) -> Usd:
    """What the shape of the flow alone asks for: (1/gamma) ln(1 + gamma/kappa), and 1/kappa as gamma goes to 0."""
    ratio = gamma / kappa
    return Usd(math.log1p(ratio) / gamma if ratio >= _SMALL else (1.0 - ratio / 2.0) / kappa)


_SMALL = 1e-12  # below, the series' third term is lost in the last bit; the quotient would lose bits to tiny gammas


def funding(inputs: Inputs) -> Usd:
    """What a long of one unit pays over the horizon, as accrued."""
    return Usd(inputs.funding_rate * inputs.mid * inputs.horizon / inputs.funding_interval)
