"""Shocks: unit variance by the table itself, Student's distribution, and the same numbers for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from processors.online.innovations import CELLS, OCTAVES, seed_of, shocks, table
from processors.online.joint_shocks import joint_shocks
from tests.data import reference


def drawn(seed, nu, count=200_000):
    return shocks(seed, nu, np.empty(count, np.float32)).astype(float)


def unit_t(nu):
    return stats.norm() if np.isinf(nu) else stats.t(nu, scale=np.sqrt((nu - 2) / nu))


@given(st.floats(2.05, 200))
def test_the_table_has_unit_variance(nu):
    value, slope = table(nu).astype(float)
    probability = 2.0 ** -(64 - np.arange(OCTAVES)).repeat(CELLS) / CELLS
    squares = value * value + value * (value + slope) + (value + slope) ** 2
    assert 2 * probability @ squares / 3 == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("nu", [2.5, 4.0, 10.0, np.inf])
def test_shocks_are_distributed_as_they_should_be(nu):
    assert stats.kstest(drawn(5, nu), unit_t(nu).cdf).pvalue > 0.01


@pytest.mark.parametrize("nu", [3.0, 4.0, 10.0, np.inf])
def test_far_tails_are_there(nu):
    found = np.abs(drawn(6, nu, 4_000_000))
    for probability in (1e-3, 1e-5):
        assert np.mean(found > unit_t(nu).isf(probability / 2)) == pytest.approx(probability, rel=0.5)


def test_quantiles_equal_those_of_scipy():
    cases = reference("refs/student_t_and_jones_faddy_scipy.json")["student_t"]
    for case in cases:
        found = np.sort(drawn(7, case["nu"], 1_000_000)) / np.sqrt((case["nu"] - 2) / case["nu"])
        below = np.searchsorted(found, case["x"]) / len(found)
        assert below.tolist() == pytest.approx(case["cdf"], abs=3e-3)


def test_a_shock_depends_on_seed_and_place_alone():
    assert (drawn(1, 4.0, 10) == drawn(1, 4.0, 1_000)[:10]).all()
    assert (drawn(1, 4.0, 100) != drawn(2, 4.0, 100)).any()


def test_neighbouring_seeds_and_places_are_independent():
    one, other = drawn(1, 10.0), drawn(2, 10.0)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.01
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.01


def test_a_seed_tells_key_moment_and_model_apart():
    seeds = {seed_of(key, at, model) for key in ("BTC", "ETH") for at in (0, 1) for model in ("1", "2")}
    assert len(seeds) == 8


@pytest.mark.parametrize("nu", [2.0, 1.0, float("nan")])
def test_without_a_variance_there_are_no_shocks(nu):
    with pytest.raises(ValueError, match="nu"):
        drawn(1, nu)


def test_joint_shocks_correlate_and_keep_their_own_distribution():
    wanted = np.array([[1.0, 0.7, 0.2], [0.7, 1.0, -0.3], [0.2, -0.3, 1.0]])
    nus = [4.0, 6.0, 20.0]
    found = joint_shocks(3, nus, wanted, 100, 2_000).reshape(3, -1).astype(float)
    assert stats.spearmanr(found.T).statistic == pytest.approx(6 / np.pi * np.arcsin(wanted / 2), abs=0.01)
    for row, nu in zip(found, nus, strict=True):
        assert stats.kstest(row, unit_t(nu).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    "wrong", [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.4, 1.0]], [[2.0, 0.0], [0.0, 2.0]], [[1.0]]]
)
def test_what_is_no_correlation_matrix_is_refused(wrong):
    with pytest.raises(ValueError, match="correlation"):
        joint_shocks(1, [4.0, 4.0], wrong, 2, 2)
