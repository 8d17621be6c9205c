"""Price paths whose volatility is a fast, a slow and a constant part, updated by each path's own shocks.

States are mean absolute returns, a = sqrt(2 / pi variance); that of a long half-life, the anchor, stays what it is. For
step k, of width d, at time h since the start, with multipliers m (market hours) and shocks z of mean size c:

    w     = fast weight 2^(-h / blend)
    a     = w fast + (1 - w) (slow weight slow + (1 - slow weight) anchor)
    r     = sqrt(m d) a z / c                           log return, held within LARGEST_STEP
    fast += (1 - 2^(-d / fast half-life)) (|r| / sqrt(m d) - fast),  slow likewise

So a path's volatility clusters, and returns to the anchor as far as the weights leave it room. Sizes instead of squares
keep one wild shock from ruling what comes after it.

A price is exp of the returns' sum, so it is positive; the sum is held within LARGEST_MOVE, so that it is finite too.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from processors.online.crps import Floats
from processors.online.ewma_variance import NORMAL
from processors.online.innovations import Shocks
from schemas.jit import kernel

LARGEST_STEP = 1.0
LARGEST_MOVE = 20.0
LEAST_RATE = 1e-16  # variance per second: a price that has not moved yet may still do so


class Variance(NamedTuple):
    """Where paths start from."""

    fast: float  # variance per second
    slow: float
    fast_half_life_s: float
    slow_half_life_s: float
    blend_s: float  # after which the fast state weighs half of what it did
    anchor: float  # variance per second
    fast_weight: float
    slow_weight: float  # of what the fast state leaves


def paths(
    price: float, variance: Variance, size: float, step_s: float, multipliers: Floats, shocks: Shocks, out: Shocks
) -> Shocks:
    """Fill ``out`` with prices by time and path, the first row ``price``; uses up ``shocks``, of a mean ``size``.

    >>> shocks = np.zeros((2, 3), np.float32)
    >>> state = Variance(1e-8, 1e-8, 3600.0, 86400.0, 3600.0, 1e-8, 0.8, 0.8)
    >>> paths(100.0, state, 0.75, 60.0, np.ones(2), shocks, np.empty((3, 3), np.float32)).tolist()
    [[100.0, 100.0, 100.0], [100.0, 100.0, 100.0], [100.0, 100.0, 100.0]]
    """
    steps, count = shocks.shape
    if out.shape != (steps + 1, count) or len(multipliers) != steps:
        raise ValueError(f"out: {out.shape} for {steps} steps of {count} paths and {len(multipliers)} multipliers")
    weights = variance.fast_weight * 2.0 ** (-step_s * np.arange(steps) / variance.blend_s)
    levels = [math.sqrt(max(rate, LEAST_RATE) / NORMAL) for rate in (variance.fast, variance.slow, variance.anchor)]
    kept = [1.0 - 2.0 ** (-step_s / half_life) for half_life in (variance.fast_half_life_s, variance.slow_half_life_s)]
    walk(
        *map(np.float32, levels), *map(np.float32, kept), np.float32(variance.slow_weight), np.float32(1.0 / size),
        weights.astype(np.float32), np.sqrt(multipliers * step_s).astype(np.float32), shocks,
    )  # fmt: skip
    out[0] = price
    np.exp(shocks, out=out[1:])
    out[1:] *= np.float32(price)
    return out


@kernel
def walk(
    fast: Any, slow: Any, anchor: Any, fast_gain: Any, slow_gain: Any, slow_weight: Any, unit: Any,
    weights: Any, widths: Any, shocks: Any,
) -> None:  # fmt: skip
    """Turn shocks into sums of log returns, in place; all paths take a step, then all the next."""
    steps, count = shocks.shape
    fasts, slows = np.full(count, fast, np.float32), np.full(count, slow, np.float32)
    sums = np.zeros(count, np.float32)
    largest, farthest, one = np.float32(LARGEST_STEP), np.float32(LARGEST_MOVE), np.float32(1.0)
    for step in range(steps):
        weight, width = weights[step], widths[step]
        of_slow, rest = (one - weight) * slow_weight, (one - weight) * (one - slow_weight) * anchor
        row = shocks[step]
        for path in range(count):
            level = weight * fasts[path] + of_slow * slows[path] + rest
            move = width * level * unit * row[path]
            move = min(max(move, -largest), largest)
            size = abs(move) / width
            fasts[path] += fast_gain * (size - fasts[path])
            slows[path] += slow_gain * (size - slows[path])
            sums[path] = min(max(sums[path] + move, -farthest), farthest)
            row[path] = sums[path]
