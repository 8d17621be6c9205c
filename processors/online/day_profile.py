"""How variance goes with the time of day: a multiplier for each half hour, of working days and of weekends (UTC).

Means of absolute returns by slot, squared: squares would let one news minute stand for a fortnight. A day counts half
after ``HALF_LIFE`` days. Slots know little for long, so they are drawn towards what is known better, as if
that had been seen on some days more: the slot of all days towards the mean of all, that of a kind of day towards the
slot of all days times what that kind is like. Then neighbours are smoothed.

A profile changes at midnight only, so that it is the same for every forecast of a day.
"""

from dataclasses import dataclass, field

import numpy as np

from processors.online.crps import Floats

SLOT = 30  # minutes
SLOTS = 1_440 // SLOT
PRIOR = 2.0
HALF_LIFE = 14.0
SMOOTHING = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9.0
DAY = 1_440


def _empty() -> Floats:
    return np.zeros((2, SLOTS))


def kind_of_day(day: int) -> int:
    """0 for a working day, 1 for a weekend; ``day`` since the epoch, which was a Thursday.

    >>> [kind_of_day(day) for day in range(7)]
    [0, 0, 1, 1, 0, 0, 0]
    """
    return int((day + 3) % 7 >= 5)


@dataclass(slots=True)
class DayProfile:
    """The state; fed day by day, missing minutes being NaN."""

    sums: Floats = field(default_factory=_empty)
    counts: Floats = field(default_factory=_empty)

    def update(self, day: int, returns: Floats) -> None:
        """Take the 1,440 log returns of a day, by minute."""
        if returns.shape != (DAY,):
            raise ValueError(f"returns: {returns.shape} for a day of {DAY} minutes")
        seen = np.isfinite(returns).reshape(SLOTS, SLOT)
        moved = np.where(seen, np.abs(returns).reshape(SLOTS, SLOT), 0.0)
        share = 2.0 ** (-1.0 / HALF_LIFE)
        self.sums *= share
        self.counts *= share
        self.sums[kind_of_day(day)] += moved.sum(axis=1)
        self.counts[kind_of_day(day)] += seen.sum(axis=1)

    def multipliers(self) -> Floats:
        """Variance of each slot against the mean, by kind of day; ones before the first day.

        >>> DayProfile().multipliers()[:, :3].tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
        """
        total = self.sums.sum()
        if not total > 0.0:
            return np.ones((2, SLOTS))
        mean = total / self.counts.sum()
        prior = PRIOR * SLOT
        every = (self.sums.sum(axis=0) + prior * mean) / (self.counts.sum(axis=0) + prior)
        kinds = (self.sums.sum(axis=1) + prior * SLOTS * mean) / (self.counts.sum(axis=1) + prior * SLOTS)
        expected = every * (kinds / mean)[:, None]
        found = (self.sums + 2.0 * prior * expected) / (self.counts + 2.0 * prior)
        around = np.concatenate((found[:, -2:], found, found[:, :2]), axis=1)
        smooth = np.array([np.convolve(row, SMOOTHING, "valid") for row in around])
        return np.asarray((smooth / every.mean()) ** 2)


def spread(profile: Floats, start: int, count: int) -> Floats:
    """A profile's multiplier of each minute from ``start`` on."""
    minutes = np.arange(start, start + count)
    days = minutes // DAY
    kinds = np.array([kind_of_day(day) for day in range(days[0], days[-1] + 1)])[days - days[0]]
    return np.asarray(profile[kinds, minutes % DAY // SLOT])
