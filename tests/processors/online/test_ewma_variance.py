import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.online.ewma_variance import NORMAL, EwmaVariance, means, variances
from tests.data import reference

MOVES = st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=60)
HALF_LIVES = st.floats(0.5, 500)


def over_all(moves, half_life):
    """The variance from its definition, the newest move last."""
    weights = 2.0 ** (-np.arange(len(moves))[::-1] / half_life)
    return math.pi / 2 * float(weights @ np.abs(moves) / weights.sum()) ** 2


def test_the_mean_equals_that_of_pandas_on_real_numbers():
    prices = {name: np.array(values) for name, values in reference("refs/garch_arch_fits.json")["prices"].items()}
    cases = [case for case in reference("refs/ewma_variance.json")["cases"] if "half_life_bars" in case]
    assert len(cases) == 12
    for case in cases:
        squares = np.diff(np.log(prices[case["series"]])) ** 2
        found = means(squares, float(case["half_life_bars"]))
        expected, at = case["var_weighted_adjust_true"], case["var_recursive_seed_first_r2"]["at"]
        assert found[-1] == pytest.approx(expected["last"], rel=1e-9)
        assert found[at].tolist() == pytest.approx(expected["values"], rel=1e-9)


@given(MOVES, HALF_LIVES)
def test_after_every_bar_it_is_the_weighted_mean_of_all_of_them(moves, half_life):
    state = EwmaVariance(half_life)
    expected = [over_all(moves[: count + 1], half_life) for count in range(len(moves))]
    assert [state.update(move) for move in moves] == pytest.approx(expected, rel=1e-9, abs=1e-18)


@given(MOVES, HALF_LIVES)
def test_one_pass_over_an_array_gives_what_updates_give(moves, half_life):
    state = EwmaVariance(half_life)
    assert variances(np.abs(moves), half_life).tolist() == pytest.approx([state.update(move) for move in moves])


@given(MOVES, st.floats(10, 500), st.integers(0, 10), st.floats(-0.2, 0.2))
def test_a_move_over_missing_bars_counts_as_many_smaller_ones(moves, half_life, missing, move):
    state = EwmaVariance(half_life)
    for one in moves:
        state.update(one)
    expected = over_all([*moves, *[move / math.sqrt(missing + 1)] * (missing + 1)], half_life)
    assert state.update(move, missing) == pytest.approx(expected, rel=1e-9, abs=1e-18)


def test_a_gap_longer_than_the_half_life_counts_as_one_half_life():
    state = EwmaVariance(100.0)
    for _ in range(1_000):
        state.update(0.01)
    assert state.update(0.0, missing=10_000) == pytest.approx(NORMAL * 0.25e-4, rel=0.02)


def test_normal_returns_have_the_variance_that_they_have_and_one_wild_one_counts_little():
    moves = np.random.default_rng(1).normal(0.0, 0.01, 20_000)
    calm = variances(np.abs(moves), 2_000.0)[-1]
    assert calm == pytest.approx(1e-4, rel=0.05)
    moves[-1] = 0.5
    assert variances(np.abs(moves), 2_000.0)[-1] < 1.1 * calm


def test_a_gap_in_which_the_price_moved_as_before_leaves_the_variance_as_it_was():
    state = EwmaVariance(100.0)
    for _ in range(1_000):
        state.update(0.01)
    assert state.update(0.01 * math.sqrt(50), missing=49) == pytest.approx(NORMAL * 1e-4)


def test_the_move_over_a_long_gap_is_spread_over_it():
    moved, whole = EwmaVariance(10.0), EwmaVariance(10.0)
    for state in (moved, whole):
        state.update(0.01)
    expected = whole.update(0.01 * math.sqrt(11 / 1_001), missing=10)
    assert moved.update(0.01, missing=1_000) == pytest.approx(expected)


def test_before_the_first_bar_there_is_no_variance():
    assert math.isnan(EwmaVariance(10.0).variance)
    assert np.isnan(variances(np.array([np.nan, np.nan]), 10.0)).all()


def test_a_missing_bar_leaves_the_variance_until_the_next_one():
    found = variances(np.array([0.01, np.nan, np.nan, 0.0]), 10.0)
    assert found[0] == found[1] == found[2] == pytest.approx(NORMAL * 1e-4)
    assert found[3] == pytest.approx(over_all([0.01, 0, 0, 0], 10.0))


@pytest.mark.parametrize("half_life", [0.0, -1.0, float("inf"), float("nan")])
def test_a_half_life_that_is_none_is_refused(half_life):
    with pytest.raises(ValueError, match="half_life"):
        EwmaVariance(half_life)


@pytest.mark.parametrize(("move", "missing"), [(float("nan"), 0), (float("inf"), 0), (0.0, -1)])
def test_a_move_that_is_none_is_refused(move, missing):
    with pytest.raises(ValueError, match="move"):
        EwmaVariance(10.0).update(move, missing)
