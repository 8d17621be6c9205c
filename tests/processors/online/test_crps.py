import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.online.crps import crps, crps_of_rows
from tests.data import reference

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
ENSEMBLES = st.lists(NUMBERS, min_size=1, max_size=30)


def over_all_pairs(observed, ensemble):
    values = np.array(ensemble)
    return np.abs(values - observed).mean() - 0.5 * np.abs(values[:, None] - values).mean()


def test_it_equals_the_subnets_library():
    cases = [case for case in reference("refs/crps_primitives.json")["cases"] if case["kind"] == "crps_ensemble"]
    assert cases
    for case in cases:
        assert crps(case["obs"], case["ensemble"]) == pytest.approx(case["expected"], rel=1e-9)


def test_many_normal_values_score_as_the_normal_distribution_does():
    cases = [case for case in reference("refs/crps_primitives.json")["cases"] if case["kind"] == "crps_gaussian"]
    assert cases
    normal = np.random.default_rng(1).normal(size=400_000)
    for case in cases:
        found = crps(case["obs"], case["mu"] + case["sigma"] * normal)
        assert found == pytest.approx(case["expected"], rel=0.02)


@given(NUMBERS, ENSEMBLES)
def test_sorting_gives_what_all_pairs_give(observed, ensemble):
    scale = 1 + max(abs(value) for value in [observed, *ensemble])
    assert crps(observed, ensemble) == pytest.approx(over_all_pairs(observed, ensemble), abs=1e-9 * scale)


@given(NUMBERS, ENSEMBLES, st.randoms(use_true_random=False))
def test_the_order_of_an_ensemble_does_not_matter(observed, ensemble, random):
    shuffled = random.sample(ensemble, len(ensemble))
    assert crps(observed, shuffled) == crps(observed, ensemble)


@given(NUMBERS, ENSEMBLES, st.floats(1e-3, 1e3), NUMBERS)
def test_it_scales_with_the_values_and_ignores_a_shift(observed, ensemble, factor, shift):
    moved = crps(observed * factor + shift, np.array(ensemble) * factor + shift)
    size = 1 + abs(shift) + factor * max(abs(value) for value in [observed, *ensemble])
    assert moved == pytest.approx(factor * crps(observed, ensemble), abs=1e-9 * size)


@given(NUMBERS, NUMBERS)
def test_one_value_scores_its_distance(observed, value):
    assert crps(observed, [value]) == abs(value - observed)


def test_rows_are_scored_each_at_its_own_value():
    rows = np.random.default_rng(2).normal(size=(5, 40))
    observed = np.linspace(-2, 2, 5)
    expected = [over_all_pairs(one, row) for one, row in zip(observed, rows, strict=True)]
    assert crps_of_rows(observed, rows.copy()) == pytest.approx(expected, rel=1e-12)
