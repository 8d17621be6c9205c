import numpy as np
import pytest

from processors.online.prompt_scores import prompt_scores, rolling_average, softmax
from processors.online.synth_rules import RULES, newest
from tests.data import reference


def test_scores_and_shares_equal_the_subnets():
    cases = reference("refs/synth_prompt_scores_softmax.json")["cases"]
    assert any(-1.0 in case["crps_sums"] for case in cases)
    for case in cases:
        found = prompt_scores(case["crps_sums"], RULES[0])
        assert found.tolist() == pytest.approx(case["expected"]["prompt_scores"], rel=1e-9)
        assert softmax(found, -0.1).tolist() == pytest.approx(
            case["expected"]["softmax_beta_minus_0_1"], rel=1e-9, abs=1e-300
        )


def test_today_a_bad_score_counts_in_full_and_an_invalid_one_as_the_95th_percentile():
    sums = np.array([*range(100, 120), 10_000.0, -1.0])
    found = prompt_scores(sums, newest())
    assert found[-2] == 9_900.0
    assert found[-1] == np.percentile(sums[:-1], 95) - 100


def test_there_are_no_scores_where_no_response_was_valid():
    assert prompt_scores([-1.0, -1.0], newest()) is None


def test_who_has_no_scores_at_all_comes_last():
    assert rolling_average([(float("nan"), 1.0)]) == float("inf")
    assert softmax([1.0, float("inf")], -0.1).tolist() == [1.0, 0.0]


def test_nobody_shares_nothing():
    assert softmax([], -0.1).tolist() == []
