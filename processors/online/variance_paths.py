"""Price paths whose variance is two EWMA states, blended over the horizon and updated by each path's own shocks.

For step k, of width d, at time h since the start, with shocks z of unit variance and multipliers m (market hours):

    w     = 2^(-h / blend)                              weight of the fast state, which is what is known best at first
    rate  = w fast + (1 - w) slow                       variance per second
    r     = sqrt(m rate d) z                            log return, held within LARGEST_STEP
    fast += (1 - 2^(-d / fast half-life)) (r^2 / (m d) - fast),  slow likewise

A price is exp of the returns' sum, so it is positive; the sum is held within LARGEST_MOVE, so that it is finite too.
"""

from typing import Any, NamedTuple

import numpy as np

from processors.online.crps import Floats
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
    blend_s: float  # after which the slow state weighs as much as the fast one


def paths(price: float, variance: Variance, step_s: float, multipliers: Floats, shocks: Shocks, out: Shocks) -> Shocks:
    """Fill ``out`` with prices by time and path, the first row ``price``; uses ``shocks`` up.

    >>> shocks = np.zeros((2, 3), np.float32)
    >>> state = Variance(1e-8, 1e-8, 3600.0, 86400.0, 3600.0)
    >>> paths(100.0, state, 60.0, np.ones(2), shocks, np.empty((3, 3), np.float32)).tolist()
    [[100.0, 100.0, 100.0], [100.0, 100.0, 100.0], [100.0, 100.0, 100.0]]
    """
    steps, count = shocks.shape
    if out.shape != (steps + 1, count) or len(multipliers) != steps:
        raise ValueError(f"out: {out.shape} for {steps} steps of {count} paths and {len(multipliers)} multipliers")
    weights = 2.0 ** (-step_s * np.arange(steps) / variance.blend_s)
    kept = [1.0 - 2.0 ** (-step_s / half_life) for half_life in (variance.fast_half_life_s, variance.slow_half_life_s)]
    walk(
        np.float32(max(variance.fast, LEAST_RATE)), np.float32(max(variance.slow, LEAST_RATE)),
        np.float32(kept[0]), np.float32(kept[1]),
        weights.astype(np.float32), (multipliers * step_s).astype(np.float32), shocks,
    )  # fmt: skip
    out[0] = price
    np.exp(shocks, out=out[1:])
    out[1:] *= np.float32(price)
    return out


@kernel
def walk(fast: Any, slow: Any, fast_gain: Any, slow_gain: Any, weights: Any, widths: Any, shocks: Any) -> None:
    """Turn shocks into sums of log returns, in place; all paths take a step, then all the next."""
    steps, count = shocks.shape
    fasts, slows = np.full(count, fast, np.float32), np.full(count, slow, np.float32)
    sums = np.zeros(count, np.float32)
    largest, farthest, one = np.float32(LARGEST_STEP), np.float32(LARGEST_MOVE), np.float32(1.0)
    for step in range(steps):
        weight, width = weights[step], widths[step]
        row = shocks[step]
        for path in range(count):
            rate = weight * fasts[path] + (one - weight) * slows[path]
            move = np.sqrt(width * rate) * row[path]
            move = min(max(move, -largest), largest)
            square = move * move / width
            fasts[path] += fast_gain * (square - fasts[path])
            slows[path] += slow_gain * (square - slows[path])
            sums[path] = min(max(sums[path] + move, -farthest), farthest)
            row[path] = sums[path]
