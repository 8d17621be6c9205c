import json

import numpy as np
import polars as pl
import pytest

from consumers.synth.backtest import truth
from consumers.synth.bars import KINDS, Minutes, read
from infra import archive_backfill
from infra.errors import UserError
from processors.online.synth_assets import ASSETS
from processors.online.synth_rules import newest
from producers.history.series import sources
from schemas import Bar
from tests.consumers.synth.made import MONDAY, frame, minutes
from tests.data import recording

BTC = ASSETS["BTC"]
SPOT = "bars/binance_spot_1m_btc_eth_sol_xrp_bnb_2026-03-23_04-22.parquet"


def saved(rows, folder, name="bars.parquet"):
    rows.write_parquet(folder / name)
    return folder / name


def test_a_file_gives_closes_by_minute_with_nan_where_there_is_none(tmp_path):
    rows = frame(minutes(1)).head(5).filter(pl.Series([True, False, True, True, True]))
    found = read(BTC, saved(rows, tmp_path), tmp_path)
    assert found.start == MONDAY
    assert np.isnan(found.closes).tolist() == [False, True, False, False, False]


def test_the_order_of_rows_does_not_matter_and_of_a_repeated_minute_the_last_counts(tmp_path):
    rows = frame(minutes(1)).head(4)
    again = rows.head(1).with_columns(close=pl.lit(7.0))
    shuffled = pl.concat([rows.sample(fraction=1, shuffle=True, seed=1), again])
    found = read(BTC, saved(shuffled, tmp_path), tmp_path).closes
    assert found.tolist() == [7.0, *rows["close"].to_list()[1:]]


def test_a_folder_is_read_whole_and_other_assets_are_left_out(tmp_path):
    rows = frame(minutes(1))
    saved(rows.head(100), tmp_path, "one.parquet")
    saved(pl.concat([rows[100:200], frame(minutes(1), "ETHUSDT")]), tmp_path, "two.parquet")
    assert len(read(BTC, tmp_path, tmp_path).closes) == 200
    assert len(read(ASSETS["ETH"], tmp_path, tmp_path).closes) == 1_440


def test_real_bars_are_read_for_each_symbol():
    for name in ("BTC", "ETH", "SOL", "XRP"):
        found = read(ASSETS[name], recording(SPOT), recording(SPOT))
        assert len(found.closes) > 43_000
        assert np.isfinite(found.closes).all()


def test_what_was_back_filled_is_read_where_no_file_is_given(tmp_path):
    made = minutes(1)
    event_ns = np.arange(made.start + 1, made.end + 1) * 60_000_000_000
    prices = dict.fromkeys(("open", "high", "low", "close"), made.closes)
    zeros = dict.fromkeys(("volume", "quote_volume", "taker_buy_volume"), np.zeros(1_440))
    whole = {"event_ns": event_ns, "received_ns": event_ns, "width_ms": np.full(1_440, 60_000)}
    columns = {**whole, **prices, **zeros, "trades": np.zeros(1_440, np.int64)}
    batch = archive_backfill.batch(Bar, BTC.source, "klines_1m", event_ns, columns)
    archive_backfill.keep(archive_backfill.root_of(tmp_path, BTC.source, "klines_1m"), batch, "2026-04-20")
    found = read(BTC, None, tmp_path)
    assert found.start == made.start
    assert (found.closes == made.closes).all()


def test_without_bars_the_user_is_told_how_to_fetch_them(tmp_path):
    with pytest.raises(UserError, match="tidemill backfill binance --symbols BTCUSDT --kind klines_1m"):
        read(BTC, None, tmp_path)
    with pytest.raises(UserError, match="tidemill backfill hyperliquid --symbols xyz:GOLD --kind candles_1m"):
        read(ASSETS["XAU"], None, tmp_path)


def test_every_asset_has_a_source_that_can_be_back_filled():
    for asset in ASSETS.values():
        feed, _, symbol = asset.source.partition(":")
        series = sources()[feed].series(symbol, KINDS[feed])
        assert series.instrument == asset.source
        assert series.record is Bar


@pytest.mark.parametrize("wrong", [float("nan"), -1.0, 0.0, float("inf"), None])
@pytest.mark.parametrize("column", ["open", "high", "low", "close"])
def test_prices_that_are_none_are_named(tmp_path, column, wrong):
    values = [100.0] * 1_440
    values[3] = wrong
    rows = frame(minutes(1)).with_columns(pl.Series(column, values, pl.Float64))
    with pytest.raises(UserError, match=f"BTC: {column}: .* in 1 of 1440 bars, first in minute {MONDAY + 3}"):
        read(BTC, saved(rows, tmp_path), tmp_path)


def test_files_without_bars_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="no Parquet file"):
        read(BTC, tmp_path / "absent.parquet", tmp_path)
    with pytest.raises(UserError, match="no bars; expected"):
        read(BTC, saved(pl.DataFrame({"a": [1]}), tmp_path), tmp_path)
    with pytest.raises(UserError, match="no bars of it"):
        read(BTC, saved(frame(minutes(1), "DOGEUSDT"), tmp_path), tmp_path)
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(UserError, match=r"text\.parquet"):
        read(BTC, tmp_path / "text.parquet", tmp_path)


TS, CLOSE = pl.col("ts"), pl.col("close")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (pl.from_epoch(TS, "ms"), "ts: Datetime.* 0 missing, where every row has whole ms"),
        (TS.cast(pl.Float64), "ts: Float64"),
        (TS.cast(pl.String), "ts: String"),
        (pl.when(TS > MONDAY * 60_000).then(TS), "ts: Int64, 1 missing"),
        (TS * 1_000, f"ts: {MONDAY * 60_000_000} is no time in ms"),
        (TS // 1_000, f"ts: {MONDAY * 60} is no time in ms"),
        (CLOSE.cast(pl.String), "close: String where numbers were expected"),
    ],
)
def test_a_column_of_another_type_or_unit_is_named(tmp_path, spoil, named):
    file = saved(frame(minutes(1)).with_columns(spoil), tmp_path)
    with pytest.raises(UserError, match=named) as told:
        read(BTC, file, tmp_path)
    assert str(file) in str(told.value)


@pytest.mark.parametrize(
    "other", [pl.col("symbol").cast(pl.Categorical), CLOSE.cast(pl.Decimal(18, 6)), CLOSE.cast(pl.Float32)]
)
def test_columns_that_say_the_same_in_another_type_are_read(tmp_path, other):
    found = read(BTC, saved(frame(minutes(1)).with_columns(other), tmp_path), tmp_path)
    assert np.allclose(found.closes, minutes(1).closes, rtol=1e-6)


def test_a_file_of_other_symbols_of_any_type_has_no_bars_of_it(tmp_path):
    with pytest.raises(UserError, match="no bars of it"):
        read(BTC, saved(frame(minutes(1)).with_columns(symbol=7), tmp_path), tmp_path)


def test_the_truth_is_what_the_validator_makes_of_replies_with_holes():
    day = newest().competition("BTC", 86_400)
    for case in json.loads(recording("pyth/synth_benchmarks_grid_cases.json").read_text()):
        times, prices = case["benchmarks_reply"]["t"], case["benchmarks_reply"]["c"]
        request = case["request"] if isinstance(case["request"], dict) else {}
        length, increment = int(request.get("time_length", 360)), int(request.get("time_increment", 120))
        start = 1_739_974_320 // 60
        closes = np.full(max(times) // 60 - start + 1, np.nan)
        closes[np.array(times) // 60 - start] = prices
        asked = day._replace(length_s=length, increment_s=increment)
        found = truth(Minutes(start, closes), start, asked)
        expected = [np.nan if price is None else price for price in case["expected_grid"]]
        assert np.array_equal(found, expected, equal_nan=True), case["test"]
