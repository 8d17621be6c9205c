"""Experts: forecasters that differ in half-life and tails, and how they are weighed by what they scored.

An expert is the model with its fast half-life and nu - 2 each halved, kept or doubled. Losses are CRPS over the mean of
all experts, so that calm days count like wild ones:

    w_i <- w_i exp(-eta loss_i) / sum,  then  w_i <- (1 - alpha) w_i + alpha / n

The second step keeps every expert within reach when times change.

Herbster, Warmuth: Tracking the Best Expert, Machine Learning 32 (1998), Fixed-Share with its share-update to all.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from processors.online.crps import Floats
from processors.online.synth_assets import Asset, Model

FACTORS = (0.5, 1.0, 2.0)


class Expert(NamedTuple):
    """A forecaster."""

    half_life_1m: float  # minutes
    nu: float

    def __str__(self) -> str:
        return f"half_life={60.0 * self.half_life_1m:g},nu={self.nu:g}"

    def model(self, usual: Model) -> Model:
        """The model with this expert's parameters."""
        return usual._replace(half_life_1m=self.half_life_1m, nu=self.nu)


def experts(model: Model) -> tuple[Expert, ...]:
    """The experts around a model.

    >>> [str(expert) for expert in experts(Model(60.0, 288.0, 4.0, 480.0, 0.8, 0.7))][:2]
    ['half_life=1800,nu=3', 'half_life=1800,nu=4']
    """
    return tuple(
        Expert(model.half_life_1m * fast, 2.0 + (model.nu - 2.0) * tails) for fast in FACTORS for tails in FACTORS
    )


def half_lives(asset: Asset) -> list[float]:
    """Half-lives in minutes of all EWMAs over one-minute returns that an asset's forecasts start from."""
    return sorted({model.half_life_1m * factor for model in (asset.day, asset.hour) for factor in FACTORS})


def updated(weights: Sequence[float], scores: Sequence[float], eta: float, alpha: float) -> list[float]:
    """The weights after a round of scores; as they were where nobody lost anything.

    >>> [round(weight, 3) for weight in updated([0.5, 0.5], [90.0, 110.0], eta=5.0, alpha=0.02)]
    [0.726, 0.274]
    """
    losses, before = np.array(scores, np.float64), np.array(weights, np.float64)
    if not losses.mean() > 0.0:
        return list(weights)
    powers = before * np.exp(-eta * (losses / losses.mean() - 1.0))
    found = (1.0 - alpha) * powers / powers.sum() + alpha / len(powers)
    return [float(weight) for weight in found]


def shares(weights: Floats | Sequence[float], paths: int) -> list[int]:
    """How many paths each expert gets: whole numbers that come nearest to the weights (largest remainders).

    >>> shares([0.5, 0.3, 0.2], 11)
    [6, 3, 2]
    """
    exact = np.array(weights, np.float64) / np.sum(weights) * paths
    counts = np.floor(exact).astype(int)
    nearest = np.argsort(counts - exact, kind="stable")
    counts[nearest[: paths - counts.sum()]] += 1
    return [int(count) for count in counts]
