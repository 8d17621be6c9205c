"""Five-minute bars: equal to polars on real bars with holes, however minutes arrive."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.online.resampling import Minute, Resampling
from tests.data import recording

SPOT = "bars/binance_spot_1m_btc_eth_sol_xrp_bnb_2026-03-23_04-22.parquet"


def minute(at, price=100.0, **changed):
    return Minute(at, price, price, price, price, 1.0)._replace(**changed)


def resampled(bars, width=5):
    state = Resampling(width)
    found = [wide for bar in bars for wide in state.update(bar)]
    return [*found, *state.advance(max(bar.minute for bar in bars) + width)], state


def test_real_bars_with_holes_give_what_polars_gives():
    frame = pl.read_parquet(recording(SPOT)).filter(pl.col("symbol") == "SOLUSDT").sort("ts").head(20_000)
    holed = frame.filter(pl.Series(np.random.default_rng(1).random(len(frame)) > 0.4))
    names = ("open", "high", "low", "close", "volume")
    expected = (
        holed.with_columns(minute=pl.col("ts") // 300_000 * 5)
        .group_by("minute", maintain_order=True)
        .agg(
            pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .sort("minute")
    )  # fmt: skip
    bars = [Minute(row[0] // 60_000, *row[1:]) for row in holed.select("ts", *names).iter_rows()]
    found, _ = resampled(bars)
    assert 2_000 < len(found) < 4_000
    assert [bar[:5] for bar in found] == [row[:5] for row in expected.iter_rows()]
    assert [bar.volume for bar in found] == pytest.approx(expected["volume"].to_list())


@given(st.lists(st.floats(1, 200), min_size=5, max_size=5), st.randoms(use_true_random=False))
def test_within_a_window_minutes_may_come_in_any_order(prices, random):
    bars = [minute(10 + place, price) for place, price in enumerate(prices)]
    found, _ = resampled(random.sample(bars, 5))
    assert found == [Minute(10, prices[0], max(prices), min(prices), prices[4], 5.0)]


def test_a_minute_that_comes_again_replaces_itself():
    found, _ = resampled([minute(10, 100.0), minute(11, 105.0), minute(11, 101.0)])
    assert found == [Minute(10, 100.0, 101.0, 100.0, 101.0, 2.0)]


def test_a_minute_of_a_closed_window_is_too_late():
    found, state = resampled([minute(10), minute(15), minute(14, 500.0), minute(16)])
    assert [bar.high for bar in found] == [100.0, 100.0]
    assert state.late == 1


def test_the_clock_closes_a_window_that_no_minute_closes():
    state = Resampling(5)
    assert list(state.update(minute(10))) == []
    assert list(state.advance(14)) == []
    assert [bar.minute for bar in state.advance(15)] == [10]
    assert list(state.advance(99)) == []


def test_a_window_without_minutes_gives_no_bar():
    found, _ = resampled([minute(10), minute(30)])
    assert [bar.minute for bar in found] == [10, 30]


@pytest.mark.parametrize(
    "changed",
    [
        {"low": -1.0}, {"low": 0.0}, {"high": float("nan")}, {"close": float("nan")}, {"high": float("inf")},
        {"high": 99.0}, {"low": 101.0}, {"volume": -1.0}, {"volume": float("nan")},
    ],
)  # fmt: skip
def test_prices_that_no_bar_has_are_refused(changed):
    with pytest.raises(ValueError, match="bar of minute 10"):
        list(Resampling(5).update(minute(10, **changed)))
