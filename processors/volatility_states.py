"""Topic ``volatility_states``: after each one-minute bar, the variances that forecasts of an asset start from.

What they are stands in processors/online/seasonal_variance.py. Rules:

- A minute counts once: when it comes again it is passed over, and when it comes after a later one it is refused, as its
  return is part of that one's. Which of the two a minute more than a day back is, is not known: it is passed over.
- A state is warm when its bars go back far enough (72 h, or 5 days where the market behind a price shuts) and the last
  day has some. Whether it is stale judges the reader, who knows what time it is.
- An instrument whose prices are no asset's gets the usual half-lives, and no market hours.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from processors.online.resampling import MINUTE_NS, WIDE, Minute, checked, minute_of
from processors.online.seasonal_variance import SeasonalVariance
from processors.online.synth_assets import ANCHOR, ASSETS, FEWEST_MINUTES, USUAL, USUAL_HOUR, Asset
from processors.online.synth_experts import half_lives
from processors.stage import Stage
from schemas import Bar, Rejected, VolatilityState, WideBar

MINUTE_MS, DAY_MINUTES = 60_000, 1_440
UNKNOWN = Asset("", "", 1.0, 1.0, USUAL, USUAL_HOUR)
SOURCES = {asset.source: asset for asset in ASSETS.values()}


@dataclass(frozen=True)
class VolatilityStateOptions:
    """Whose prices are an asset's, and how many bars a day must have."""

    instruments: dict[str, str] = field(default_factory=dict)  # instrument: asset, beside those of synth_assets.py
    fewest_minutes: int = FEWEST_MINUTES  # of the last 1,440

    def __post_init__(self) -> None:
        for name in self.instruments.values():
            if name not in ASSETS:
                raise ValueError(f"instruments: {name!r} is none of {', '.join(ASSETS)}")
        if not 0 <= self.fewest_minutes <= DAY_MINUTES:
            raise ValueError(f"fewest_minutes must lie between 0 and {DAY_MINUTES}, not {self.fewest_minutes}")

    def asset(self, instrument: str) -> Asset:
        """The asset whose prices an instrument's are."""
        name = self.instruments.get(instrument)
        return ASSETS[name] if name else SOURCES.get(instrument, UNKNOWN)


@dataclass(slots=True)
class VolatilityStateState:
    """The variances, and which minutes there were."""

    variance: SeasonalVariance
    start: int = -1  # first minute
    minutes: int = 0
    seen: int = 0  # of the last 1,440 minutes, a bit for each with a bar; the last one is the lowest


class VolatilityStates(Stage[WideBar | Bar, VolatilityState]):
    """Takes returns into the variances.

    >>> stage = VolatilityStates("binance:BTCUSDT")
    >>> for minute, close in enumerate((100.0, 101.0)):
    ...     end_ns = (minute + 1) * MINUTE_NS
    ...     bar = Bar("binance:BTCUSDT", end_ns, end_ns, 60_000, 100.0, 101.0, 100.0, close, 0.0, 0.0, 0, 0.0)
    ...     [state] = stage.on_event(bar)
    >>> state.asset, f"{state.fast:.3e}", state.missing, state.reason
    ('BTC', '2.592e-06', 1438, '4320 minutes of history are needed, there are 1')
    """

    Options = VolatilityStateOptions
    State = VolatilityStateState
    options: VolatilityStateOptions
    state: VolatilityStateState

    def __init__(self, key: str, options: VolatilityStateOptions | None = None) -> None:
        self.key = key
        self.options = options or VolatilityStateOptions()
        self.asset = self.options.asset(key)
        self.state = VolatilityStateState(self._fresh())

    def on_event(self, event: WideBar | Bar) -> Iterator[VolatilityState]:
        try:
            if isinstance(event, WideBar):
                self._on_wide(event)
                return
            if event.width_ms != MINUTE_MS or not self._on_bar(event):
                return
        except ValueError as error:
            raise Rejected(str(error)) from None
        yield self._told(event)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        state = self.state
        seen = state.seen.to_bytes(DAY_MINUTES // 8, "little")
        return {"variance": state.variance.snapshot(), "start": state.start, "minutes": state.minutes, "seen": seen}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        variance = self._fresh()
        variance.restore(snapshot["variance"])
        seen = int.from_bytes(snapshot["seen"], "little")
        self.state = VolatilityStateState(variance, snapshot["start"], snapshot["minutes"], seen)

    def _fresh(self) -> SeasonalVariance:
        slow = sorted({self.asset.day.half_life_5m, self.asset.hour.half_life_5m, ANCHOR})
        return SeasonalVariance(self.asset, half_lives(self.asset), slow)

    def _on_wide(self, event: WideBar) -> None:
        if event.width_ms != WIDE * MINUTE_MS:
            raise ValueError(f"width_ms: {event.width_ms} where {WIDE * MINUTE_MS} was expected")
        self.state.variance.on_wide(event.event_ns // MINUTE_NS - 1, event.close)

    def _on_bar(self, event: Bar) -> bool:
        """Take a bar; whether it was new."""
        state = self.state
        minute = minute_of(event.event_ns, event.received_ns)
        checked(Minute(minute, event.open, event.high, event.low, event.close, event.volume))
        last = state.variance.narrow.minute
        if state.minutes and minute <= last:
            known = last - minute < DAY_MINUTES and state.seen >> (last - minute) & 1
            if minute < state.start or (last - minute < DAY_MINUTES and not known):
                raise ValueError(f"minute {minute} comes after minute {last}, too late")
            return False
        state.variance.on_bar(minute, event.close)
        gap = min(minute - last, DAY_MINUTES) if state.minutes else 0
        state.seen = (state.seen << gap | 1) & (1 << DAY_MINUTES) - 1
        state.start = state.start if state.minutes else minute
        state.minutes += 1
        return True

    def _told(self, event: Bar) -> VolatilityState:
        variance = self.state.variance
        fast, slow = variance.narrow.rates(), variance.wide.rates()
        day, hour = self.asset.day, self.asset.hour
        reason = self._lacking(event.event_ns // MINUTE_NS - 1)
        return VolatilityState(
            instrument=self.key,
            event_ns=event.event_ns,
            price=event.close,
            fast=fast[day.half_life_1m],
            slow=slow[day.half_life_5m],
            profile=variance.multipliers.astype("<f4").tobytes(),
            minutes=self.state.minutes,
            missing=DAY_MINUTES - self.state.seen.bit_count(),
            warm=not reason,
            reason=reason,
            asset=self.asset.name,
            hour_fast=fast[hour.half_life_1m],
            hour_slow=slow[hour.half_life_5m],
            ladder=json.dumps({f"{half_life:g}": rate for half_life, rate in fast.items()}),
            anchor=slow[ANCHOR],
            **self.asset.half_lives_s(),
        )

    def _lacking(self, minute: int) -> str:
        """What a state lacks to be warm; empty where it is."""
        needed, there = self.asset.warm_up_minutes, minute - self.state.start
        if there < needed:
            return f"{needed} minutes of history are needed, there are {there}"
        if (recent := self.state.seen.bit_count()) < self.options.fewest_minutes:
            return f"{self.options.fewest_minutes} bars in a day are needed, there are {recent}"
        return ""
