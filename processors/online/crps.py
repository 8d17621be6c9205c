"""Continuous ranked probability score of an ensemble x_1 .. x_n at what came, y.

    CRPS = 1/n sum |x_i - y|  -  1/(2 n^2) sum over all n^2 pairs |x_i - x_j|

In sorted order the sum over pairs is 2 sum (2 i - n - 1) x_i, i = 1 .. n, so that sorting is all it takes. Values are
taken relative to y first: prices of 100,000 that differ by 1 keep their digits.

Gneiting, Raftery: Strictly Proper Scoring Rules, Prediction, and Estimation, JASA 102 (2007), equation 21.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from schemas.jit import kernel

Floats: TypeAlias = NDArray[np.float64]

LANES = 16


def crps(observed: float, ensemble: Any) -> float:
    """The score of one ensemble; 0 is a perfect forecast.

    >>> round(crps(0.0, [-1.0, 0.0, 2.0]), 12)
    0.333333333333
    """
    row = np.array(ensemble, np.float64).reshape(1, -1)
    return float(crps_of_rows(np.array([observed]), row)[0])


def crps_of_rows(observed: Floats, rows: Floats) -> Floats:
    """The score of each row of ``rows`` at its value of ``observed``; leaves the rows sorted."""
    rows.sort(axis=1)  # numpy sorts by vector instructions: ten times as fast as a loop in a kernel
    scores: Floats = sorted_scores(observed, rows)
    return scores


@kernel
def sorted_scores(observed: Any, rows: Any) -> Any:
    """The scores of rows that are sorted; sums stand in lanes, which a processor adds to side by side."""
    count, size = rows.shape
    scores = np.empty(count)
    away, weighted = np.empty(LANES), np.empty(LANES)
    whole = size - size % LANES
    for row in range(count):
        came = observed[row]
        away[:], weighted[:] = 0.0, 0.0
        for begin in range(0, whole, LANES):
            for lane in range(LANES):
                distance = rows[row, begin + lane] - came
                away[lane] += abs(distance)
                weighted[lane] += (2 * (begin + lane) + 1 - size) * distance
        for place in range(whole, size):
            distance = rows[row, place] - came
            away[0] += abs(distance)
            weighted[0] += (2 * place + 1 - size) * distance
        scores[row] = away.sum() / size - weighted.sum() / (size * size)
    return scores
