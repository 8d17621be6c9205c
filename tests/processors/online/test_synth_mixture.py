"""A forecast says all that its paths are made of."""

import msgspec
import numpy as np
import pytest

from processors.online.synth_assets import ASSETS
from processors.online.synth_experts import experts
from processors.online.synth_forecast import mixed, simulated
from processors.online.synth_mixture import Weighed, experts_text, gaussian, recipes, signed, whole
from tests.processors.test_forecasts import START, made, state

SOL = ASSETS["SOL"]


def hour():
    return made(state(START - 2 - START % 5), paths=50)[0]


def test_a_seed_of_64_bits_fits_into_a_long_and_means_the_same():
    for seed in (0, 1, 2**63 - 1, 2**63, 2**64 - 1):
        assert -(2**63) <= signed(seed) < 2**63
        assert signed(seed) % 2**64 == seed


def test_an_expert_without_a_path_is_left_out_and_each_has_its_own_seed():
    weighed = [Weighed(expert, 1e-9, float(place < 3)) for place, expert in enumerate(experts(SOL.hour))]
    forecast = msgspec.structs.replace(hour(), experts=experts_text("SOL", START * 60, weighed, 50))
    parts = recipes(forecast)
    assert [count for _, count in parts] == [17, 17, 16]
    assert len({part.seed for part, _ in parts}) == 3
    assert mixed(parts).shape == (forecast.steps + 1, 50)


def test_a_gaussian_has_the_same_variance_and_no_memory():
    recipe = whole(hour())
    normal = simulated(gaussian(recipe), 20_000)
    steps = np.diff(np.log(normal.astype(float)), axis=0)
    state = recipe.variance
    fast, slow, anchor = np.sqrt([state.fast, state.slow, state.anchor])
    weights = state.fast_weight * 2.0 ** (-recipe.step_s * np.arange(len(steps)) / state.blend_s)
    levels = weights * fast + (1 - weights) * (state.slow_weight * slow + (1 - state.slow_weight) * anchor)
    assert steps.var(axis=1) == pytest.approx(levels**2 * recipe.multipliers * recipe.step_s, rel=0.08)
    assert np.mean(steps**4) / np.mean(steps**2) ** 2 == pytest.approx(3.0, rel=0.1)
