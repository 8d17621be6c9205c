import numpy as np
import pytest

from consumers.synth import contestants as by
from consumers.synth.backtest import prompts, ratio, run, standard_error, truth
from consumers.synth.bars import Minutes
from consumers.synth.contestants import Moment, Work
from consumers.synth.fitting import LOW, coded, decoded, fit
from consumers.synth.garch import garch_t
from consumers.synth.history import history
from consumers.synth.leaderboard import rows
from processors.online.synth_assets import ASSETS, USUAL
from processors.online.synth_rules import newest
from processors.volatility_states import VolatilityStateOptions
from tests.consumers.synth.made import MONDAY, minutes

BTC = ASSETS["BTC"]
HOUR, DAY = newest().competition("BTC", 3_600), newest().competition("BTC", 86_400)
MADE = history(BTC, minutes(6))
START = MONDAY + 4 * 1_440
EVERYONE = ("ours", "reference", "gaussian", "student_t", "bootstrap", "garch_t")


def contestant(name, found=MADE, work=None, model=USUAL):
    work = work or Work(HOUR, 200)
    if name == "ours":
        return by.ours(found, model, work)
    return garch_t(found, work) if name == "garch_t" else getattr(by, name)(found, work)


@pytest.mark.parametrize("name", EVERYONE)
def test_a_forecast_starts_at_the_last_price_known_and_is_the_same_again(name):
    moment = Moment(START, START - 2)
    first = contestant(name)(moment).copy()
    assert first.shape == (61, 200)
    assert (first[0] == np.float32(MADE.prices[MADE.at(START - 2)])).all()
    assert (first > 0).all()
    assert (contestant(name)(moment) == first).all()


@pytest.mark.parametrize("name", EVERYONE)
def test_no_forecast_knows_what_comes(name):
    moment = Moment(START, START - 2)
    changed = MADE.minutes.closes.copy()
    changed[MADE.at(START - 1) :] *= np.random.default_rng(5).uniform(0.5, 2.0, len(changed) - MADE.at(START - 1))
    other = history(BTC, Minutes(MADE.minutes.start, changed))
    assert (contestant(name)(moment).copy() == contestant(name, other)(moment)).all()


def test_prompts_wait_for_the_warm_up_and_want_a_truth():
    whole = list(prompts(MADE, MONDAY, MONDAY + 7 * 1_440, 60, DAY))
    assert whole[0].start == MONDAY + 3 * 1_440 + 60
    assert whole[-1].start == MONDAY + 5 * 1_440 - 60
    assert all(moment.known == moment.start - 2 for moment in whole)


def test_prompts_in_and_just_after_a_long_hole_are_left_out_as_no_state_would_be_warm():
    closes = MADE.minutes.closes.copy()
    closes[1 : 4 * 1_440] = np.nan
    found = history(BTC, Minutes(MONDAY, closes))
    moments = list(prompts(found, MONDAY, MONDAY + 7 * 1_440, 1, HOUR))
    assert moments[0].known == MONDAY + 4 * 1_440 + VolatilityStateOptions().fewest_minutes - 1
    assert np.isfinite(run(found, moments[:1], HOUR, {"ours": contestant("ours", found)})["ours"].scores).all()


def test_a_forecast_of_the_right_variance_is_reliable():
    moves = np.random.default_rng(8).normal(0, 1e-3, 12 * 1_440)
    found = history(BTC, Minutes(MONDAY, 100 * np.exp(moves.cumsum())))
    moments = list(prompts(found, MONDAY + 4 * 1_440, MONDAY + 11 * 1_440, 60, HOUR))
    work = Work(HOUR, 500)
    steady = USUAL._replace(half_life_1m=1_000.0, half_life_5m=1_000.0, nu=100.0)
    results = run(found, moments, HOUR, {"ours": by.ours(found, steady, work), "reference": by.reference(found, work)})
    ours = next(row for row in rows(results, 1) if row.name == "ours")
    assert ours.forecasts == len(moments) == 7 * 24
    assert ours.step_coverage == pytest.approx((0.5, 0.9), abs=0.03)
    assert ours.end_coverage == pytest.approx((0.5, 0.9), abs=0.13)
    assert ours.ratio < 1.0


def test_the_leaderboard_begins_with_the_best():
    moments = list(prompts(MADE, START, START + 600, 60, HOUR))
    work = Work(HOUR, 100)
    results = run(MADE, moments, HOUR, {name: contestant(name, work=work) for name in EVERYONE})
    found = rows(results, 1)
    assert {row.name for row in found} == set(EVERYONE)
    assert [row.mean for row in found] == sorted(row.mean for row in found)
    assert next(row for row in found if row.name == "reference").ratio == 1.0


def test_the_error_of_a_mean_grows_with_what_forecasts_share():
    noise = np.random.default_rng(2).normal(size=20_000)
    shared = np.convolve(noise, np.ones(10) / 10, "valid")
    assert standard_error(noise, 1) == pytest.approx(1 / np.sqrt(20_000), rel=0.03)
    assert standard_error(shared, 30) == pytest.approx(1 / np.sqrt(20_000), rel=0.2)
    assert standard_error(shared, 1) < 0.5 * standard_error(shared, 30)


def test_equal_scores_have_a_ratio_of_one_without_error():
    scores = np.random.default_rng(3).uniform(1, 2, 50)
    assert ratio(scores, scores, 5) == (1.0, 0.0)
    assert ratio(2 * scores, scores, 5)[0] == pytest.approx(2.0)


def test_a_truth_beyond_the_bars_is_none():
    assert np.isnan(truth(MADE.minutes, MADE.minutes.end - 30, HOUR)[-1])


def test_a_search_finds_better_parameters_than_bad_ones():
    moments = list(prompts(MADE, MONDAY + 3 * 1_440, MONDAY + 4 * 1_440, 120, HOUR))
    found = fit(MADE, moments, HOUR, LOW, tries=25)
    assert found.after < found.before
    assert found.tries <= 30
    assert found.model.nu > 2.0
    assert fit(MADE, moments, HOUR, LOW, tries=25) == found


def test_parameters_survive_their_code():
    assert decoded(coded(LOW)) == LOW


def test_likeliest_nu_of_normal_returns_is_large():
    assert by.likeliest_nu(np.random.default_rng(4).normal(size=20_000)) > 25
