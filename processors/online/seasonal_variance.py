"""EWMA variances of an asset bar by bar, as if every minute were an average one (consumers/synth/history.py, online).

- A return is divided by the mean multiplier of the minutes that it is over: market hours times the profile of the day.
- The profile of a day is what was known at its midnight; a day in which nothing came counts as one without returns.
- Between two bars there may be a gap; how it decays a variance is said in ewma_variance.py.
- Several half-lives are fed by the same returns, each a rung of a ladder. A rung that a snapshot lacks begins with the
  one whose half-life is nearest.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from processors.online.crps import Floats
from processors.online.day_profile import DAY, SLOT, DayProfile, kind_of_day, spread
from processors.online.ewma_variance import NORMAL, EwmaVariance
from processors.online.market_hours import variance_multipliers
from processors.online.resampling import WIDE
from processors.online.synth_assets import Asset


class Ladder:
    """EWMA variances of the same returns over several half-lives, and where the last return ended."""

    def __init__(self, half_lives: Sequence[float], width: int) -> None:
        self.rungs = {half_life: EwmaVariance(half_life) for half_life in half_lives}
        self.width = width  # minutes of a bar
        self.minute = -1  # last minute of the last bar; -1 before the first
        self.price = math.nan
        self.passed = 0.0  # multipliers of the minutes since, summed

    def update(self, minute: int, price: float) -> float:
        """Take a bar's close; the log return that it brings, NaN for the first."""
        move = math.nan
        if self.minute >= 0:
            apart = minute - self.minute
            move = math.log(price / self.price)
            even = move / math.sqrt(self.passed / apart)
            for rung in self.rungs.values():
                rung.update(even, apart // self.width - 1 if rung.weight > 0.0 else 0)
        self.minute, self.price, self.passed = minute, price, 0.0
        return move

    def rates(self) -> dict[float, float]:
        """Variance per second by half-life; 0 before the first return."""
        each = 60.0 * self.width
        return {half_life: rung.variance / each if rung.weight else 0.0 for half_life, rung in self.rungs.items()}

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        rungs = [[rung.half_life, rung.total, rung.weight] for rung in self.rungs.values()]
        price = 0.0 if math.isnan(self.price) else self.price
        return {"means": rungs, "minute": self.minute, "price": price, "passed": self.passed}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self.minute, self.price, self.passed = snapshot["minute"], snapshot["price"], snapshot["passed"]
        means = snapshot["means"] if "means" in snapshot else [of_squares(*rung) for rung in snapshot["rungs"]]
        for half_life in self.rungs if means else ():
            nearest = min(means, key=lambda rung: abs(math.log(rung[0] / half_life)))
            self.rungs[half_life] = EwmaVariance(half_life, *nearest[1:])


def of_squares(half_life: float, total: float, weight: float) -> tuple[float, float, float]:
    """A rung of a snapshot of before 2026-11-22, of mean squares, as one of the same variance."""
    return half_life, math.sqrt(total * weight / NORMAL), weight


class SeasonalVariance:
    """The state, fed by ``on_bar`` and ``on_wide``."""

    def __init__(self, asset: Asset, narrow: Sequence[float], wide: Sequence[float]) -> None:
        self.asset = asset
        self.narrow, self.wide = Ladder(narrow, 1), Ladder(wide, WIDE)
        self.reached = -1  # minute up to which multipliers are summed
        self.profile, self.multipliers = DayProfile(), DayProfile().multipliers()
        self.returns: Floats = np.full(DAY, np.nan)  # of the day, over what the market's hours are like

    def on_bar(self, minute: int, close: float) -> None:
        """Take the close of a minute after all before."""
        if not (minute > self.narrow.minute and 0.0 < close < math.inf):
            raise ValueError(f"minute {minute}, close {close}: after minute {self.narrow.minute}")
        follows = minute == self.narrow.minute + 1
        self._advance(minute)
        move = self.narrow.update(minute, close)
        if follows and not math.isnan(move):
            calendar = float(variance_multipliers(self.asset, minute, 1)[0])
            self.returns[minute % DAY] = move / math.sqrt(calendar)

    def on_wide(self, minute: int, close: float) -> None:
        """Take the close of a wide bar by its last minute, before any bar of a later minute."""
        if not (minute > self.wide.minute and minute >= self.narrow.minute and 0.0 < close < math.inf):
            raise ValueError(f"wide bar up to minute {minute}, close {close}: after minute {self.wide.minute}")
        self._advance(minute)
        self.wide.update(minute, close)

    def _advance(self, minute: int) -> None:
        """Let the time come to a minute, day by day."""
        if self.reached < 0:
            self.reached = minute
        while self.reached < minute:
            first = self.reached + 1
            if first % DAY == 0:
                self._midnight(first // DAY - 1)
            last = min(minute, first - first % DAY + DAY - 1)
            passed = self._passed(first, last - first + 1)
            self.narrow.passed += passed
            self.wide.passed += passed
            self.reached = last

    def _passed(self, first: int, count: int) -> float:
        """The multipliers of some minutes of a day, summed."""
        calendar = variance_multipliers(self.asset, first, count)
        if count == 1:
            return float(calendar[0] * self.multipliers[kind_of_day(first // DAY), first % DAY // SLOT])
        return float(calendar @ spread(self.multipliers, first, count))

    def _midnight(self, day: int) -> None:
        """A day is over."""
        self.profile.update(day, self.returns)
        self.multipliers = self.profile.multipliers()
        self.returns[:] = np.nan

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values; arrays as bytes."""
        return {
            "narrow": self.narrow.snapshot(),
            "wide": self.wide.snapshot(),
            "reached": self.reached,
            "sums": self.profile.sums.tobytes(),
            "counts": self.profile.counts.tobytes(),
            "multipliers": self.multipliers.tobytes(),
            "returns": self.returns.tobytes(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self.narrow.restore(snapshot["narrow"])
        self.wide.restore(snapshot["wide"])
        self.reached = snapshot["reached"]
        sums, counts, multipliers = (
            np.frombuffer(snapshot[name], np.float64).reshape(2, -1).copy()
            for name in ("sums", "counts", "multipliers")
        )
        self.profile, self.multipliers = DayProfile(sums, counts), multipliers
        self.returns = np.frombuffer(snapshot["returns"], np.float64).copy()
