"""The score of one forecast as the Synth subnet computes it: CRPS summed over intervals, in basis points.

Prices stand as rows by time, one column for each path. Rules, for an interval of k steps:

- Of every k-th price the simple returns in basis points are scored, step by step, and summed.
- ``_abs``: the prices themselves are scored, as 10,000ths of the last real price; where the path is shorter than the
  interval, k falls until a second price is there.
- ``_gaps``: the first step only.
- A step without a real price at one of its ends is left out. A path with a price of zero scores ``INVALID``.
- Volatility: of blocks of returns over one increment the standard deviation (ddof 1), scored and weighed; a block
  with fewer than two real returns is left out.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from processors.online.crps import Floats, crps_of_rows
from processors.online.synth_rules import Competition
from schemas.jit import kernel

INVALID = -1.0
BASIS_POINTS = 10_000.0
ROWS = 32


class Part(NamedTuple):
    """What one interval added."""

    name: str
    score: float
    steps: int  # that had a real price at both ends


def score(real: Any, paths: Any, competition: Competition) -> float:
    """The score of ``paths`` (time, path) at the prices ``real`` that came; NaN where there was none.

    >>> from processors.online.synth_rules import newest
    >>> real, paths = [100, 100.1, 100, 99.9, 100.2], [[100] * 3, [100.05, 99.9, 100.2], [100.1, 99.8, 100.1],
    ...                                               [100, 99.9, 100.3], [100.1, 100, 100.4]]
    >>> day = newest().competition("BTC", 86_400)
    >>> round(score(real, paths, day._replace(intervals={"5min": 300})), 6)
    36.708627
    """
    found = parts(real, paths, competition)
    return INVALID if found is None else sum(part.score for part in found)


def parts(real: Any, paths: Any, competition: Competition) -> list[Part] | None:
    """The score by intervals, volatility included; None where a price is zero."""
    came = np.asarray(real, np.float64)
    prices = np.ascontiguousarray(paths, np.float64)
    if came.shape != prices.shape[:1]:
        raise ValueError(f"paths: {prices.shape[0]} points for {len(came)} real ones")
    if not prices.all():
        return None
    steps = [_steps(came, name, seconds // competition.increment_s) for name, seconds in competition.intervals.items()]
    scores = iter(_scores(came, prices, np.concatenate(steps)).tolist() if steps else ())
    found = [
        Part(name, sum(next(scores) for _ in step), len(step))
        for name, step in zip(competition.intervals, steps, strict=True)
    ]
    return [*found, *_volatilities(came, prices, competition)]


def _steps(real: Floats, name: str, every: int) -> Any:
    """First and last index of each step that is scored; the first is -1 where the price itself is."""
    absolute = name.endswith("_abs")
    if absolute:
        every = min(every, max(len(real) - 1, 1))
    ends = np.arange(every, len(real), every)
    if name.endswith("_gaps"):
        ends = ends[:1]
    begins = np.full(len(ends), -1) if absolute else ends - every
    seen = np.isfinite(real[ends]) & np.isfinite(real[begins])
    if absolute:
        seen = np.isfinite(real[ends])
        if len(ends) and not np.isfinite(real[-1]):
            raise ValueError("real: the last price is missing, and such a prompt is not scored")
    return np.column_stack((begins[seen], ends[seen]))


def _scores(real: Floats, prices: Floats, steps: Any) -> Floats:
    """The score of each step, some at a time, so that they stay in the processor's cache."""
    scores = np.empty(len(steps))
    scale = BASIS_POINTS / real[-1]
    rows, observed = np.empty((ROWS, prices.shape[1])), np.empty((ROWS, 1))
    for begin in range(0, len(steps), ROWS):
        some = steps[begin : begin + ROWS]
        changes(prices, some, scale, rows)
        changes(real.reshape(-1, 1), some, scale, observed)
        scores[begin : begin + ROWS] = crps_of_rows(observed[: len(some), 0], rows[: len(some)])
    return scores


@kernel
def changes(prices: Any, steps: Any, scale: float, rows: Any) -> None:
    """Fill ``rows`` with what is scored of each step and path."""
    for row in range(len(steps)):
        begin, end = steps[row]
        for path in range(prices.shape[1]):
            if begin < 0:
                rows[row, path] = prices[end, path] * scale
            else:
                rows[row, path] = (prices[end, path] - prices[begin, path]) / prices[begin, path] * BASIS_POINTS


def _volatilities(real: Floats, prices: Floats, competition: Competition) -> Iterator[Part]:
    for block_s, weight in competition.blocks.items():
        steps = block_s // competition.increment_s
        came = deviations(real.reshape(-1, 1), steps)[:, 0]
        seen = np.isfinite(came)
        rows = deviations(prices, steps)[seen]
        yield Part(f"volatility_{block_s}s", weight * float(crps_of_rows(came[seen], rows).sum()), int(seen.sum()))


def deviations(prices: Floats, steps: int) -> Floats:
    """The standard deviation of returns in each block of steps and each path; NaN below two returns.

    >>> deviations(np.array([[100.0], [101.0], [99.99], [99.99]]), 3).round(3).tolist()
    [[100.0]]
    """
    returns = np.diff(prices, axis=0) / prices[:-1] * BASIS_POINTS
    blocks = len(returns) // steps
    cut = returns[: blocks * steps].reshape(blocks, steps, -1)
    seen = np.isfinite(cut)
    count = seen.sum(axis=1)
    mean = np.where(seen, cut, 0.0).sum(axis=1) / np.maximum(count, 1)
    squares = np.where(seen, (cut - mean[:, None]) ** 2, 0.0).sum(axis=1)
    return np.where(count >= 2, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
