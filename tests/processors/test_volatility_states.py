"""States of volatility in the stream: equal to the offline history's, warm in time, nothing counted twice."""

import json

import numpy as np
import pytest

from consumers.synth.history import history, known_wide, states
from processors.online.synth_assets import ASSETS
from processors.online.synth_forecast import known_of
from processors.volatility_states import VolatilityStateOptions, VolatilityStates
from schemas import Rejected
from tests.minute_bars import MINUTE, bar
from tests.processors.synth import minutes_of, real, run

START = 29_610_720
BTC, TSLAX = ASSETS["BTC"].source, ASSETS["TSLAX"].source


@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_a_state_says_what_the_history_says_of_the_same_bars(holes):
    bars, asset = real("BTCUSDT", 6, holes), ASSETS["BTC"]
    found = run(bars, ("wide_bars", "volatility_states"))["volatility_states"]
    known = history(asset, minutes_of(bars))
    models = {86_400: asset.day, 3_600: asset.hour}
    offline = {length: states(known, model.half_life_1m, model.half_life_5m) for length, model in models.items()}
    assert len(found) == len(bars)
    for state in found[10:]:
        minute = state.event_ns // MINUTE - 1
        index = known.at(minute)
        for length, each in offline.items():
            said = known_of(state, length)
            assert said.price == known.prices[index]
            assert said.fast == pytest.approx(each.fast[index], rel=1e-9)
            wide = known_wide(known, index)
            assert said.slow == pytest.approx(np.nan_to_num(each.slow[wide]), rel=1e-9)
            assert said.anchor == pytest.approx(np.nan_to_num(each.anchor[wide]), rel=1e-9)
            assert np.allclose(said.profile, known.profile(minute // 1_440), rtol=1e-6)
        assert state.warm == (minute >= known.minutes.start + asset.warm_up_minutes)


@pytest.mark.parametrize(("source", "hours"), [(BTC, 72), (TSLAX, 120)])
def test_a_state_is_warm_after_so_many_hours(source, hours):
    stage = VolatilityStates(source)
    said = [state for place in range(hours * 60 + 1) for state in stage.on_event(bar(source, START + place))]
    assert (said[-2].warm, said[-1].warm) == (False, True)
    assert said[-2].reason == f"{hours * 60} minutes of history are needed, there are {hours * 60 - 1}"
    assert said[-1].reason == ""
    assert (said[-1].minutes, said[-1].missing) == (hours * 60 + 1, 0)


def test_a_day_with_hardly_a_bar_is_not_warm():
    stage = VolatilityStates(BTC)
    for place in (0, 5_000):
        (said,) = stage.on_event(bar(BTC, START + place))
    assert (said.warm, said.missing, said.reason) == (False, 1_439, "10 bars in a day are needed, there are 1")


def test_before_the_first_return_variances_are_zero():
    (said,) = VolatilityStates(BTC).on_event(bar(BTC, START))
    assert (said.fast, said.slow, said.hour_fast, said.hour_slow, said.anchor) == (0.0,) * 5


def test_the_ladder_holds_what_experts_start_from():
    stage = VolatilityStates(BTC)
    for place in range(3):
        (said,) = stage.on_event(bar(BTC, START + place, 100.0 + place))
    rates = json.loads(said.ladder)
    day, hour = ASSETS["BTC"].day, ASSETS["BTC"].hour
    assert rates[f"{day.half_life_1m:g}"] == said.fast
    assert rates[f"{2 * hour.half_life_1m:g}"] > 0.0
    assert len(rates) == 6


def test_a_minute_that_comes_again_counts_once():
    stage = VolatilityStates(BTC)
    bars = [bar(BTC, START, 100.0), bar(BTC, START + 1, 101.0)]
    assert len([state for each in bars for state in stage.on_event(each)]) == 2
    before = stage.snapshot()
    assert [state for each in bars for state in stage.on_event(each)] == []
    assert stage.snapshot() == before


def test_a_minute_from_before_the_first_is_refused_however_old():
    stage = VolatilityStates(BTC)
    assert list(stage.on_event(bar(BTC, START)))
    for minute in (START - 1, START - 5_000):
        with pytest.raises(Rejected, match=f"minute {minute} comes after minute {START}, too late"):
            list(stage.on_event(bar(BTC, minute)))


def test_a_minute_that_comes_after_a_later_one_is_refused():
    stage = VolatilityStates(BTC)
    for place in (0, 2):
        assert list(stage.on_event(bar(BTC, START + place)))
    with pytest.raises(Rejected, match=f"minute {START + 1} comes after minute {START + 2}, too late"):
        list(stage.on_event(bar(BTC, START + 1)))


@pytest.mark.parametrize("changed", [{"close": float("nan")}, {"low": -1.0}, {"received_ns": 0}, {"event_ns": 7}])
def test_what_is_no_bar_is_refused_and_leaves_no_trace(changed):
    stage = VolatilityStates(BTC)
    assert list(stage.on_event(bar(BTC, START)))
    before = stage.snapshot()
    with pytest.raises(Rejected):
        list(stage.on_event(bar(BTC, START + 1, **changed)))
    assert stage.snapshot() == before


def test_another_instrument_may_be_an_assets():
    options = VolatilityStateOptions(instruments={"pyth:Crypto.BTC/USD": "BTC"})
    (said,) = VolatilityStates("pyth:Crypto.BTC/USD", options).on_event(bar("pyth:Crypto.BTC/USD", START))
    assert (said.asset, said.fast_half_life_s) == ("BTC", ASSETS["BTC"].day.half_life_1m * 60.0)
    (said,) = VolatilityStates("pyth:Crypto.BTC/USD").on_event(bar("pyth:Crypto.BTC/USD", START))
    assert said.asset == ""


@pytest.mark.parametrize("options", [{"instruments": {"x:a": "DOGE"}}, {"fewest_minutes": -1}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=r"DOGE|fewest_minutes"):
        VolatilityStateOptions(**options)
