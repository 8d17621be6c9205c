"""The closes of the last minutes, by minute; what a forecast is scored by when its horizon is over."""

from dataclasses import dataclass, field

import numpy as np

from processors.online.crps import Floats

KEPT = 1_500  # minutes: a day, and what lies between a state and the start of its forecast


def _none() -> Floats:
    return np.full(KEPT, np.nan)


@dataclass(slots=True)
class RecentCloses:
    """A ring, fed minute by minute.

    >>> closes = RecentCloses()
    >>> for minute, close in ((10, 1.0), (12, 3.0)):
    ...     closes.put(minute, close)
    >>> closes.at(9, 4).tolist()
    [nan, 1.0, nan, 3.0]
    """

    last: int = -1  # newest minute; -1 before the first
    ring: Floats = field(default_factory=_none)  # NaN where there is no bar

    def put(self, minute: int, close: float) -> None:
        """Take a close; of a minute that comes again the last one counts, one that is too old is passed over."""
        if self.last < 0:
            self.last = minute
        passed = np.arange(max(self.last + 1, minute - KEPT + 1), minute + 1)
        self.ring[passed % KEPT] = np.nan
        self.last = max(self.last, minute)
        if minute > self.last - KEPT:
            self.ring[minute % KEPT] = close

    def at(self, first: int, count: int, every: int = 1) -> Floats:
        """The closes of so many minutes, each ``every`` after the one before; NaN where none is known."""
        minutes = first + every * np.arange(count)
        there = (minutes > self.last - KEPT) & (minutes <= self.last)
        return np.where(there, self.ring[minutes % KEPT], np.nan)

    def snapshot(self) -> tuple[int, bytes]:
        """The state as plain values."""
        return self.last, self.ring.tobytes()

    @classmethod
    def restored(cls, last: int, ring: bytes) -> "RecentCloses":
        """The state of a snapshot."""
        return cls(last, np.frombuffer(ring, np.float64).copy())
