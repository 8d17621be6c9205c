"""Variance per bar as an exponentially weighted mean of squared returns, missing bars included.

    total  <- k total + (1 - k) r^2
    weight <- k weight + (1 - k)           k = 2^(-1 / half-life in bars)
    variance = total / weight

Dividing by the weight makes it the weighted mean of what was seen, from the first bar on, with no value to start from.

A missing bar is one in which the price stayed: it decays the variance like any bar, and the return of the bar after the
gap is that since the last price. A gap counts as ``LONGEST`` half-lives at most: of a longer one the same variance per
bar is taken over that many bars, so that a weekend does not wipe out what was known on Friday.
"""

import math
from dataclasses import dataclass

import numpy as np

from processors.online.crps import Floats
from schemas.jit import kernel, shared

LONGEST = 1.0


@shared
def kept(half_life: float) -> float:
    """The share of the past that one bar leaves."""
    share: float = 2.0 ** (-1.0 / half_life)
    return share


@shared
def after(total: float, weight: float, half_life: float, square: float, missing: float) -> tuple[float, float]:
    """Total and weight after a bar that ``missing`` bars went before."""
    share, longest = kept(half_life), LONGEST * half_life
    if missing > longest:
        square *= (longest + 1.0) / (missing + 1.0)
        missing = longest
    decay = share**missing * share
    return decay * total + (1.0 - share) * square, decay * weight + (1.0 - decay)


@dataclass(slots=True)
class EwmaVariance:
    """The state; fed by ``update``.

    >>> state = EwmaVariance(half_life=1.0)
    >>> state.update(0.02), state.update(0.0)
    (0.0004, 0.00013333333333333334)
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
        self.total, self.weight = after(self.total, self.weight, self.half_life, move * move, missing)
        return self.variance

    @property
    def variance(self) -> float:
        """Variance per bar; NaN before the first."""
        return self.total / self.weight if self.weight > 0.0 else math.nan


@kernel
def variances(squares: Floats, half_life: float) -> Floats:
    """The variance after each bar from squared returns, NaN where one is missing; there it stays what it was."""
    found = np.empty(len(squares))
    total = weight = missing = 0.0
    for bar in range(len(squares)):
        if math.isnan(squares[bar]):
            missing += 1.0
        else:
            total, weight = after(total, weight, half_life, squares[bar], missing if weight > 0.0 else 0.0)
            missing = 0.0
        found[bar] = total / weight if weight > 0.0 else math.nan
    return found
