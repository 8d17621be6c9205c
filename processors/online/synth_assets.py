"""The assets of the Synth subnet as data: whose prices are the truth, market hours, weights and the model's parameters.

- ``source``: feed and symbol whose one-minute closes the subnet has scored by since 2026-07-23.
- ``calendar``: hours of the market behind the price, by its name in exchange_calendars; perpetuals trade all night, but
  quietly. ``off_hours`` is what volatility is multiplied by when that market is shut; empty: it never is.
- ``weight``: in the rolling average of scores. ``reference_sigma``: volatility per square root of an hour in the
  subnet's reference miner, which has no entry for SPCX and takes 0.005 there.
- ``day`` and ``hour``: the model for paths of a day and of an hour, the same for all assets: chosen by CRPS
  on days before those that docs/synth.md measures.
"""

import math
from typing import NamedTuple

from processors.online.synth_rules import CRYPTO, OTHERS

HOUR_S = 3_600


class Model(NamedTuple):
    """Parameters of the forecast."""

    half_life_1m: float  # minutes: of the EWMA over one-minute bars
    half_life_5m: float  # bars of five minutes: of the EWMA over those
    nu: float  # degrees of freedom of the shocks
    blend: float  # minutes of horizon after which the fast state weighs half of what it did
    fast_weight: float  # of the fast state at the start
    slow_weight: float  # of the slow state in what the fast one leaves; the rest is the anchor's


class Asset(NamedTuple):
    """One asset."""

    name: str
    source: str
    weight: float
    reference_sigma: float
    day: Model
    hour: Model
    calendar: str = ""
    off_hours: float = 1.0

    def model(self, length_s: int) -> Model:
        """The model for paths of a length."""
        return self.hour if length_s <= HOUR_S else self.day

    def half_lives_s(self) -> dict[str, float]:
        """The half-lives of the variances that forecasts start from, as a VolatilityState names them."""
        day, hour = self.day, self.hour
        return {
            "fast_half_life_s": day.half_life_1m * 60.0,
            "slow_half_life_s": day.half_life_5m * 300.0,
            "hour_fast_half_life_s": hour.half_life_1m * 60.0,
            "hour_slow_half_life_s": hour.half_life_5m * 300.0,
        }

    @property
    def warm_up_minutes(self) -> int:
        """History to have before the first forecast: 72 h, or 5 days where the market shuts."""
        return (5 if self.calendar else 3) * 1_440


FEWEST_MINUTES = 10  # with a bar in the last day, for a state to be warm
ANCHOR = 5_760.0  # bars of five minutes, 20 days: the half-life of what volatility returns to
USUAL = Model(16.0, 107.0, 15.0, 10_080.0, 0.77, 0.74)
USUAL_HOUR = Model(5.0, 34.0, 8.0, 10_080.0, 0.77, 0.66)
NEW_YORK, CHICAGO = "XNYS", "CMES"  # CMES: the electronic hours of gold and oil futures
SHUT = 0.6

ASSETS = {
    asset.name: asset
    for asset in (
        Asset("BTC", "binance:BTCUSDT", 1.0, 0.00541, USUAL, USUAL_HOUR),
        Asset("ETH", "binance:ETHUSDT", 0.7064366394033871, 0.00766, USUAL, USUAL_HOUR),
        Asset("SOL", "binance:SOLUSDT", 0.6310037175639559, 0.00858, USUAL, USUAL_HOUR),
        Asset("XRP", "binance:XRPUSDT", 0.5658394110809131, 0.00956, USUAL, USUAL_HOUR),
        Asset("HYPE", "hyperliquid:@107", 0.4784547133706857, 0.01131, USUAL, USUAL_HOUR),
        Asset("XAU", "hyperliquid:xyz:GOLD", 1.7370922597118699, 0.00312, USUAL, USUAL_HOUR, CHICAGO, SHUT),
        Asset("SP500", "hyperliquid:xyz:SP500", 3.437935601155441, 0.00157, USUAL, USUAL_HOUR, NEW_YORK, SHUT),
        Asset("NVDAX", "hyperliquid:xyz:NVDA", 1.6028217601617174, 0.00338, USUAL, USUAL_HOUR, NEW_YORK, SHUT),
        Asset("TSLAX", "hyperliquid:xyz:TSLA", 1.6068755936957768, 0.00337, USUAL, USUAL_HOUR, NEW_YORK, SHUT),
        Asset("AAPLX", "hyperliquid:xyz:AAPL", 2.0916380815843123, 0.00259, USUAL, USUAL_HOUR, NEW_YORK, SHUT),
        Asset("GOOGLX", "hyperliquid:xyz:GOOGL", 1.6827392777257926, 0.00322, USUAL, USUAL_HOUR, NEW_YORK, SHUT),
        Asset("WTIOIL", "hyperliquid:xyz:CL", 0.8475062847978935, 0.00639, USUAL, USUAL_HOUR, CHICAGO, SHUT),
        Asset("SPCX", "hyperliquid:xyz:SPCX", 0.4329342627683478, 0.005, USUAL, USUAL_HOUR, NEW_YORK, SHUT),
    )
}


def asset(name: str) -> Asset:
    """An asset by its name.

    Raises:
        ValueError: there is none of that name.

    """
    if name not in ASSETS:
        raise ValueError(f"asset: {name!r} is none of {', '.join(ASSETS)}")
    return ASSETS[name]


def check(found: Asset) -> Asset:
    """The asset, when its values make sense.

    >>> check(ASSETS["BTC"]._replace(hour=USUAL_HOUR._replace(nu=2.0)))
    Traceback (most recent call last):
    ...
    ValueError: BTC: hour.nu: 2.0 is not above 2, so that shocks have no variance
    """
    parameters = {
        f"{kind}.{name}": value
        for kind, model in (("day", found.day), ("hour", found.hour))
        for name, value in model._asdict().items()
    }
    for name, value in {**parameters, "weight": found.weight, "reference_sigma": found.reference_sigma}.items():
        if not 0.0 < value < math.inf:
            raise ValueError(f"{found.name}: {name}: {value} is not a positive number")
        if name.endswith(".nu") and value <= 2.0:
            raise ValueError(f"{found.name}: {name}: {value} is not above 2, so that shocks have no variance")
        if name.endswith("_weight") and value > 1.0:
            raise ValueError(f"{found.name}: {name}: {value} is more than all")
    if not 0.0 < found.off_hours <= 10.0:
        raise ValueError(f"{found.name}: off_hours: {found.off_hours} is not between 0 and 10")
    if found.name not in {*CRYPTO, *OTHERS}:
        raise ValueError(f"{found.name}: is in no competition")
    if not all(found.source.partition(":")):
        raise ValueError(f"{found.name}: source: {found.source!r} is not feed:SYMBOL")
    return found
