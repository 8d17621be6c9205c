"""The paths that a Forecast says it is made of: one recipe, or several experts' side by side."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from processors.online.innovations import seed_of
from processors.online.synth_experts import Expert, shares
from processors.online.synth_forecast import SECOND_NS, VERSION, Recipe
from processors.online.variance_paths import Variance


class Weighed(NamedTuple):
    """An expert, what its fast state says, and how much it is trusted."""

    expert: Expert
    fast: float  # variance per second
    weight: float


def signed(seed: int) -> int:
    """A seed of 64 bits as the number that a long holds.

    >>> signed(1), signed(2**64 - 1)
    (1, -1)
    """
    return seed - (1 << 64) if seed >> 63 else seed


def experts_text(asset: str, start_s: int, weighed: Sequence[Weighed], paths: int) -> str:
    """What a Forecast says of its experts, as JSON; an expert without a path is left out."""
    counts = shares([each.weight for each in weighed], paths)
    return json.dumps(
        [
            {
                "half_life_s": each.expert.half_life_1m * 60.0,
                "nu": each.expert.nu,
                "fast": each.fast,
                "seed": signed(seed_of(asset, start_s * SECOND_NS, f"{VERSION} {each.expert}")),
                "paths": count,
            }
            for each, count in zip(weighed, counts, strict=True)
            if count
        ]
    )


def whole(forecast: Any) -> Recipe:
    """The recipe of a Forecast, experts aside."""
    variance = Variance(
        forecast.fast, forecast.slow, forecast.fast_half_life_s, forecast.slow_half_life_s, forecast.blend_s,
        forecast.anchor, forecast.fast_weight, forecast.slow_weight,
    )  # fmt: skip
    each = np.frombuffer(forecast.multipliers, "<f4")
    return Recipe(forecast.price, variance, forecast.nu, forecast.step_ms / 1_000, each, forecast.seed)


def recipes(forecast: Any) -> list[tuple[Recipe, int]]:
    """The recipes of a Forecast, each with its number of paths."""
    usual = whole(forecast)
    if not forecast.experts:
        return [(usual, forecast.paths)]
    return [
        (
            usual._replace(
                variance=usual.variance._replace(fast=part["fast"], fast_half_life_s=part["half_life_s"]),
                nu=part["nu"],
                seed=part["seed"],
            ),
            part["paths"],
        )
        for part in json.loads(forecast.experts)
    ]


def gaussian(made_of: Recipe) -> Recipe:
    """The recipe of normal returns whose variance is what the states say for each step, whatever comes."""
    still = made_of.variance._replace(fast_half_life_s=np.inf, slow_half_life_s=np.inf)
    return made_of._replace(variance=still, nu=np.inf)
