"""Bands of an ensemble of paths: quantiles at each point, by linear interpolation between order statistics."""

from collections.abc import Sequence

import numpy as np

from processors.online.innovations import Shocks

LEVELS = (0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975)  # the ends of the bands of 95, 90 and 50 %, and the median


def bands(paths: Shocks, levels: Sequence[float] = LEVELS) -> Shocks:
    """The quantiles of paths by time and path, as points by levels.

    >>> bands(np.array([[4.0, 1.0, 3.0, 2.0, 5.0]], np.float32), (0.0, 0.5, 0.875)).tolist()
    [[1.0, 3.0, 4.5]]
    """
    rows = np.sort(paths, axis=1)
    places = np.asarray(levels) * (rows.shape[1] - 1)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, rows.shape[1] - 1)
    share = (places - below).astype(np.float32)
    return np.asarray(rows[:, below] * (1 - share) + rows[:, above] * share, np.float32)
