"""Wider bars out of one-minute bars by OHLC rules: first open, highest high, lowest low, last close, summed volume.

- Windows are multiples of their width since the epoch. One closes when a minute of a later one comes, or when told the
  time; a window without minutes gives no bar.
- Minutes may come in any order while their window is open; one that comes again replaces what it was.
- A minute of a window that is closed comes too late: the bar is out, and is not made again.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MINUTE_NS = 60_000_000_000
WIDE = 5  # minutes of the wider bars that volatility is measured on
AHEAD_NS = 5_000_000_000  # by which a venue's clock may be before ours


class Minute(NamedTuple):
    """A bar; ``minute`` since the epoch is where it begins."""

    minute: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(slots=True)
class Resampling:
    """The open window, fed minute by minute; plain values, so that it can be kept over a restart.

    >>> five = Resampling(5)
    >>> bars = [Minute(5, 1, 3, 1, 2, 10), Minute(7, 2, 2, 0.5, 1, 5), Minute(10, 1, 1, 1, 1, 1)]
    >>> [wide for bar in bars for wide in five.update(bar)]
    [Minute(minute=5, open=1, high=3, low=0.5, close=1, volume=15)]
    """

    width: int  # minutes
    window: int = 0  # where the open window begins; those before are closed
    minutes: dict[int, Minute] = field(default_factory=dict)
    late: int = 0  # minutes that came too late
    closed: int = 0  # minutes of the window that was closed last

    def update(self, bar: Minute) -> Iterator[Minute]:
        """Take a minute; gives the window that it closes.

        Raises:
            ValueError: prices that no bar has.

        """
        checked(bar)
        window = bar.minute - bar.minute % self.width
        if window < self.window:
            self.late += 1
            return
        if window > self.window:
            yield from self.advance(bar.minute)
        self.minutes[bar.minute] = bar

    def advance(self, minute: int) -> Iterator[Minute]:
        """The time has come to a minute: close the window if it is over."""
        window = minute - minute % self.width
        if window > self.window:
            if self.minutes:
                self.closed = len(self.minutes)
                yield merged(self.window, [self.minutes[key] for key in sorted(self.minutes)])
            self.window, self.minutes = window, {}


def merged(window: int, bars: list[Minute]) -> Minute:
    """One bar of several in the order of time."""
    return Minute(
        window,
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum(bar.volume for bar in bars),
    )


def checked(bar: Minute) -> Minute:
    """The bar, when it is one.

    Raises:
        ValueError: prices or a volume that no bar has.

    """
    prices = bar[1:5]
    positive = all(0 < price < math.inf for price in prices)
    if not positive or bar.low != min(prices) or bar.high != max(prices):
        raise ValueError(f"bar of minute {bar.minute}: prices {prices} are not positive or not in order")
    if not 0 <= bar.volume < math.inf:
        raise ValueError(f"bar of minute {bar.minute}: volume {bar.volume} is negative or no number")
    return bar


def minute_of(end_ns: int, received_ns: int) -> int:
    """The minute that a bar of one minute is of, by where it ends.

    >>> minute_of(120 * 10**9, 121 * 10**9)
    1

    Raises:
        ValueError: it ends within a minute, or in the future of its receipt.

    """
    if end_ns <= 0 or end_ns % MINUTE_NS:
        raise ValueError(f"event_ns: a bar of a minute cannot end at {end_ns}")
    if end_ns > received_ns + AHEAD_NS:
        raise ValueError(f"event_ns: the bar ends at {end_ns}, in the future of its receipt at {received_ns}")
    return end_ns // MINUTE_NS - 1
