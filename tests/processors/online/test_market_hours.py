from datetime import UTC, datetime

import pytest

from processors.online.market_hours import variance_multipliers
from processors.online.synth_assets import ASSETS, check


def multiplier(asset, *moment):
    return float(variance_multipliers(ASSETS[asset], int(datetime(*moment, tzinfo=UTC).timestamp()) // 60, 1)[0])


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ((2026, 7, 17, 13, 29), False), ((2026, 7, 17, 13, 30), True), ((2026, 7, 17, 19, 59), True),
        ((2026, 7, 17, 20, 0), False),
        ((2026, 11, 20, 14, 0), False), ((2026, 11, 20, 20, 30), True),  # winter
        ((2026, 7, 18, 15, 0), False),  # Saturday
        ((2026, 7, 3, 15, 0), False),  # holiday
        ((2026, 11, 27, 17, 59), True), ((2026, 11, 27, 18, 0), False),  # closes early after Thanksgiving
    ],
)  # fmt: skip
def test_shares_are_quieter_when_new_york_is_shut(moment, open_):
    assert multiplier("NVDAX", *moment) == pytest.approx(1.0 if open_ else 0.36)


def test_gold_trades_at_night_and_rests_at_the_weekend():
    assert multiplier("XAU", 2026, 7, 15, 3, 0) == 1.0
    assert multiplier("XAU", 2026, 7, 18, 3, 0) == pytest.approx(0.36)


def test_crypto_never_rests():
    assert multiplier("BTC", 2026, 7, 18, 3, 0) == 1.0


def test_the_multiplier_is_the_assets_own():
    quiet = ASSETS["TSLAX"]._replace(off_hours=0.5)
    assert variance_multipliers(quiet, 0, 1_440).min() == 0.25


def test_a_span_over_new_year_is_one_series():
    eve = int(datetime(2026, 12, 30, tzinfo=UTC).timestamp()) // 60
    whole = variance_multipliers(ASSETS["SP500"], eve, 5 * 1_440)
    parts = [variance_multipliers(ASSETS["SP500"], eve + day * 1_440, 1_440) for day in range(5)]
    assert whole.tolist() == [value for part in parts for value in part]
    assert [int((part == 1.0).sum()) for part in parts] == [390, 390, 0, 0, 0]


def test_every_asset_is_whole_and_has_a_market():
    assert len(ASSETS) == 13
    for asset in ASSETS.values():
        check(asset)
        assert len(variance_multipliers(asset, 29_610_720, 60)) == 60


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"weight": 0.0}, "weight"),
        ({"off_hours": -1.0}, "off_hours"),
        ({"source": "BTC"}, "source"),
        ({"name": "X"}, "X"),
    ],
)
def test_an_asset_that_makes_no_sense_is_told_by_its_field(changed, named):
    with pytest.raises(ValueError, match=named):
        check(ASSETS["BTC"]._replace(**changed))
