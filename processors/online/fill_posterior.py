"""What is believed of the rates of fills: a gamma distribution for each depth, finite however thin the market is.

Fills at depth k come by a Poisson process of rate lambda_k, which is believed before to be gamma distributed with mean
rate exp(-kappa_0 delta_k) and the weight of some seconds of watching. After N fills in T seconds it is

    lambda_k ~ Gamma(shape = seconds mean + N + w n,  rate = seconds + T + w t)

with n own fills in t seconds of own quotes at that depth, each worth w virtual ones.

The share p of takers that reach depth k and also k + 1 is continuing / (continuing + stopping), both gamma distributed,
so p ~ Beta(continuing, stopping), with the fills that ``decay_fits.exponential`` sums; kappa = -ln(p) / h, and its 90 %
interval has the quantiles of p as ends. Where the window's blocks differ by more than Poisson counts do, as trades in
bursts do, both counts are divided by that excess of variance.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, betaln, gammaincinv

from processors.online.decay_fits import LEVEL, Fit, exponential, seen
from processors.online.fill_counts import Counts, Floats
from processors.online.units import require

TAILS = ((1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0)
LEAST, MOST = 1e-300, 1.0 - 2.0**-53  # shares whose logarithm is exact enough, and not 0


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed before anything was seen."""

    rate: float = 0.05  # fills per second at the mid
    decay: float = 3.0  # how often the rate falls by e up to the deepest depth
    seconds: float = 60.0  # of watching that the belief is worth
    own_weight: float = 5.0  # virtual fills that an own fill is worth

    def __post_init__(self) -> None:
        for name in ("rate", "decay", "seconds"):
            require(name, getattr(self, name), positive=True)
        require("own_weight", self.own_weight, positive=False)


class Rates(NamedTuple):
    """Shape and rate of each depth's gamma distribution."""

    shape: Floats
    seconds: Floats

    def mean(self) -> Floats:
        """Expected fills per second."""
        return self.shape / self.seconds

    def quantile(self, share: float) -> Floats:
        """The rate that is not reached with this probability."""
        return np.asarray(gammaincinv(self.shape, share) / self.seconds)


def posterior(counts: Counts, prior: Prior) -> Rates:
    """The belief after what was counted.

    >>> before = posterior(Counts(np.zeros((1, 3)), np.zeros((1, 3)), np.arange(1.0, 4)), Prior())
    >>> before.mean().round(5).tolist()
    [0.01839, 0.00677, 0.00249]
    """
    mean = prior.rate * np.exp(-prior.decay * counts.depths / counts.depths[-1])
    own_fills = prior.own_weight * counts.own_fills if len(counts.own_fills) else 0.0
    own_seconds = prior.own_weight * counts.own_seconds if len(counts.own_seconds) else 0.0
    return Rates(
        prior.seconds * mean + counts.fills.sum(axis=0) + own_fills,
        prior.seconds + counts.seconds.sum(axis=0) + own_seconds,
    )


def believed(counts: Counts, prior: Prior) -> Fit:
    """The decay that follows; before anything was seen, the prior's.

    >>> fit = believed(Counts(np.zeros((1, 3)), np.zeros((1, 3)), np.arange(1.0, 4)), Prior())
    >>> round(fit.kappa, 6), fit.low < 0.2, fit.high > 2.0
    (1.0, True, True)
    """
    rates = posterior(counts, prior)
    stop = len(seen(counts).depths) if counts.seconds.any() else len(counts.depths)
    if stop < 2:
        return Fit(reason="one depth could be followed, two are needed")
    mean, spacing = rates.mean()[:stop], float(counts.depths[1] - counts.depths[0])
    expected = mean * rates.seconds[:stop].mean()
    continuing, stopping = float(expected[1:].sum()), float(expected[0] - expected[-1])
    if not stopping > 0.0:
        return Fit(reason="the rate of fills does not fall with the distance")
    kappa = math.log1p(stopping / continuing) / spacing
    excess = _excess(exponential(counts), continuing, stopping, spacing)
    low, high = _decays(continuing / excess, stopping / excess)
    return Fit(kappa, low / spacing, high / spacing, float(mean.sum() / np.exp(-kappa * counts.depths[:stop]).sum()))


def _excess(fit: Fit, continuing: float, stopping: float, spacing: float) -> float:
    """Variance of ln kappa between the window's blocks over that of Poisson counts, where greater."""
    if fit.reason:
        return 1.0
    low, high = _decays(continuing, stopping)
    return max(1.0, (math.log(fit.high / fit.low) / math.log(high / low)) ** 2)


def _decays(continuing: float, stopping: float) -> tuple[float, float]:
    """Both ends of -ln(p)."""
    ends = []
    for tail in reversed(TAILS):
        share = float(betaincinv(continuing, stopping, tail))
        if share > LEAST:
            ends.append(-math.log(min(share, MOST)))
        else:  # so near 0 the tail below p is p^a / (a B(a, b)), however small p is
            ends.append(-(math.log(tail * continuing) + float(betaln(continuing, stopping))) / continuing)
    return ends[0], ends[1]
