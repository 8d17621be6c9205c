"""Whether forecasts meant what they said: the probability integral transform and the coverage of central bands.

The PIT of what came is the share of the ensemble below it. Over many forecasts of a reliable forecaster it is uniform,
and a central band of probability q holds what came in a share q of them.
"""

from typing import Any

import numpy as np

from processors.online.crps import Floats


def pit(observed: Any, ensemble: Any) -> float:
    """The share of an ensemble below what came; of what is equal, half.

    >>> pit(2.0, [1.0, 2.0, 3.0, 4.0])
    0.375
    """
    values = np.asarray(ensemble, np.float64)
    return float((np.count_nonzero(values < observed) + 0.5 * np.count_nonzero(values == observed)) / len(values))


def coverage(pits: Any, band: float) -> float:
    """The share of PITs within the central band.

    >>> coverage([0.04, 0.5, 0.9, 0.99], 0.9)
    0.5
    """
    return float(np.mean(np.abs(np.asarray(pits) - 0.5) <= band / 2.0))


def histogram(pits: Any, bins: int = 10) -> Floats:
    """The share of PITs in each of equal bins; a reliable forecaster has about 1/bins in all.

    >>> histogram([0.1, 0.2, 0.6, 1.0], 2).tolist()
    [0.5, 0.5]
    """
    values = np.asarray(pits, np.float64)
    return np.histogram(values, bins, (0.0, 1.0))[0] / max(len(values), 1)
