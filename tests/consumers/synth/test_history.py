"""What a history says of a minute depends on what came before it, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.synth.bars import Minutes
from consumers.synth.history import history, known_wide, scaled, states
from processors.online.ewma_variance import EwmaVariance
from processors.online.market_hours import variance_multipliers
from processors.online.resampling import Minute, Resampling
from processors.online.synth_assets import ASSETS
from tests.consumers.synth.made import MONDAY, minutes

BTC, TSLAX = ASSETS["BTC"], ASSETS["TSLAX"]


def holed(found, share=0.2):
    closes = found.closes.copy()
    closes[1:][np.random.default_rng(3).random(len(closes) - 1) < share] = np.nan
    return Minutes(found.start, closes)


@settings(max_examples=10)
@given(st.integers(1, 2_879), st.sampled_from([BTC, TSLAX]))
def test_what_is_cut_off_changes_nothing_before_it(cut, asset):
    whole = holed(minutes(2, MONDAY + 7))
    part = Minutes(whole.start, whole.closes[:cut])
    long, short = history(asset, whole), history(asset, part)
    assert np.array_equal(long.prices[:cut], short.prices)
    fast, slow, anchor = states(long, 60.0, 50.0)
    short_fast, short_slow, short_anchor = states(short, 60.0, 50.0)
    assert np.array_equal(fast[:cut], short_fast, equal_nan=True)
    known = known_wide(long, cut - 1)
    assert known == known_wide(short, cut - 1)
    assert np.array_equal(slow[: known + 1], short_slow[: known + 1], equal_nan=True)
    assert np.array_equal(anchor[: known + 1], short_anchor[: known + 1], equal_nan=True)


def test_the_slow_state_is_that_of_resampled_bars():
    found = holed(minutes(1, MONDAY + 3))
    resampling, state, last, expected = Resampling(5), EwmaVariance(50.0), None, []
    for place, close in enumerate(found.closes):
        at = found.start + place
        closed = list(resampling.advance(at))
        if np.isfinite(close):
            closed += resampling.update(Minute(at, close, close, close, close, 0.0))
        for bar in closed:
            if last is not None:
                state.update(np.log(bar.close / last.close), (bar.minute - last.minute) // 5 - 1)
                expected.append(state.variance / 300)
            last = bar
    slow = states(history(BTC, found), 60.0, 50.0).slow
    assert slow[known_wide(history(BTC, found), 1_439)] == pytest.approx(expected[-1], rel=1e-9)


def test_a_return_over_a_gap_is_measured_against_all_its_minutes():
    found = scaled(np.array([1.0, np.nan, np.e]), np.array([1.0, 1.0, 3.0]), np.arange(3))
    assert found[2] == pytest.approx(1.0 / np.sqrt(2.0))
    assert np.isnan(found[:2]).all()


def test_shut_hours_do_not_look_calm():
    found = minutes(5)
    shut = np.sqrt(variance_multipliers(TSLAX, found.start, len(found.closes)))
    moves = np.diff(np.log(found.closes), prepend=np.log(100.0)) * shut
    quieter = Minutes(found.start, 100 * np.exp(moves.cumsum()))
    fast = states(history(TSLAX, quieter), 500.0, 288.0).fast
    assert fast[-1] == pytest.approx(states(history(BTC, found), 500.0, 288.0).fast[-1], rel=0.5)
