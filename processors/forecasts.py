"""Topic ``forecasts``: the paths forecast for each prompt, as what they are made from and as bands.

- On schedule: from the state of the bar that ends a minute before the subnet would have the paths start, for each
  competition that the asset is in. Where that bar is missing, so is the forecast.
- For each prompt that was answered: from the state that it names, by the function that answered it, so that the same
  paths come out; a prompt with a digest is refused when they do not. Only the last states are kept.
- With ``mixture`` the scheduled forecasts are shared out among experts by their weights; answers are of one model.
- ``competition`` is empty where paths are such as no competition asks for. Nobody scores these.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np

from processors.online.bands import LEVELS, bands
from processors.online.synth_assets import ASSETS
from processors.online.synth_experts import experts
from processors.online.synth_forecast import SECOND_NS, digest, known_of, mixed, recipe
from processors.online.synth_mixture import Weighed, experts_text, recipes, signed
from processors.online.synth_outcome import warm
from processors.online.synth_rules import LEAD_MINUTES, NAMES, STEPS_S, cadence, competition_at
from processors.stage import Stage
from schemas import ExpertWeight, Forecast, Prompt, Rejected, VolatilityState

LEVEL_BYTES = np.array(LEVELS, "<f8").tobytes()


@dataclass(frozen=True, slots=True)
class ForecastOptions:
    """When to forecast unasked, and how."""

    schedule: bool = True
    day_every_minutes: int = 0  # 0: as often as the subnet asks
    hour_every_minutes: int = 0
    paths: int = 1_000
    mixture: bool = False
    kept_states: int = 30
    most_prices: int = 5_000_000  # of a prompt

    def __post_init__(self) -> None:
        if min(self.day_every_minutes, self.hour_every_minutes) < 0:
            raise ValueError("day_every_minutes and hour_every_minutes must not be negative")
        if not 2 <= self.paths <= 10_000:
            raise ValueError(f"paths must lie between 2 and 10000, not {self.paths}")
        if min(self.kept_states, self.most_prices) < 1:
            raise ValueError("kept_states and most_prices must be at least 1")

    def every(self, asset: str, length_s: int) -> int:
        """Minutes between two forecasts of a length."""
        return (self.hour_every_minutes if NAMES[length_s] == "1h" else self.day_every_minutes) or cadence(
            asset, length_s
        )


@dataclass(slots=True)
class ForecastState:
    """What forecasts start from."""

    states: dict[str, bytes] = field(default_factory=dict)  # the last ones, packed, by event time
    weights: dict[str, dict[str, float]] = field(default_factory=dict)  # competition, expert


class Asked(msgspec.Struct):
    """What paths are wanted."""

    start_s: int
    step_s: int
    length_s: int
    paths: int
    origin: str
    widened_s: float = 0.0


class Forecasts(Stage[ExpertWeight | VolatilityState | Prompt, Forecast]):
    """Forecasts on schedule, and again what was answered."""

    Options = ForecastOptions
    State = ForecastState
    options: ForecastOptions
    state: ForecastState

    @classmethod
    def warm(cls) -> None:
        """Have the kernels compiled."""
        warm()

    def on_event(self, event: ExpertWeight | VolatilityState | Prompt) -> Iterator[Forecast]:
        if isinstance(event, ExpertWeight):
            self.state.weights.setdefault(event.competition, {})[event.expert] = event.weight
        elif isinstance(event, VolatilityState):
            self._keep(event)
            if event.warm and event.asset and self.options.schedule:
                yield from self._scheduled(event)
        else:
            yield self._answered(event)

    def _keep(self, state: VolatilityState) -> None:
        states = self.state.states
        states[str(state.event_ns)] = msgspec.msgpack.encode(state)
        while len(states) > self.options.kept_states:
            del states[next(iter(states))]

    def _scheduled(self, state: VolatilityState) -> Iterator[Forecast]:
        start_s = state.event_ns // SECOND_NS + LEAD_MINUTES * 60
        for length_s, step_s in STEPS_S.items():
            if start_s // 60 % self.options.every(state.asset, length_s) == 0:
                asked = Asked(start_s, step_s, length_s, self.options.paths, "schedule")
                if competition_at(start_s, state.asset, length_s, step_s):
                    yield self._forecast(state, asked, state.event_ns)

    def _answered(self, prompt: Prompt) -> Forecast:
        state = self._state_of(prompt)
        for name in ("step_ms", "length_ms", "paths"):
            if getattr(prompt, name) <= 0:
                raise Rejected(f"{name}: {getattr(prompt, name)} is not positive")
        for name in ("start_ns", "step_ms", "length_ms"):
            unit = SECOND_NS if name == "start_ns" else 1_000
            if getattr(prompt, name) % unit:
                raise Rejected(f"{name}: {getattr(prompt, name)} is no whole number of seconds")
        asked = Asked(
            prompt.start_ns // SECOND_NS, prompt.step_ms // 1_000, prompt.length_ms // 1_000, prompt.paths,
            prompt.origin, prompt.widened_s,
        )  # fmt: skip
        if asked.length_s % asked.step_s:
            raise Rejected(f"step_ms: {prompt.step_ms} does not divide length_ms {prompt.length_ms}")
        if prompt.paths * (asked.length_s // asked.step_s + 1) > self.options.most_prices:
            raise Rejected(f"paths: {prompt.paths} of {prompt.length_ms} ms are more than {self.options.most_prices}")
        return self._forecast(state, asked, prompt.event_ns, prompt.digest)

    def _state_of(self, prompt: Prompt) -> VolatilityState:
        packed = self.state.states.get(str(prompt.state_ns))
        if packed is None:
            raise Rejected(f"state_ns: {prompt.state_ns} is none of the last {len(self.state.states)} states")
        state = msgspec.msgpack.decode(packed, type=VolatilityState)
        if state.asset != prompt.asset or not state.asset:
            raise Rejected(f"asset: {prompt.asset!r} where the state is of {state.asset!r}")
        return state

    def _forecast(self, state: VolatilityState, asked: Asked, event_ns: int, expected: str = "") -> Forecast:
        """The record of some paths.

        Raises:
            Rejected: the paths are not those whose digest was expected.

        """
        asset, steps = ASSETS[state.asset], asked.length_s // asked.step_s
        known, model = known_of(state, asked.length_s), asset.model(asked.length_s)
        try:
            made_of = recipe(known, asset, model, asked.start_s, asked.step_s, steps, asked.widened_s)
        except ValueError as error:
            raise Rejected(str(error)) from None
        competition = competition_at(asked.start_s, asset.name, asked.length_s, asked.step_s)
        found = Forecast(
            instrument=self.key,
            event_ns=event_ns,
            asset=asset.name,
            competition=NAMES[asked.length_s] if competition else "",
            start_ns=asked.start_s * SECOND_NS,
            step_ms=asked.step_s * 1_000,
            steps=steps,
            paths=asked.paths,
            price=known.price,
            fast=known.fast,
            slow=known.slow,
            fast_half_life_s=made_of.variance.fast_half_life_s,
            slow_half_life_s=made_of.variance.slow_half_life_s,
            blend_s=made_of.variance.blend_s,
            nu=made_of.nu,
            multipliers=made_of.multipliers.astype("<f4").tobytes(),
            seed=signed(made_of.seed),
            experts=self._experts(state, asked),
            origin=asked.origin,
            state_ns=state.event_ns,
            levels=LEVEL_BYTES,
            bands=b"",
            anchor=known.anchor,
            fast_weight=made_of.variance.fast_weight,
            slow_weight=made_of.variance.slow_weight,
        )
        paths = mixed(recipes(found))
        if expected and digest(paths) != expected:
            raise Rejected("digest: the answer is not what comes of the state that it names")
        return msgspec.structs.replace(found, bands=bands(paths).astype("<f4").tobytes())

    def _experts(self, state: VolatilityState, asked: Asked) -> str:
        """The experts of a forecast and their paths; empty where it is of one model."""
        weights = self.state.weights.get(NAMES.get(asked.length_s, ""), {})
        tried = experts(ASSETS[state.asset].model(asked.length_s))
        if not self.options.mixture or asked.origin != "schedule" or not all(str(each) in weights for each in tried):
            return ""
        rates = msgspec.json.decode(state.ladder, type=dict[str, float])
        weighed = [Weighed(each, rates[f"{each.half_life_1m:g}"], weights[str(each)]) for each in tried]
        return experts_text(state.asset, asked.start_s, weighed, asked.paths)
