import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.online.innovations import mean_size, shocks
from processors.online.variance_paths import Variance, paths

STATE = Variance(1e-8, 4e-8, 3_600.0, 86_400.0, 7_200.0, 2e-8, 0.9, 0.6)
CALM = STATE._replace(slow=1e-8, anchor=1e-8, fast_half_life_s=math.inf, slow_half_life_s=math.inf)


def made(state=STATE, nu=5.0, seed=1, steps=288, count=1_000, price=100.0, multipliers=None):
    out = np.empty((steps + 1, count), np.float32)
    each = np.ones(steps) if multipliers is None else multipliers
    noise = shocks(seed, nu, np.empty((steps, count), np.float32))
    return paths(price, state, mean_size(nu), 300.0, each, noise, out)


def level(rate):
    """The mean size of normal returns of a variance."""
    return math.sqrt(2 / math.pi * rate)


def one_path(state, size, multipliers, noise):
    """The recursion as the head of the module tells it."""
    fast, slow, anchor, total, prices = level(state.fast), level(state.slow), level(state.anchor), 0.0, [100.0]
    gains = [1 - 2 ** (-300 / half_life) for half_life in (state.fast_half_life_s, state.slow_half_life_s)]
    for step, shock in enumerate(noise):
        weight = state.fast_weight * 2 ** (-300 * step / state.blend_s)
        width = math.sqrt(300 * multipliers[step])
        rest = state.slow_weight * slow + (1 - state.slow_weight) * anchor
        move = width * (weight * fast + (1 - weight) * rest) * shock / size
        fast += gains[0] * (abs(move) / width - fast)
        slow += gains[1] * (abs(move) / width - slow)
        total += move
        prices.append(100 * math.exp(total))
    return prices


def test_each_path_follows_the_recursion():
    multipliers = np.linspace(0.3, 2.0, 288)
    noise = shocks(9, 4.0, np.empty((288, 3), np.float32))
    expected = np.transpose([one_path(STATE, mean_size(4.0), multipliers, row) for row in noise.T.astype(float)])
    found = paths(100.0, STATE, mean_size(4.0), 300.0, multipliers, noise, np.empty((289, 3), np.float32))
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_mean_size_of_returns_goes_from_the_fast_state_to_slow_and_anchor():
    sizes = np.abs(np.diff(np.log(made(count=20_000, nu=10.0).astype(float)), axis=0)).mean(axis=1) / math.sqrt(300)
    assert sizes[0] == pytest.approx(0.9 * level(1e-8) + 0.1 * (0.6 * level(4e-8) + 0.4 * level(2e-8)), rel=0.03)
    assert sizes[-10:].mean() == pytest.approx(0.6 * level(4e-8) + 0.4 * level(2e-8), rel=0.1)


def test_a_path_returns_to_the_anchor_as_far_as_the_weights_leave_it_room():
    wild = STATE._replace(fast=64e-8, slow=64e-8, slow_half_life_s=14_400.0, blend_s=1e9, fast_weight=0.7)
    ends = [
        np.abs(np.diff(np.log(made(wild._replace(slow_weight=share), steps=600).astype(float)[-100:]), axis=0)).mean()
        for share in (0.2, 0.6, 1.0)
    ]
    assert math.sqrt(300) * level(2e-8) < ends[0] < ends[1] < ends[2]


def test_a_calm_path_has_the_mean_size_that_it_begins_with_whatever_its_tails():
    for nu in (2.5, 5.0, math.inf):
        moves = np.diff(np.log(made(CALM, nu).astype(float)), axis=0)
        assert np.abs(moves).mean() == pytest.approx(math.sqrt(300) * level(1e-8), rel=0.01)


def test_off_hours_inside_the_horizon_are_quieter():
    shut = np.r_[np.ones(144), np.full(144, 0.36)]
    steps = np.diff(np.log(made(CALM, multipliers=shut, nu=30.0).astype(float)), axis=0)
    assert steps[144:].std() / steps[:144].std() == pytest.approx(0.6, rel=0.02)


def test_variance_clusters_along_a_path():
    squares = np.diff(np.log(made(count=4_000).astype(float)), axis=0) ** 2
    clustered = np.corrcoef(squares[20].clip(0, 2e-4), squares[21].clip(0, 2e-4))[0, 1]
    calm = np.diff(np.log(made(CALM, count=4_000).astype(float)), axis=0) ** 2
    assert clustered > 0.03
    assert abs(np.corrcoef(calm[20].clip(0, 2e-4), calm[21].clip(0, 2e-4))[0, 1]) < 0.03


@given(st.integers(0, 2**64 - 1), st.floats(2.01, 50), st.floats(0, 10), st.floats(1e-6, 1e6))
def test_prices_are_positive_and_finite_however_wild_the_state(seed, nu, rate, price):
    found = made(STATE._replace(fast=rate, slow=rate), nu, seed, 50, 20, price)
    assert np.isfinite(found).all()
    assert (found > 0).all()
    assert (found[0] == np.float32(price)).all()


def test_the_same_seed_gives_the_same_paths():
    assert (made(seed=4) == made(seed=4)).all()
    assert (made(seed=4) != made(seed=5)).any()


@given(st.floats(0.01, 1e5))
def test_paths_scale_with_the_price(price):
    assert made(price=price, steps=20, count=20) == pytest.approx(made(steps=20, count=20) * price / 100, rel=1e-5)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="for 3 steps"):
        paths(1.0, STATE, 0.75, 60.0, np.ones(2), np.zeros((3, 2), np.float32), np.empty((4, 2), np.float32))
