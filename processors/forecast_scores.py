"""Topic ``forecast_scores``: what came of each forecast, once its horizon is over.

- The price at a time is the close of the minute that begins then, as the subnet reads it; the forecast's paths are made
  again, and scored by the rules that were in force at their start.
- The horizon is over with the first bar at or after its last minute. Where that minute has no bar, the forecast is told
  with ``steps`` 0 and no score, as the subnet scores none; minutes missing before are left out as it does.
- ``reference_crps`` is the score of normal returns of the variance that the same states foretell.
- A forecast of no competition is passed over, and one without ``fast_weight`` is told without a score: it was made by
  the model before, whose paths cannot be made again.
"""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from processors.online.recent_closes import RecentCloses
from processors.online.resampling import MINUTE_NS
from processors.online.synth_forecast import SECOND_NS, mixed, simulated
from processors.online.synth_mixture import gaussian, recipes, whole
from processors.online.synth_outcome import Outcome, outcome, warm
from processors.online.synth_rules import competition_at, rules_at
from processors.online.synth_score import INVALID, score
from processors.stage import Stage
from schemas import Forecast, ForecastScore, Rejected, VolatilityState


@dataclass(frozen=True, slots=True)
class ForecastScoreOptions:
    """How many forecasts of an instrument may wait for what comes."""

    most_waiting: int = 2_000

    def __post_init__(self) -> None:
        if self.most_waiting < 1:
            raise ValueError(f"most_waiting must be at least 1, not {self.most_waiting}")


@dataclass(slots=True)
class ForecastScoreState:
    """Closes, and the forecasts whose horizon is not over."""

    closes: RecentCloses = field(default_factory=RecentCloses)
    waiting: list[tuple[int, bytes]] = field(default_factory=list)  # last minute; the forecast packed, without bands


class ForecastScores(Stage[VolatilityState | Forecast, ForecastScore]):
    """Scores forecasts."""

    Options = ForecastScoreOptions
    State = ForecastScoreState
    options: ForecastScoreOptions
    state: ForecastScoreState

    @classmethod
    def warm(cls) -> None:
        """Have the kernels compiled."""
        warm()

    def on_event(self, event: VolatilityState | Forecast) -> Iterator[ForecastScore]:
        if isinstance(event, Forecast):
            self._wait(event)
            return
        minute = event.event_ns // MINUTE_NS - 1
        self.state.closes.put(minute, event.price)
        over = [data for last, data in self.state.waiting if last <= minute]
        self.state.waiting = [each for each in self.state.waiting if each[0] > minute]
        for data in over:
            yield self._scored(unpacked(data), event.event_ns)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "closes": list(self.state.closes.snapshot()),
            "waiting": [list(each) for each in self.state.waiting],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        waiting = [(last, data) for last, data in snapshot["waiting"]]
        self.state = ForecastScoreState(RecentCloses.restored(*snapshot["closes"]), waiting)

    def _wait(self, forecast: Forecast) -> None:
        if not forecast.competition:
            return
        if len(self.state.waiting) >= self.options.most_waiting:
            raise Rejected(f"{len(self.state.waiting)} forecasts wait for what comes, this one cannot")
        last = (forecast.start_ns + forecast.steps * forecast.step_ms * 1_000_000) // MINUTE_NS
        self.state.waiting.append((last, packed(forecast)))

    def _scored(self, forecast: Forecast, event_ns: int) -> ForecastScore:
        start_s, step_s = forecast.start_ns // SECOND_NS, forecast.step_ms // 1_000
        competition = competition_at(start_s, forecast.asset, forecast.steps * step_s, step_s)
        real = self.state.closes.at(start_s // 60, forecast.steps + 1, step_s // 60)
        found, against = None, 0.0
        if competition and forecast.fast_weight and np.isfinite(real[-1]):
            found = outcome(real, mixed(recipes(forecast)), competition)
            against = score(real, simulated(gaussian(whole(forecast)), forecast.paths), competition)
        return self._told(forecast, event_ns, float(real[-1]), found, against)

    def _told(
        self, forecast: Forecast, event_ns: int, last: float, found: Outcome | None, against: float
    ) -> ForecastScore:
        scored = found is not None and found.crps != INVALID
        covered = found.covered if found else (0.0, 0.0, 0.0)
        return ForecastScore(
            instrument=self.key,
            event_ns=event_ns,
            asset=forecast.asset,
            competition=forecast.competition,
            origin=forecast.origin,
            start_ns=forecast.start_ns,
            crps=found.crps if found and scored else 0.0,
            reference_crps=max(against, 0.0),
            parts=json.dumps({part.name: part.score for part in found.parts}) if found else "",
            rules=rules_at(forecast.start_ns // SECOND_NS).since.isoformat(),
            steps=found.steps if found else 0,
            covered_50=covered[0],
            covered_90=covered[1],
            covered_95=covered[2],
            pit=found.pit if found else 0.0,
            pits=found.pits.astype("<f4").tobytes() if found else b"",
            last=last if found else 0.0,
        )


def packed(forecast: Forecast) -> bytes:
    """A forecast as few bytes, without its bands: a day of them waits for each asset, all in one checkpoint."""
    bare = msgspec.structs.replace(forecast, levels=b"", bands=b"")
    return zlib.compress(msgspec.msgpack.encode(msgspec.structs.astuple(bare)))


def unpacked(data: bytes) -> Forecast:
    """A forecast out of bytes."""
    return Forecast(*msgspec.msgpack.decode(zlib.decompress(data)))
