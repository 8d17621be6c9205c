"""The online state is what a history says of the same bars, at every minute, over holes, midnights and weekends."""

import msgspec
import numpy as np
import polars as pl
import pytest

from consumers.synth.bars import Minutes, on_grid
from consumers.synth.history import history, known_wide, states
from processors.online.day_profile import DAY
from processors.online.resampling import WIDE
from processors.online.seasonal_variance import SeasonalVariance
from processors.online.synth_assets import ASSETS
from tests.consumers.synth.made import MONDAY, minutes
from tests.data import recording

SPOT = "bars/binance_spot_1m_btc_eth_sol_xrp_bnb_2026-03-23_04-22.parquet"
NARROW, WIDES = (30.0, 75.0), (257.0, 288.0)


def real(symbol, days):
    frame = pl.read_parquet(recording(SPOT)).filter(pl.col("symbol") == symbol).sort("ts").head(days * DAY)
    return on_grid(frame.with_columns(minute=pl.col("ts") // 60_000))


def holed(found, share, outage=0):
    closes, generator = found.closes.copy(), np.random.default_rng(3)
    closes[1:][generator.random(len(closes) - 1) < share] = np.nan
    closes[5_000 : 5_000 + outage] = np.nan
    return Minutes(found.start, closes)


def run(asset, found, restart_every=0):
    """The state after each bar: minute, fast rates, slow rates, multipliers."""
    state, window = SeasonalVariance(asset, NARROW, WIDES), []
    for place in np.flatnonzero(np.isfinite(found.closes)).tolist():
        minute, close = found.start + place, float(found.closes[place])
        if window and minute // WIDE != window[0] // WIDE:
            state.on_wide(window[0] // WIDE * WIDE + WIDE - 1, window[1])
            window = []
        window = [minute, close]
        if minute % WIDE == WIDE - 1:
            state.on_wide(minute, close)
            window = []
        state.on_bar(minute, close)
        if restart_every and place % restart_every == 0:
            snapshot = msgspec.msgpack.decode(msgspec.msgpack.encode(state.snapshot()))
            state = SeasonalVariance(asset, NARROW, WIDES)
            state.restore(snapshot)
        yield minute, state.narrow.rates(), state.wide.rates(), state.multipliers


def held_to_history(asset, found):
    known = history(asset, found)
    every = [states(known, fast, slow) for fast, slow in zip(NARROW, WIDES, strict=True)]
    for minute, fast, slow, multipliers in run(asset, found):
        index = known.at(minute)
        wide = known_wide(known, index)
        for each, fast_half_life, slow_half_life in zip(every, NARROW, WIDES, strict=True):
            assert fast[fast_half_life] == pytest.approx(np.nan_to_num(each.fast[index]), rel=1e-9)
            if wide >= 0:
                assert slow[slow_half_life] == pytest.approx(np.nan_to_num(each.slow[wide]), rel=1e-9)
        assert np.allclose(multipliers, known.profile(minute // DAY), rtol=1e-9)


@pytest.mark.parametrize(("share", "outage"), [(0.0, 0), (0.3, 0), (0.6, 3_000)])
def test_real_bars_with_holes_give_what_the_history_gives(share, outage):
    held_to_history(ASSETS["ETH"], holed(real("ETHUSDT", 9), share, outage))


@pytest.mark.parametrize("asset", ["TSLAX", "XAU"])
def test_hours_in_which_the_market_is_shut_are_divided_out_alike(asset):
    held_to_history(ASSETS[asset], holed(minutes(8, MONDAY + 7), 0.2))


def test_a_restart_changes_nothing():
    found = holed(minutes(3, MONDAY + 3), 0.2)
    once, again = (list(run(ASSETS["TSLAX"], found, every)) for every in (0, 7))
    assert [values[:3] for values in once] == [values[:3] for values in again]
    assert all(np.array_equal(left[3], right[3]) for left, right in zip(once, again, strict=True))


def walked():
    state = SeasonalVariance(ASSETS["BTC"], NARROW, WIDES)
    for place, price in enumerate((100.0, 101.0, 100.0, 104.0)):
        state.on_bar(MONDAY + place, price)
    return state


def test_a_half_life_that_a_snapshot_lacks_begins_with_the_nearest_one():
    state = walked()
    other = SeasonalVariance(ASSETS["BTC"], (NARROW[0], 500.0), WIDES)
    other.restore(state.snapshot())
    rates = state.narrow.rates()
    assert other.narrow.rates() == {NARROW[0]: rates[NARROW[0]], 500.0: rates[NARROW[1]]}


def test_a_snapshot_of_mean_squares_gives_the_same_variance():
    snapshot = walked().snapshot()
    rungs = snapshot["narrow"].pop("means")
    snapshot["narrow"]["rungs"] = [[half_life, 9e-8 * weight, weight] for half_life, _, weight in rungs]
    snapshot["wide"]["rungs"] = [[half_life, 0.0, 0.0] for half_life, _, _ in snapshot["wide"].pop("means")]
    state = SeasonalVariance(ASSETS["BTC"], NARROW, WIDES)
    state.restore(snapshot)
    assert state.narrow.rates() == pytest.approx(dict.fromkeys(NARROW, 9e-8 / 60.0))
    assert set(state.wide.rates().values()) == {0.0}


@pytest.mark.parametrize("bar", [(MONDAY, 101.0), (MONDAY - 1, 101.0), (MONDAY + 1, np.nan), (MONDAY + 1, -1.0)])
def test_what_is_no_later_bar_is_refused(bar):
    state = SeasonalVariance(ASSETS["BTC"], NARROW, WIDES)
    state.on_bar(MONDAY, 100.0)
    before = state.snapshot()
    for take in (state.on_bar, state.on_wide) if bar[0] != MONDAY else (state.on_bar,):
        with pytest.raises(ValueError, match="after minute"):
            take(*bar)
    assert state.snapshot() == before
