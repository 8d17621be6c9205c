"""Weights of experts follow the scores, and keep everyone within reach."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.online.synth_assets import ASSETS
from processors.online.synth_experts import experts, half_lives, shares, updated


@given(
    st.lists(st.floats(0.1, 1e4), min_size=2, max_size=9),
    st.floats(0.0, 20.0),
    st.floats(0.0, 1.0),
)
def test_weights_sum_to_one_and_none_falls_below_its_share(scores, eta, alpha):
    found = updated([1.0 / len(scores)] * len(scores), scores, eta, alpha)
    assert sum(found) == pytest.approx(1.0)
    assert min(found) >= alpha / len(scores) * (1 - 1e-9)


def test_weights_are_those_of_the_formula():
    weights, scores = np.array([0.2, 0.3, 0.5]), np.array([10.0, 11.0, 12.0])
    powers = weights * np.exp(-2.0 * scores / 11.0)
    expected = 0.9 * powers / powers.sum() + 0.1 / 3
    assert updated(weights.tolist(), scores.tolist(), 2.0, 0.1) == pytest.approx(expected.tolist())


def test_who_was_worst_comes_back_when_times_change():
    weights = [0.5, 0.5]
    for _ in range(200):
        weights = updated(weights, [90.0, 110.0], 5.0, 0.02)
    assert weights[0] > 0.95
    for _ in range(10):
        weights = updated(weights, [110.0, 90.0], 5.0, 0.02)
    assert weights[1] > 0.8


def test_scores_without_any_loss_change_nothing():
    assert updated([0.3, 0.7], [0.0, 0.0], 5.0, 0.1) == [0.3, 0.7]


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=9), st.integers(1, 1_000))
def test_shares_are_all_the_paths_there_are_each_within_one_of_its_weight(weights, paths):
    found = shares(weights, paths)
    assert sum(found) == paths
    exact = np.array(weights) / sum(weights) * paths
    assert np.all(np.abs(np.array(found) - exact) < 1.0 + 1e-9)


def test_every_expert_of_every_asset_has_its_half_life_on_the_ladder():
    for asset in ASSETS.values():
        ladder = {f"{half_life:g}" for half_life in half_lives(asset)}
        for model in (asset.day, asset.hour):
            tried = experts(model)
            assert len({str(expert) for expert in tried}) == 9
            assert all(expert.nu > 2.0 and f"{expert.half_life_1m:g}" in ladder for expert in tried)
