"""The subnet's own totals, to 1e-9, and what its rules say about gaps, zeros and volatility."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.online.crps import crps
from processors.online.synth_rules import RULES, newest, rules_on
from processors.online.synth_score import INVALID, deviations, parts, score
from tests.data import reference

DAY, HOUR = newest().competition("BTC", 86_400), newest().competition("BTC", 3_600)
PRICE_HOUR = HOUR._replace(blocks={})
REAL = [100, 100.1, 100.0, 99.9, 100.2]
PATHS = np.transpose([
    (100, 100.05, 100.1, 100.0, 100.1),
    (100, 99.9, 99.8, 99.9, 100.0),
    (100, 100.2, 100.1, 100.3, 100.4),
])  # fmt: skip


def only(**intervals):
    return DAY._replace(intervals={f"{minutes}min": seconds for minutes, seconds in intervals.items()})


def numbers(values):
    return np.array([np.nan if value is None else value for value in values], float)


def returns(prices):
    return np.diff(prices, axis=0) / prices[:-1] * 10_000


def walks(seed, count, points):
    return 100 * np.exp(np.random.default_rng(seed).normal(0, 1e-3, (points, count)).cumsum(axis=0))


def test_totals_and_intervals_equal_the_subnets_on_real_prices():
    cases = reference("refs/synth_crps.json.gz")["cases"]
    assert {case["prompt"] for case in cases} == {"high", "low"}
    for case in cases:
        rules = PRICE_HOUR if case["prompt"] == "high" else DAY
        assert rules.intervals == case["scoring_intervals"]
        paths = np.transpose(case["simulation_runs"])
        real = numbers(case["real_price_path"])
        assert score(real, paths, rules) == pytest.approx(case["expected_total"], rel=1e-9), case["name"]
        totals = {
            row["Interval"]: row["CRPS"]
            for row in case["expected_detail"]
            if row["Increment"] == "Total" and row["Interval"] != "Overall"
        }
        assert {part.name: part.score for part in parts(real, paths, rules)} == pytest.approx(totals, rel=1e-9)


def test_totals_equal_those_published_in_the_subnets_tests():
    for case in reference("refs/synth_crps.json.gz")["published_in_tests"]:
        found = score(case["real_price_path"], np.transpose(case["simulation_runs"]), DAY)
        assert found == pytest.approx(case["expected_total"], rel=1e-9), case["name"]


def test_each_step_of_the_toy_paths_scores_what_the_definition_says():
    assert score(REAL, PATHS, only(one=300)) == pytest.approx(36.708627, abs=1e-6)
    assert score(REAL, PATHS, only(two=600)) == pytest.approx(10.010030, abs=1e-6)
    absolute = DAY._replace(intervals={"end_abs": 1_200})
    assert score(REAL, PATHS, absolute) == pytest.approx(7.762253, abs=1e-6)
    gap = DAY._replace(intervals={"first_gaps": 300})
    assert score(REAL, PATHS, gap) == pytest.approx(5.0)


def test_a_missing_price_leaves_out_the_steps_that_touch_it():
    holed = [100, 100.1, np.nan, 99.9, 100.2]
    (part,) = parts(holed, PATHS, only(one=300))
    assert part.steps == 2
    assert part.score == pytest.approx(5.0 + 20.027792, abs=1e-6)


def test_a_prompt_without_its_last_price_is_not_scored():
    with pytest.raises(ValueError, match="last price"):
        score([100, 100.1, 100, 99.9, np.nan], PATHS, DAY)


def test_a_price_of_zero_makes_a_forecast_invalid():
    broken = PATHS.copy()
    broken[2, 1] = 0
    assert score(REAL, broken, DAY) == INVALID


def test_paths_of_another_length_are_refused():
    with pytest.raises(ValueError, match="4 points for 5"):
        score(REAL, PATHS[:4], DAY)


def test_volatility_adds_the_crps_of_deviations_by_blocks():
    real, paths = walks(1, 1, 61)[:, 0], walks(2, 50, 61)
    expected = 0.0
    for blocks in (1, 4, 12):
        came = returns(real).reshape(blocks, -1).std(axis=1, ddof=1)
        each = returns(paths).reshape(blocks, -1, 50).std(axis=1, ddof=1)
        expected += 5.25 / 3 / blocks * sum(crps(came[block], each[block]) for block in range(blocks))
    assert score(real, paths, HOUR) - score(real, paths, PRICE_HOUR) == pytest.approx(expected, rel=1e-9)


def test_a_block_with_fewer_than_two_returns_has_no_volatility():
    prices = np.full((61, 1), 100.0)
    prices[1:5] = np.nan
    found = deviations(prices, 5)[:, 0]
    assert np.isnan(found[0])
    assert found[1:].tolist() == [0.0] * 11


@given(st.integers(0, 100), st.randoms(use_true_random=False))
def test_the_order_of_paths_does_not_matter(seed, random):
    real, paths = walks(seed, 1, 61)[:, 0], walks(seed + 1, 7, 61)
    order = random.sample(range(7), 7)
    assert score(real, paths[:, order], HOUR) == pytest.approx(score(real, paths, HOUR), rel=1e-12)


@given(st.integers(0, 100), st.floats(1e-3, 1e5))
def test_the_unit_of_prices_does_not_matter(seed, factor):
    real, paths = walks(seed, 1, 289)[:, 0], walks(seed + 1, 7, 289)
    assert score(real * factor, paths * factor, DAY) == pytest.approx(score(real, paths, DAY), rel=1e-9)


def test_volatility_counts_from_its_day_on():
    assert not rules_on(date(2026, 9, 21)).competition("BTC", 3_600).blocks
    assert rules_on(date(2026, 9, 22)).competition("BTC", 3_600).blocks == {
        3_600: pytest.approx(1.75), 900: pytest.approx(0.4375), 300: pytest.approx(5.25 / 36),
    }  # fmt: skip


def test_rules_before_those_known_are_not_guessed():
    with pytest.raises(ValueError, match="2026-03-10"):
        rules_on(date(2026, 3, 10))


def test_rules_stand_in_order_and_every_asset_has_a_day():
    assert [rules.since for rules in RULES] == sorted(rules.since for rules in RULES)
    for competition in newest().competitions:
        assert competition.points in {61, 289}
        for asset in competition.assets:
            assert newest().competition(asset, competition.length_s) == competition
    with pytest.raises(ValueError, match="'XAU'"):
        newest().competition("XAU", 3_600)
