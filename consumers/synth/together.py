"""Paths of several assets at once, which move together as their five-minute returns of the last days did.

Shocks of all assets are drawn together, and each asset's own paths are distributed as they are alone.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from processors.online.crps import Floats
from processors.online.innovations import Shocks, mean_size, seed_of
from processors.online.joint_shocks import joint_shocks
from processors.online.synth_assets import Asset
from processors.online.synth_forecast import Known, recipe
from processors.online.synth_response import Prompt
from processors.online.variance_paths import paths

WIDE = 5
PRIOR = 50.0  # returns without correlation that are added to those seen
SECOND_NS = 1_000_000_000


def correlation(histories: Sequence[Any]) -> Floats:
    """The correlation of the five-minute log returns of some assets, drawn a little towards none.

    ``histories`` hold a bar in each row: its minute, open, high, low, close, volume. Only minutes that all assets have
    count; with fewer than two of their returns there is no correlation.

    >>> minutes = np.arange(0.0, 5000.0)
    >>> prices = np.exp(np.sin(minutes))
    >>> bars = np.column_stack([minutes, prices, prices, prices, prices, minutes])
    >>> correlation([bars, bars]).round(2).tolist()
    [[1.0, 0.95], [0.95, 1.0]]
    """
    ends = [bars[bars[:, 0] % WIDE == WIDE - 1] for bars in histories]
    minutes = functools.reduce(np.intersect1d, [bars[:, 0] for bars in ends])
    closes = np.array([bars[np.searchsorted(bars[:, 0], minutes), 4] for bars in ends])
    returns = np.diff(np.log(closes), axis=1)[:, np.diff(minutes) == WIDE]
    count = returns.shape[1]
    if count < 2:
        return np.eye(len(histories))
    deviations = np.maximum(returns.std(axis=1), 1e-12)
    scaled = (returns - returns.mean(axis=1, keepdims=True)) / deviations[:, None]
    found = scaled @ scaled.T / (count + PRIOR)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def jointly(
    known: Sequence[Known], assets: Sequence[Asset], widened_s: Sequence[float], asked: Prompt, matrix: Floats
) -> list[Shocks]:
    """Prices by time and path of each asset; paths of one number belong together."""
    models = [asset.model(asked.length_s) for asset in assets]
    steps = asked.points - 1
    seed = seed_of("+".join(asset.name for asset in assets), asked.start_s * SECOND_NS, "joint 1")
    drawn = joint_shocks(seed, [model.nu for model in models], matrix, steps, asked.paths)
    found = []
    for state, asset, model, old_s, own in zip(known, assets, models, widened_s, drawn, strict=True):
        made_of = recipe(state, asset, model, asked.start_s, asked.increment_s, steps, old_s)
        out = np.empty((asked.points, asked.paths), np.float32)
        each = made_of.multipliers.astype(np.float64)
        size = mean_size(made_of.nu)
        found.append(paths(made_of.price, made_of.variance, size, made_of.step_s, each, own, out))
    return found
