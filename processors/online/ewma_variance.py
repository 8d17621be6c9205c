"""Variance per bar out of an exponentially weighted mean of absolute returns, missing bars included.

    total  <- k total + (1 - k) |r|
    weight <- k weight + (1 - k)           k = 2^(-1 / half-life in bars)
    variance = pi / 2 (total / weight)^2

Dividing by the weight makes it the weighted mean of what was seen, from the first bar on, with no value to start from.
The variance is that of normal returns of this mean size: a mean of squares would let one news minute stand for hours.

A return over n bars, as others were missing, counts as n of its nth part in variance, |r| / sqrt(n) each. A gap counts
as ``LONGEST`` half-lives at most, so that a weekend does not wipe out what was known on Friday.
"""

import math
from dataclasses import dataclass

import numpy as np

from processors.online.crps import Floats
from schemas.jit import kernel, shared

LONGEST = 1.0
NORMAL = math.pi / 2.0  # variance of a normal number over its squared mean size


@shared
def kept(half_life: float) -> float:
    """The share of the past that one bar leaves."""
    share: float = 2.0 ** (-1.0 / half_life)
    return share


@shared
def after(total: float, weight: float, half_life: float, size: float, missing: float) -> tuple[float, float]:
    """Total and weight after a bar's absolute return that ``missing`` bars went before."""
    share, counted = kept(half_life), min(missing, LONGEST * half_life)
    decay = share**counted * share
    each = size / math.sqrt(missing + 1.0)
    return decay * total + (1.0 - decay) * each, decay * weight + (1.0 - decay)


@dataclass(slots=True)
class EwmaVariance:
    """The state; fed by ``update``.

    >>> state = EwmaVariance(half_life=1.0)
    >>> state.update(0.02), state.update(0.0)
    (0.0006283185307179586, 6.98131700797732e-05)
    """

    half_life: float  # in bars
    total: float = 0.0
    weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.half_life < math.inf:
            raise ValueError(f"half_life: {self.half_life} is not a positive number of bars")

    def update(self, move: float, missing: int = 0) -> float:
        """Take the log return of a bar and give the variance; ``missing`` bars since the one before."""
        if not math.isfinite(move) or missing < 0:
            raise ValueError(f"move: {move} after {missing} missing bars")
        self.total, self.weight = after(self.total, self.weight, self.half_life, abs(move), missing)
        return self.variance

    @property
    def variance(self) -> float:
        """Variance per bar; NaN before the first."""
        return NORMAL * (self.total / self.weight) ** 2 if self.weight > 0.0 else math.nan


@kernel
def means(sizes: Floats, half_life: float) -> Floats:
    """The mean size after each bar from absolute returns, NaN where one is missing; there it stays what it was."""
    found = np.empty(len(sizes))
    total = weight = missing = 0.0
    for bar in range(len(sizes)):
        if math.isnan(sizes[bar]):
            missing += 1.0
        else:
            total, weight = after(total, weight, half_life, sizes[bar], missing if weight > 0.0 else 0.0)
            missing = 0.0
        found[bar] = total / weight if weight > 0.0 else math.nan
    return found


def variances(sizes: Floats, half_life: float) -> Floats:
    """The variance after each bar, from absolute returns as ``means`` takes them."""
    return np.asarray(NORMAL * means(sizes, half_life) ** 2)
