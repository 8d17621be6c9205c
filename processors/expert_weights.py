"""Topic ``expert_weights``: how much each expert is trusted, by what its forecasts would have scored.

Experts and the formula stand in processors/online/synth_experts.py. The stage makes the experts' forecasts itself, from
the states as they come, and weighs them when their horizon is over, so that forecasts may depend on weights while
weights do not on forecasts. All experts of a trial see the same random numbers; a trial whose last price is missing
changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from processors.online.innovations import Shocks
from processors.online.recent_closes import RecentCloses
from processors.online.resampling import MINUTE_NS
from processors.online.synth_assets import ASSETS, HOUR_S
from processors.online.synth_experts import Expert, experts, updated
from processors.online.synth_forecast import Known, known_of, profile_of, recipe, simulated, work
from processors.online.synth_outcome import warm
from processors.online.synth_rules import LEAD_MINUTES, NAMES, STEPS_S, Competition, competition_at
from processors.online.synth_score import score
from processors.stage import Stage
from schemas import ExpertWeight, VolatilityState


@dataclass(frozen=True)
class ExpertWeightOptions:
    """How often experts are tried, on how many paths, and how fast trust moves."""

    day_every_minutes: int = 60
    hour_every_minutes: int = 15
    paths: int = 400
    eta: float = 3.0
    alpha: float = 0.01

    def __post_init__(self) -> None:
        if min(self.day_every_minutes, self.hour_every_minutes) < 1:
            raise ValueError("day_every_minutes and hour_every_minutes must be at least 1")
        if not 2 <= self.paths <= 10_000:
            raise ValueError(f"paths must lie between 2 and 10000, not {self.paths}")
        if not self.eta >= 0.0 or not 0.0 <= self.alpha <= 1.0:
            raise ValueError(f"eta must not be negative and alpha lie between 0 and 1, not {self.eta}, {self.alpha}")

    def every(self, length_s: int) -> int:
        """Minutes between two trials of a length."""
        return self.hour_every_minutes if length_s == HOUR_S else self.day_every_minutes


class Trial(msgspec.Struct, array_like=True):
    """What the experts' forecasts are made from."""

    asset: str
    length_s: int
    start: int  # minute
    price: float
    slow: float
    fasts: list[float]  # by expert
    profile: bytes
    anchor: float = 0.0  # 0 in a snapshot of before there was one


@dataclass(slots=True)
class ExpertWeightState:
    """Closes, trials whose horizon is open, and the weights."""

    closes: RecentCloses = field(default_factory=RecentCloses)
    trials: list[Trial] = field(default_factory=list)
    weights: dict[str, dict[str, float]] = field(default_factory=dict)  # length, expert
    scores: dict[str, int] = field(default_factory=dict)  # length


class ExpertWeights(Stage[VolatilityState, ExpertWeight]):
    """Tries the experts and weighs them."""

    Options = ExpertWeightOptions
    State = ExpertWeightState
    options: ExpertWeightOptions
    state: ExpertWeightState

    @classmethod
    def warm(cls) -> None:
        """Have the kernels compiled."""
        warm()

    def on_event(self, event: VolatilityState) -> Iterator[ExpertWeight]:
        minute = event.event_ns // MINUTE_NS - 1
        self.state.closes.put(minute, event.price)
        for trial in [trial for trial in self.state.trials if trial.start + trial.length_s // 60 <= minute]:
            self.state.trials.remove(trial)
            yield from self._weighed(trial, event.event_ns)
        if event.warm and event.asset:
            self._try(event, minute + 1 + LEAD_MINUTES)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        state = self.state
        trials = msgspec.msgpack.encode(state.trials)
        return {
            "closes": list(state.closes.snapshot()),
            "trials": trials,
            "weights": {length: dict(weights) for length, weights in state.weights.items()},
            "scores": dict(state.scores),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        trials = msgspec.msgpack.decode(snapshot["trials"], type=list[Trial])
        closes = RecentCloses.restored(*snapshot["closes"])
        self.state = ExpertWeightState(closes, trials, snapshot["weights"], snapshot["scores"])

    def _try(self, event: VolatilityState, start: int) -> None:
        asset = ASSETS[event.asset]
        rates = msgspec.json.decode(event.ladder, type=dict[str, float])
        for length_s, step_s in STEPS_S.items():
            if start % self.options.every(length_s) or not competition_at(start * 60, asset.name, length_s, step_s):
                continue
            fasts = [rates[f"{expert.half_life_1m:g}"] for expert in experts(asset.model(length_s))]
            known = known_of(event, length_s)
            trial = Trial(asset.name, length_s, start, known.price, known.slow, fasts, event.profile, known.anchor)
            self.state.trials.append(trial)

    def _paths(self, trial: Trial, tried: Sequence[Expert], competition: Competition) -> Iterator[Shocks]:
        """The paths of each expert, in the same arrays one after the other."""
        asset = ASSETS[trial.asset]
        anchor = trial.anchor or trial.slow
        known = Known(trial.price, trial.fasts[0], trial.slow, anchor, profile_of(trial.profile))
        usual = recipe(
            known, asset, asset.model(trial.length_s), trial.start * 60, competition.increment_s, competition.points - 1
        )
        within = work(competition.points - 1, self.options.paths)
        for expert, fast in zip(tried, trial.fasts, strict=True):
            variance = usual.variance._replace(fast=fast, fast_half_life_s=expert.half_life_1m * 60.0)
            yield simulated(usual._replace(variance=variance, nu=expert.nu), self.options.paths, within)

    def _weighed(self, trial: Trial, event_ns: int) -> Iterator[ExpertWeight]:
        start_s, step_s = trial.start * 60, STEPS_S[trial.length_s]
        competition = competition_at(start_s, trial.asset, trial.length_s, step_s)
        if competition is None:
            return
        real = self.state.closes.at(trial.start, competition.points, step_s // 60)
        if not np.isfinite(real[-1]):
            return
        tried = experts(ASSETS[trial.asset].model(trial.length_s))
        scores = [score(real, paths, competition) for paths in self._paths(trial, tried, competition)]
        length = NAMES[trial.length_s]
        before = self.state.weights.get(length, {})
        weights = [before.get(str(expert), 1.0 / len(tried)) for expert in tried]
        weights = updated(weights, scores, self.options.eta, self.options.alpha)
        self.state.weights[length] = {str(expert): weight for expert, weight in zip(tried, weights, strict=True)}
        self.state.scores[length] = self.state.scores.get(length, 0) + 1
        for expert, weight, crps in zip(tried, weights, scores, strict=True):
            yield ExpertWeight(
                instrument=self.key,
                event_ns=event_ns,
                asset=trial.asset,
                competition=length,
                expert=str(expert),
                half_life_s=expert.half_life_1m * 60.0,
                nu=expert.nu,
                weight=weight,
                crps=crps,
                scores=self.state.scores[length],
            )
