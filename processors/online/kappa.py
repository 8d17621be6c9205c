"""kappa from counted fills by one of three methods, per tick and in quote currency.

virtual   exponential fit to virtual quotes without queue
depth     least squares through the logarithms of the rates of virtual quotes in the queue
bayes     gamma-Poisson posterior of the same quotes, finite in thin markets, with own fills
"""

from typing import Literal

from processors.online.decay_fits import Fit, exponential, regression
from processors.online.fill_counts import Counts
from processors.online.fill_posterior import Prior, believed

Method = Literal["virtual", "depth", "bayes"]
METHODS = ("virtual", "depth", "bayes")
QUEUED = ("depth", "bayes")  # methods whose quotes wait in the queue


def fit(counts: Counts, method: Method, weighed: bool = True, prior: Prior | None = None) -> Fit:
    """The decay per tick of what was counted; the two last arguments are for depth and for bayes."""
    if method == "virtual":
        return exponential(counts)
    return regression(counts, weighed) if method == "depth" else believed(counts, prior or Prior())


def in_quote(found: Fit, step: float) -> Fit:
    """A decay per tick as one per unit of quote currency, by the market's tick.

    >>> in_quote(Fit(0.5, 0.4, 0.6, 2.0), 0.25).kappa
    2.0
    """
    return found._replace(kappa=found.kappa / step, low=found.low / step, high=found.high / step)
