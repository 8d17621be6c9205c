"""What came of a forecast: its score, how it compares with a Gaussian one, and whether it meant what it said."""

from typing import Any, NamedTuple

import numpy as np

from processors.online.crps import Floats
from processors.online.innovations import Shocks
from processors.online.reliability import coverage
from processors.online.synth_assets import ASSETS, HOUR_S
from processors.online.synth_forecast import EVEN, Known, forecast
from processors.online.synth_rules import Competition, newest
from processors.online.synth_score import INVALID, Part, parts

BANDS = (0.5, 0.9, 0.95)


class Outcome(NamedTuple):
    """What came; shares of the points after the first that had a price."""

    crps: float  # INVALID where a price of a path is zero
    parts: list[Part]
    steps: int
    covered: tuple[float, ...]  # by each of BANDS
    pit: float  # of the last price
    pits: Floats  # of every point after the first; NaN without a price


def outcome(real: Floats, paths: Shocks, competition: Competition) -> Outcome:
    """The outcome of paths by time and path at the prices that came, of which the last must be there.

    >>> from processors.online.synth_rules import newest
    >>> hour = newest().competition("BTC", 3_600)
    >>> paths = np.cumprod(np.vstack([np.full(4, 100.0), np.full((60, 4), [1, 1.001, 0.999, 1.002])]), axis=0)
    >>> found = outcome(np.full(61, 100.0), paths, hour)
    >>> found.pit, found.steps, found.covered
    (0.375, 60, (1.0, 1.0, 1.0))
    """
    found = parts(real, paths, competition)
    pits = _pits(real[1:], paths[1:])
    seen = pits[np.isfinite(pits)]
    covered = tuple(coverage(seen, band) for band in BANDS)
    crps = INVALID if found is None else sum(part.score for part in found)
    return Outcome(crps, found or [], len(seen), covered, float(pits[-1]), pits)


def warm() -> None:
    """Have compiled what forecasts and their outcomes need."""
    known = Known(100.0, 1e-9, 1e-9, 1e-9, EVEN)
    hour = newest().competition("BTC", HOUR_S)
    paths = forecast(known, ASSETS["BTC"], ASSETS["BTC"].hour, 0, hour.increment_s, hour.points - 1, 2)
    outcome(paths[:, 0].astype(np.float64), paths, hour)


def _pits(real: Any, paths: Any) -> Floats:
    """The PIT of each row."""
    came = real[:, None]
    shares = (paths < came).mean(axis=1) + 0.5 * (paths == came).mean(axis=1)
    return np.where(np.isfinite(real), shares, np.nan)
