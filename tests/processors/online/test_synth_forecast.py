"""A forecast depends on what is known, the model and the start, and on nothing else."""

import hashlib

import numpy as np
import pytest

from processors.online.day_profile import DayProfile, spread
from processors.online.innovations import mean_size, seed_of, shocks
from processors.online.market_hours import variance_multipliers
from processors.online.synth_assets import ASSETS
from processors.online.synth_forecast import VERSION, Known, digest, forecast, multipliers, recipe, simulated, work
from processors.online.synth_response import Prompt, response
from processors.online.variance_paths import Variance, paths

BTC, TSLAX = ASSETS["BTC"], ASSETS["TSLAX"]
PROFILE = np.linspace(0.5, 1.5, 96).reshape(2, 48)
KNOWN = Known(100.0, 4e-9, 2e-9, 3e-9, PROFILE)
START_S = 29_738_280 * 60  # Friday, 2026-07-17 14:00 UTC


def made(known=KNOWN, asset=BTC, start_s=START_S, step_s=300, steps=288, count=20, **more):
    return forecast(known, asset, asset.model(step_s * steps), start_s, step_s, steps, count, **more)


def test_paths_are_those_of_the_model_with_its_seed_and_its_minutes_multipliers():
    first = START_S // 60 + 1
    each = variance_multipliers(TSLAX, first, 1_440) * spread(PROFILE, first, 1_440)
    model = TSLAX.day
    variance = Variance(
        4e-9, 2e-9, model.half_life_1m * 60, model.half_life_5m * 300, model.blend * 60, 3e-9, model.fast_weight,
        model.slow_weight,
    )  # fmt: skip
    noise = shocks(seed_of("TSLAX", START_S * 10**9, VERSION), model.nu, np.empty((288, 20), np.float32))
    steps, size = each.reshape(288, 5).mean(axis=1), mean_size(model.nu)
    expected = paths(100.0, variance, size, 300.0, steps, noise, np.empty((289, 20), np.float32))
    assert np.allclose(made(asset=TSLAX), expected, rtol=1e-6)


def test_paths_are_the_same_in_arrays_that_were_used_before():
    within = work(288, 20)
    first = made(within=within).copy()
    made(start_s=START_S + 300, within=within)
    assert np.array_equal(made(within=within), first)
    assert np.array_equal(made(), first)


@pytest.mark.parametrize(
    "changed",
    [
        {"asset": ASSETS["ETH"]},
        {"start_s": START_S + 60},
        {"known": KNOWN._replace(fast=5e-9)},
        {"known": KNOWN._replace(anchor=5e-9)},
        {"widened_s": 60.0},
    ],
)
def test_another_asset_start_state_or_age_gives_other_paths(changed):
    assert not np.array_equal(made(**changed)[1:], made()[1:])


def test_a_day_takes_the_day_model_and_an_hour_that_of_the_hour():
    assert recipe(KNOWN, BTC, BTC.model(86_400), START_S, 300, 288).nu == BTC.day.nu
    assert recipe(KNOWN, BTC, BTC.model(3_600), START_S, 60, 60).nu == BTC.hour.nu


def test_a_step_in_shut_hours_moves_less():
    each = multipliers(DayProfile().multipliers(), TSLAX, START_S, 3_600, 24)
    assert each[:5].tolist() == [1.0] * 5  # until 19:00, and the market shuts at 20:00
    assert each[7:] == pytest.approx([0.36] * 17)


@pytest.mark.parametrize(("start_s", "step_s"), [(START_S, 10), (START_S + 17, 60), (START_S + 59, 7)])
def test_steps_off_the_minute_take_the_minute_that_they_begin_in(start_s, step_s):
    found = multipliers(PROFILE, TSLAX, start_s, step_s, 100)
    minutes = [(start_s + step_s * step) // 60 + 1 for step in range(100)]
    expected = [float(variance_multipliers(TSLAX, minute, 1)[0] * spread(PROFILE, minute, 1)[0]) for minute in minutes]
    assert found == pytest.approx(expected)


def test_what_is_old_widens_the_first_step():
    usual, wide = (recipe(KNOWN, BTC, BTC.day, START_S, 300, 288, age) for age in (0.0, 600.0))
    assert wide.multipliers[0] == pytest.approx(3.0 * usual.multipliers[0])
    assert np.array_equal(wide.multipliers[1:], usual.multipliers[1:])
    assert simulated(wide, 4_000)[-1].std() > simulated(usual, 4_000)[-1].std()


@pytest.mark.parametrize(
    ("known", "age"),
    [
        (KNOWN._replace(price=0.0), 0.0),
        (KNOWN._replace(fast=-1.0), 0.0),
        (KNOWN._replace(slow=np.nan), 0.0),
        (KNOWN._replace(anchor=-1e-9), 0.0),
        (KNOWN, -1),
        (KNOWN, 1e300),
    ],
)
def test_what_is_no_price_variance_or_time_is_refused(known, age):
    with pytest.raises(ValueError, match=r"price, fast, slow|widened_s"):
        recipe(known, BTC, BTC.day, START_S, 300, 288, age)


def test_the_digest_is_of_the_prices_that_are_sent():
    prices = made(count=3)
    sent = response(Prompt("BTC", START_S, 300, 86_400, 3), prices)
    assert digest(prices) == hashlib.sha256(np.array(sent[2:], "<f8").tobytes()).hexdigest()
