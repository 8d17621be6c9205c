"""A forecast of price paths from what is known of an asset: the same, bit for bit, wherever it is made.

    recipe = what is known + model + start, step        the numbers that paths come from; a Forecast holds them
    paths  = simulated(recipe, count)

Shocks are seeded from the asset's name and the start, so that paths depend on these, on the state and on the model, and
on nothing else. Point k stands for the close of the minute that begins at ``start + k step``, as the subnet reads
prices.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from processors.online.crps import Floats
from processors.online.day_profile import DayProfile, spread
from processors.online.innovations import Shocks, mean_size, seed_of, shocks
from processors.online.market_hours import variance_multipliers
from processors.online.synth_assets import HOUR_S, Asset, Model
from processors.online.synth_response import rounded
from processors.online.variance_paths import Variance, paths

VERSION = "2"
SECOND_NS = 1_000_000_000
WIDEST_S = 1e10  # three hundred years: beyond, the first step's variance would not be finite
EVEN = DayProfile().multipliers()


class Known(NamedTuple):
    """What is known of an asset at the end of a one-minute bar."""

    price: float  # its close
    fast: float  # variance per second of an average minute, over one-minute returns
    slow: float  # over five-minute returns
    anchor: float  # as slow, over the half-life of synth_assets.ANCHOR
    profile: Floats  # DayProfile.multipliers at the midnight before, by kind of day and slot


def known_of(state: Any, length_s: int) -> Known:
    """What a VolatilityState says for paths of a length."""
    hour = length_s <= HOUR_S
    fast, slow = (state.hour_fast, state.hour_slow) if hour else (state.fast, state.slow)
    return Known(state.price, fast, slow, state.anchor, profile_of(state.profile))


def profile_of(packed: bytes) -> Floats:
    """A profile out of a record's bytes; even where there are none."""
    return np.frombuffer(packed, "<f4").reshape(2, -1).astype(np.float64) if packed else EVEN


class Recipe(NamedTuple):
    """What paths are made from."""

    price: float
    variance: Variance
    nu: float
    step_s: float
    multipliers: Shocks  # of the variance of each step
    seed: int


def recipe(
    known: Known, asset: Asset, model: Model, start_s: int, step_s: int, steps: int, widened_s: float = 0.0
) -> Recipe:
    """The recipe of paths that begin at ``start_s`` (unix) and take so many steps.

    What is known may be old: ``widened_s`` of variance more go into the first step.

    Raises:
        ValueError: a price, variance or time that is none.

    """
    if not 0.0 <= widened_s <= WIDEST_S:
        raise ValueError(f"widened_s: {widened_s} is no time")
    if not (0.0 < known.price < np.inf and all(0.0 <= rate < np.inf for rate in known[1:4])):
        raise ValueError(f"price, fast, slow, anchor: {known[:4]} are not a price and three variances")
    variance = Variance(
        known.fast, known.slow, model.half_life_1m * 60.0, model.half_life_5m * 300.0, model.blend * 60.0,
        known.anchor, model.fast_weight, model.slow_weight,
    )  # fmt: skip
    each = multipliers(known.profile, asset, start_s, step_s, steps)
    each[0] *= np.float32(1.0 + widened_s / step_s)
    seed = seed_of(asset.name, start_s * SECOND_NS, VERSION)
    return Recipe(known.price, variance, model.nu, float(step_s), each, seed)


def multipliers(profile: Floats, asset: Asset, start_s: int, step_s: int, steps: int) -> Shocks:
    """What variance is multiplied by in each step: market hours times the profile of the day."""
    first = start_s // 60 + 1
    count = -(-(start_s % 60 + steps * step_s) // 60)
    each = variance_multipliers(asset, first, count) * spread(profile, first, count)
    if start_s % 60 == 0 and step_s % 60 == 0:
        return np.asarray(each.reshape(steps, -1).mean(axis=1), np.float32)
    begins = (start_s + step_s * np.arange(steps)) // 60 + 1 - first
    return np.asarray(each[begins], np.float32)


class Work(NamedTuple):
    """Arrays that paths are made in, again and again."""

    shocks: Shocks
    paths: Shocks


def work(steps: int, count: int) -> Work:
    """Arrays for paths of so many steps."""
    return Work(np.empty((steps, count), np.float32), np.empty((steps + 1, count), np.float32))


def simulated(made_of: Recipe, count: int, within: Work | None = None) -> Shocks:
    """Prices by time and path, the first row the known price; in the arrays of ``within`` where given.

    >>> from processors.online.synth_assets import ASSETS
    >>> known = Known(100.0, 1e-9, 1e-9, 1e-9, np.ones((2, 48)))
    >>> made_of = recipe(known, ASSETS["BTC"], ASSETS["BTC"].hour, 1_790_000_040, 60, 60)
    >>> simulated(made_of, 1000).shape, bool((simulated(made_of, 10) == simulated(made_of, 10)).all())
    ((61, 1000), True)
    """
    arrays = within or work(len(made_of.multipliers), count)
    shocks(made_of.seed, made_of.nu, arrays.shocks)
    each = made_of.multipliers.astype(np.float64)
    size = mean_size(made_of.nu)
    return paths(made_of.price, made_of.variance, size, made_of.step_s, each, arrays.shocks, arrays.paths)


def mixed(parts: Sequence[tuple[Recipe, int]]) -> Shocks:
    """Prices by time and path of several recipes side by side, each with so many paths."""
    return np.concatenate([simulated(made_of, count) for made_of, count in parts], axis=1)


def forecast(
    known: Known,
    asset: Asset,
    model: Model,
    start_s: int,
    step_s: int,
    steps: int,
    count: int,
    within: Work | None = None,
    widened_s: float = 0.0,
) -> Shocks:
    """Prices by time and path, (steps + 1, count), for a prompt: what is served, and what the log makes again.

    Raises:
        ValueError: as ``recipe``.

    """
    return simulated(recipe(known, asset, model, start_s, step_s, steps, widened_s), count, within)


def digest(prices: Shocks) -> str:
    """Prompt.digest of an answer: SHA-256 of its prices as they are sent, path by path as little-endian float64."""
    return sha256(np.ascontiguousarray(rounded(prices).T, "<f8").tobytes()).hexdigest()
