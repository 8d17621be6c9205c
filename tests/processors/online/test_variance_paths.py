import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.online.innovations import shocks
from processors.online.variance_paths import Variance, paths

STATE = Variance(1e-8, 4e-8, 3_600.0, 86_400.0, 7_200.0)
CALM = STATE._replace(slow=1e-8, fast_half_life_s=math.inf, slow_half_life_s=math.inf)


def made(state=STATE, nu=5.0, seed=1, steps=288, count=1_000, price=100.0, multipliers=None):
    out = np.empty((steps + 1, count), np.float32)
    each = np.ones(steps) if multipliers is None else multipliers
    return paths(price, state, 300.0, each, shocks(seed, nu, np.empty((steps, count), np.float32)), out)


def one_path(state, multipliers, noise):
    """The recursion as the head of the module tells it."""
    fast, slow, total, prices = state.fast, state.slow, 0.0, [100.0]
    gains = [1 - 2 ** (-300 / half_life) for half_life in (state.fast_half_life_s, state.slow_half_life_s)]
    for step, shock in enumerate(noise):
        weight = 2 ** (-300 * step / state.blend_s)
        width = 300 * multipliers[step]
        move = math.sqrt((weight * fast + (1 - weight) * slow) * width) * shock
        fast += gains[0] * (move * move / width - fast)
        slow += gains[1] * (move * move / width - slow)
        total += move
        prices.append(100 * math.exp(total))
    return prices


def test_each_path_follows_the_recursion():
    multipliers = np.linspace(0.3, 2.0, 288)
    noise = shocks(9, 4.0, np.empty((288, 3), np.float32))
    expected = np.transpose([one_path(STATE, multipliers, row) for row in noise.T.astype(float)])
    found = paths(100.0, STATE, 300.0, multipliers, noise, np.empty((289, 3), np.float32))
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_variance_over_the_horizon_is_that_of_the_blend():
    ends = np.log(made(count=50_000, nu=10.0)[-1].astype(float) / 100)
    weights = 2.0 ** (-300 * np.arange(288) / STATE.blend_s)
    assert ends.var() == pytest.approx(300 * (weights * 1e-8 + (1 - weights) * 4e-8).sum(), rel=0.05)
    assert ends.mean() == pytest.approx(0.0, abs=4 * ends.std() / math.sqrt(50_000))


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
        paths(1.0, STATE, 60.0, np.ones(2), np.zeros((3, 2), np.float32), np.empty((4, 2), np.float32))
