"""Random shocks of unit variance: Student-t with nu > 2 degrees of freedom, or normal where nu is infinite.

A shock is the quantile of a random number, looked up and not computed. The table holds the upper tail in octaves of the
probability p = 2^-1 .. 2^-64, each in ``CELLS`` linear pieces: the quantile of a power law is as smooth in an octave at
10^-15 as in one near the middle, so every piece is right to about 10^-4 of its value. The table is then scaled so that
its own variance is 1 to the last digit.

Random numbers are a hash of the seed and the shock's place (splitmix64: Steele, Lea, Flood 2014), so that a shock
depends on nothing but these: neither on how many others are drawn, nor on the order.
"""

import math
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from schemas.jit import kernel

Shocks: TypeAlias = NDArray[np.float32]

OCTAVES = 63
CELL_BITS = 5
CELLS = 1 << CELL_BITS  # in an octave
LOW_BITS = 52 - CELL_BITS  # of a float64's fraction, below those that name the cell
GOLDEN = 0x9E3779B97F4A7C15


def seed_of(key: str, event_ns: int, version: str) -> int:
    """The seed that belongs to a key, a moment and a model: the same forecast wherever it is made.

    >>> seed_of("BTC", 0, "1") == seed_of("BTC", 0, "1") != seed_of("BTC", 0, "2")
    True
    """
    return int.from_bytes(blake2b(f"{key}\0{event_ns}\0{version}".encode(), digest_size=8).digest())


@lru_cache(maxsize=64)
def table(nu: float) -> Shocks:
    """Value and slope of each piece of the quantile function.

    >>> cells = table(4.0).astype(float)
    >>> probability = 2.0 ** -(64 - np.arange(OCTAVES)).repeat(CELLS) / CELLS
    >>> ends = cells[0] + cells[1]
    >>> squares = (cells[0] ** 2 + cells[0] * ends + ends**2) / 3
    >>> round(2 * float(probability @ squares), 6)
    1.0

    Raises:
        ValueError: the variance is not finite.

    """
    if not nu > 2.0:
        raise ValueError(f"nu: {nu} is not above 2, so there is no variance to make 1")
    edges = np.append(2.0 ** (np.arange(OCTAVES * CELLS) // CELLS - 64.0), 0.5)
    edges[:-1] *= 1.0 + np.arange(OCTAVES * CELLS) % CELLS / CELLS
    with np.errstate(all="ignore"):
        upper = -(ndtri(edges) if math.isinf(nu) else stdtrit(nu, edges))
    upper[-1] = 0.0
    begin, end = upper[:-1], upper[1:]
    variance = 2.0 * float(np.diff(edges) @ (begin * begin + begin * end + end * end)) / 3.0
    cells = np.array([begin, end - begin]) / math.sqrt(variance)
    return cells.astype(np.float32)


@lru_cache(maxsize=64)
def mean_size(nu: float) -> float:
    """The mean absolute value of a shock.

    >>> round(mean_size(math.inf), 4), round(math.sqrt(2.0 / math.pi), 4)
    (0.7979, 0.7979)
    """
    values, slopes = table(nu).astype(np.float64)
    probability = 2.0 ** (np.arange(OCTAVES).repeat(CELLS) - 64.0) / CELLS
    return 2.0 * float(probability @ (values + slopes / 2.0))


def shocks(seed: int, nu: float, out: Shocks) -> Shocks:
    """Fill ``out`` with independent shocks.

    >>> out = shocks(1, 5.0, np.empty((1000, 1000), np.float32))
    >>> bool(abs(out.mean()) < 0.005), bool(abs(out.var() - 1) < 0.02)
    (True, True)
    """
    fill(np.uint64(seed & (1 << 64) - 1), table(nu), out.reshape(-1))
    return out


@kernel
def fill(seed: Any, cells: Any, out: Any) -> None:
    """Look up the shock of each place."""
    values, slopes = cells[0], cells[1]
    for place in range(len(out)):
        word = seed + np.uint64(place + 1) * np.uint64(GOLDEN)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word = word ^ (word >> np.uint64(31))
        below = np.float64(np.int64(word >> np.uint64(1)) | np.int64(1))  # 1 .. 2^63
        bits = below.view(np.int64)
        cell = min((bits >> LOW_BITS) - (1023 << CELL_BITS), OCTAVES * CELLS - 1)
        inner = np.float32(bits & ((1 << LOW_BITS) - 1)) * np.float32(2.0**-LOW_BITS)
        value = values[cell] + slopes[cell] * inner
        out[place] = value if word & np.uint64(1) else -value
