"""What a history of minute bars says at each of its minutes: price, the variance states, and how hours differ.

Everything at a minute depends on bars up to that minute only, so one pass over a history serves a forecast at any time:

- A return is divided by the multiplier of its minutes (market hours, times the profile of the day), so that the states
  are of a minute of average liveliness; a forecast multiplies again.
- The profile of a day is what was known at its midnight.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consumers.synth.bars import Minutes
from processors.online.crps import Floats
from processors.online.day_profile import DAY, DayProfile, spread
from processors.online.ewma_variance import variances
from processors.online.market_hours import variance_multipliers
from processors.online.synth_assets import ANCHOR, Asset

Ints: TypeAlias = NDArray[np.int64]

WIDE = 5  # minutes of the wider bars


class History(NamedTuple):
    """A history and what does not depend on the model's parameters."""

    asset: Asset
    minutes: Minutes
    prices: Floats  # the last close that there is
    profiles: list[Floats]  # as known at the midnight of each day
    narrow: Floats  # absolute returns of bars of one minute; NaN where there is no bar
    wide: Floats  # of bars of five minutes; the last one that is closed in the history is the last

    def at(self, minute: int) -> int:
        """The index of a minute."""
        return minute - self.minutes.start

    def profile(self, day: int) -> Floats:
        """The profile of a day, as known at its midnight."""
        return self.profiles[max(day - self.minutes.start // DAY, 0)]


def history(asset: Asset, minutes: Minutes) -> History:
    """Look at a history."""
    prices = filled(minutes.closes)
    calendar = variance_multipliers(asset, minutes.start, len(prices))
    profiles, seasons = learned(minutes, calendar)
    every = calendar * seasons
    ends = np.arange(_first_end(minutes), len(prices), WIDE, dtype=np.int64)
    closes = prices[ends]
    if len(ends):
        seen = np.isfinite(minutes.closes[: ends[-1] + 1])
        closes[np.add.reduceat(seen, np.append(0, ends[:-1] + 1)) == 0] = np.nan
    return History(
        asset, minutes, prices, profiles, scaled(minutes.closes, every, np.arange(len(prices), dtype=np.int64)),
        scaled(closes, every, ends),
    )  # fmt: skip


def filled(closes: Floats) -> Floats:
    """The last close there is at each minute.

    >>> filled(np.array([1.0, np.nan, 2.0])).tolist()
    [1.0, 1.0, 2.0]
    """
    places = np.maximum.accumulate(np.where(np.isfinite(closes), np.arange(len(closes)), 0))
    return closes[places]


def scaled(closes: Floats, multipliers: Floats, ends: Ints) -> Floats:
    """Absolute log returns between closes at ``ends``, over the root of the mean multiplier of the minutes between."""
    places = np.flatnonzero(np.isfinite(closes))
    sizes = np.full(len(closes), np.nan)
    sums = np.concatenate(([0.0], np.cumsum(multipliers)))
    begin, end = ends[places[:-1]], ends[places[1:]]
    mean = (sums[end + 1] - sums[begin + 1]) / np.maximum(end - begin, 1)
    sizes[places[1:]] = np.abs(np.diff(np.log(closes[places]))) / np.sqrt(mean)
    return sizes


def learned(minutes: Minutes, calendar: Floats) -> tuple[list[Floats], Floats]:
    """The profile at the midnight of each day that the history touches, and its multiplier of each minute."""
    returns = np.diff(np.log(minutes.closes), prepend=np.nan) / np.sqrt(calendar)
    first, last = minutes.start // DAY, (minutes.end - 1) // DAY
    padded = np.full((last - first + 1) * DAY, np.nan)
    padded[minutes.start % DAY :][: len(returns)] = returns
    profile, known = DayProfile(), []
    for day in range(first, last + 1):
        known.append(profile.multipliers())
        profile.update(day, padded[(day - first) * DAY :][:DAY])
    seasons = np.concatenate([spread(at, (first + place) * DAY, DAY) for place, at in enumerate(known)])
    return known, seasons[minutes.start % DAY :][: len(returns)]


class States(NamedTuple):
    """Variance per second, fast by minute and slow by wider bar."""

    fast: Floats
    slow: Floats
    anchor: Floats  # as slow


def states(found: History, half_life_1m: float, half_life_5m: float) -> States:
    """The states after every bar."""
    fast = variances(found.narrow, half_life_1m) / 60.0
    slow, anchor = (variances(found.wide, half_life) / (60.0 * WIDE) for half_life in (half_life_5m, ANCHOR))
    return States(fast, slow, anchor)


def known_wide(found: History, index: int) -> int:
    """The index of the last wider bar that is closed after the minute ``index``; -1 where none is."""
    return (index - _first_end(found.minutes)) // WIDE


def _first_end(minutes: Minutes) -> int:
    """The index of the last minute of the first wider bar."""
    return (-minutes.start - 1) % WIDE
