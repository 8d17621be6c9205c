"""Fits of lambda(delta) = A exp(-kappa delta) to fills counted at evenly spaced depths, with 90 % intervals.

``exponential``, for virtual quotes. Were every quote put up again as soon as it is filled, each taker would be a draw
of how deep it reaches, and depth k would be passed by the share exp(-kappa h) of those that reach it. The most likely
kappa is then, h being the spacing and lambda_k = fills / seconds,

    kappa = 1/h ln( sum of lambda_k without the deepest / sum of lambda_k without the nearest )

It needs no logarithm of a rate, so depths without fills count for what they are.

``regression``, for quotes in the queue: least squares of ln lambda_k on delta, weighed by fills (the variance of a
logarithm is 1 / fills), or all alike. ln (fills + 1/2) is taken, whose mean is that of ln lambda up to 1 / fills^2.

Intervals: ln kappa by leaving out one block of the window at a time (jackknife), with Student's t. Blocks hold the
bursts of a real market together. What cannot be estimated has a reason and no figure.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from processors.online.fill_counts import Counts, Floats

LEVEL = 0.90
LEAST_BLOCKS = 10  # with fewer, the spread of the blocks is no better known than by half
LEAST_FILLS = 20  # at the best depth
LEAST_DEEPER = 5  # fills of a depth that the regression takes, and of all but the nearest for the other
SEEN = 0.5  # of the longest seen depth's seconds that a depth needs: what is seen more rarely is another market


class Fit(NamedTuple):
    """A decay per tick and a rate per second; all 0 where ``reason`` says why there is none."""

    kappa: float = 0.0
    low: float = 0.0
    high: float = 0.0
    scale: float = 0.0
    r_squared: float = 0.0
    reason: str = ""


class Line(NamedTuple):
    """ln lambda = ln scale - kappa delta."""

    kappa: float
    scale: float


Estimator = Callable[[Floats, Floats, Floats], Line]  # of fills, seconds and depths


def exponential(counts: Counts) -> Fit:
    """The most likely exponential decay.

    >>> fills = np.array([[80.0, 40.0, 20.0, 10.0]] * 12)
    >>> round(exponential(Counts(fills, np.full((12, 4), 100.0), np.arange(1.0, 5))).kappa, 6)
    0.693147
    """
    counts = seen(counts)
    reason = _too_little(counts)
    if reason:
        return Fit(reason=reason)
    fills = counts.fills.sum(axis=0)
    if fills[1:].sum() < LEAST_DEEPER:
        return Fit(reason=f"{int(fills[1:].sum())} fills beyond the nearest depth, {LEAST_DEEPER} are needed")
    return _with_interval(counts, _most_likely)


def regression(counts: Counts, weighed: bool = True) -> Fit:
    """The line of least squares through the logarithms of the rates.

    >>> fills = np.array([[80.0, 40.0, 20.0, 10.0]] * 12)
    >>> round(regression(Counts(fills, np.full((12, 4), 100.0), np.arange(1.0, 5))).kappa, 2)
    0.69
    """
    counts = seen(counts)
    reason = _too_little(counts)
    if reason:
        return Fit(reason=reason)
    enough = counts.fills.sum(axis=0) >= LEAST_DEEPER
    if enough.sum() < 3:
        return Fit(reason=f"{int(enough.sum())} depths with {LEAST_DEEPER} fills, 3 are needed")
    chosen = counts._replace(
        fills=counts.fills[:, enough], seconds=counts.seconds[:, enough], depths=counts.depths[enough]
    )
    return _with_interval(chosen, _weighed if weighed else _alike)


def seen(counts: Counts) -> Counts:
    """Depths from the nearest on as far as quotes could be followed; quotes deeper than the known book could not."""
    seconds = counts.seconds.sum(axis=0)
    short = np.flatnonzero(seconds < SEEN * seconds.max(initial=0.0))
    stop = int(short[0]) if len(short) else len(seconds)
    return counts._replace(fills=counts.fills[:, :stop], seconds=counts.seconds[:, :stop], depths=counts.depths[:stop])


def _most_likely(fills: Floats, seconds: Floats, depths: Floats) -> Line:
    rates = fills / seconds
    kappa = math.log(rates[:-1].sum() / rates[1:].sum()) / float(depths[1] - depths[0])
    return Line(kappa, float(rates.sum() / np.exp(-kappa * depths).sum()))


def _weighed(fills: Floats, seconds: Floats, depths: Floats) -> Line:
    return _line(np.log((fills + 0.5) / seconds), depths, fills)


def _alike(fills: Floats, seconds: Floats, depths: Floats) -> Line:
    return _line(np.log((fills + 0.5) / seconds), depths, np.ones_like(fills))


def _line(logs: Floats, depths: Floats, weights: Floats) -> Line:
    share = weights / weights.sum()
    middle, level = share @ depths, share @ logs
    slope = float(share @ ((depths - middle) * (logs - level)) / (share @ (depths - middle) ** 2))
    return Line(-slope, float(np.exp(level - slope * middle)))


def _with_interval(counts: Counts, estimator: Estimator) -> Fit:
    used = counts.seconds.sum(axis=1) > 0.0
    fills, seconds = counts.fills[used], counts.seconds[used]
    all_fills, all_seconds = fills.sum(axis=0), seconds.sum(axis=0)
    line = estimator(all_fills, all_seconds, counts.depths)
    if not line.kappa > 0.0:
        return Fit(reason="the rate of fills does not fall with the distance")
    logs = []
    for block_fills, block_seconds in zip(fills, seconds, strict=True):
        rest, rest_seconds = all_fills - block_fills, all_seconds - block_seconds
        if rest[1:].sum() <= 0.0 or (rest_seconds <= 0.0).any():
            return Fit(reason="one stretch of the window holds all there is to see")
        kappa = estimator(rest, rest_seconds, counts.depths).kappa
        if not kappa > 0.0:
            return Fit(reason="the rate of fills falls with the distance in one stretch of the window only")
        logs.append(math.log(kappa))
    blocks = len(logs)
    error = math.sqrt((blocks - 1) * float(np.var(logs)))
    factor = math.exp(float(stdtrit(blocks - 1, (1.0 + LEVEL) / 2.0)) * error)
    explained = _r_squared(line, all_fills, all_seconds, counts.depths, estimator is not _alike)
    return Fit(line.kappa, line.kappa / factor, line.kappa * factor, line.scale, explained)


def _too_little(counts: Counts) -> str:
    blocks = int((counts.seconds.sum(axis=1) > 0.0).sum())
    if blocks < LEAST_BLOCKS:
        return f"{blocks} stretches of the window seen, {LEAST_BLOCKS} are needed"
    if len(counts.depths) < 2:
        return "one depth could be followed, two are needed"
    most = int(counts.fills.sum(axis=0).max())
    if most < LEAST_FILLS:
        return f"{most} fills at the best depth, {LEAST_FILLS} are needed"
    return ""


def _r_squared(line: Line, fills: Floats, seconds: Floats, depths: Floats, weighed: bool) -> float:
    """Share of the logarithms' variance that the line explains, at depths with fills; 0 where it explains none."""
    filled = fills > 0.0
    logs = np.log(fills[filled] / seconds[filled])
    weights = fills[filled] if weighed else np.ones_like(logs)
    left = weights @ (logs - (math.log(line.scale) - line.kappa * depths[filled])) ** 2
    whole = weights @ (logs - weights @ logs / weights.sum()) ** 2
    return max(0.0, 1.0 - float(left / whole)) if whole > 0.0 else 0.0
