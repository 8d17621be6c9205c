"""Shocks of several assets that move together, each still Student-t of unit variance with its own nu.

Normal shocks are correlated by the Cholesky factor of the correlation matrix and each is then carried to the quantile
of its own distribution (a Gaussian copula), so that an asset's paths are distributed as they are without the others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtrit

from processors.online.innovations import Shocks, shocks

REACH = 9.0  # standard deviations: beyond there is nothing in 10^19 draws
KNOTS = 4_097


def joint_shocks(seed: int, nus: Sequence[float], correlation: Any, steps: int, paths: int) -> Shocks:
    """Shocks by asset, step and path.

    >>> found = joint_shocks(7, [4.0, 6.0], [[1.0, 0.8], [0.8, 1.0]], 100, 2000)
    >>> bool(0.74 < np.corrcoef(found.reshape(2, -1))[0, 1] < 0.82)
    True

    Raises:
        ValueError: the matrix is no correlation matrix of so many assets.

    """
    matrix = np.asarray(correlation, np.float64)
    count = len(nus)
    if matrix.shape != (count, count) or not np.allclose(matrix, matrix.T) or not np.allclose(np.diag(matrix), 1.0):
        raise ValueError(f"correlation: no symmetric matrix of {count} assets with a diagonal of ones")
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise ValueError("correlation: not positive definite") from None
    normal = shocks(seed, np.inf, np.empty((count, steps * paths), np.float32))
    joint = factor.astype(np.float32) @ normal
    knots = np.linspace(-REACH, REACH, KNOTS)
    for row, nu in zip(joint, nus, strict=True):
        row[:] = np.interp(row, knots, _quantiles(knots, nu))
    return joint.reshape(count, steps, paths)


def _quantiles(knots: Any, nu: float) -> Any:
    """The value of unit variance that is as far out in Student's distribution as each knot is in the normal one."""
    upper = stdtrit(nu, ndtr(np.minimum(knots, -knots))) * np.sqrt((nu - 2.0) / nu)
    return np.where(knots < 0.0, upper, -upper)
