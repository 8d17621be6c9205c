"""Exponentially weighted mean of a series, with the standard error of that mean.

    mu     <- mu + alpha (r - mu)          mean, mu_0 = 0
    square <- square + alpha (r^2 - square)
    cross  <- cross + alpha (r r' - cross)  r' the value before

With sum(w^2) = alpha / (2 - alpha) (1 - (1 - alpha)^2n) the variance of a weighted mean of n independent values is
var sum(w^2) (Cochran, Sampling Techniques, 3rd ed., ch. 5); a first-order autocorrelation rho stretches it by
(1 + rho) / (1 - rho) (Bartlett 1946). Returns of a market cluster, so rho is estimated and not assumed away.
"""

import math
from typing import Any

from schemas.jit import shared

CORRELATION_LIMIT = 0.95  # beyond it one window says nothing about the error


@shared
def alpha(width: float, half_life: float) -> float:
    """The weight of a new value, from the spacing of values and the half-life in the same unit.

    >>> round(alpha(160, 4800), 6)
    0.02284
    """
    kept: float = 2.0 ** (-width / half_life)
    return 1.0 - kept


@shared
def update(state: Any, weight: float, value: float) -> None:
    """Take one value into ``state`` (mu, square, cross, before, count)."""
    state.mu += weight * (value - state.mu)
    state.square += weight * (value * value - state.square)
    state.cross += weight * (value * state.before - state.cross)
    state.before = value
    state.count += 1


@shared
def decay(state: Any, weight: float, count: int) -> None:
    """Take ``count`` zeros at once."""
    kept = (1.0 - weight) ** float(count)
    state.mu *= kept
    state.square *= kept
    state.cross *= kept
    state.before = 0.0
    state.count += count


@shared
def standard_error(state: Any, weight: float) -> float:
    """Standard error of the mean, in the unit of the values."""
    variance = state.square - state.mu * state.mu
    if variance <= 0.0:
        return 0.0
    correlation = (state.cross - state.mu * state.mu) / variance
    correlation = min(max(correlation, 0.0), CORRELATION_LIMIT)
    weights = weight / (2.0 - weight) * (1.0 - (1.0 - weight) ** float(2 * state.count))
    return math.sqrt(variance * weights * (1.0 + correlation) / (1.0 - correlation))
