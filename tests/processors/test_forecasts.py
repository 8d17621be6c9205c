"""Forecasts in the stream: at the subnet's times, from the right state, the same as were served and as offline."""

import hashlib

import msgspec
import numpy as np
import pytest

from consumers.synth.contestants import Moment, Work, ours
from consumers.synth.history import history
from processors.forecasts import ForecastOptions, Forecasts
from processors.online.bands import LEVELS, bands
from processors.online.synth_assets import ASSETS
from processors.online.synth_forecast import digest, forecast, known_of, mixed
from processors.online.synth_mixture import recipes
from processors.online.synth_response import Prompt as Asked
from processors.online.synth_response import response
from processors.online.synth_rules import newest
from schemas import ExpertWeight, Rejected, VolatilityState
from tests.minute_bars import ASSET, MINUTE, SOURCE, prompt
from tests.processors.synth import minutes_of, real, run

START = 29_738_280  # 2026-07-17 14:00 UTC, when all competitions are split
LADDER = {"8": 2e-9, "16": 3e-9, "32": 4e-9, "2.5": 2e-9, "5": 3e-9, "10": 4e-9}


def state(minute=START - 2, **changed):
    """A warm state of an asset after the bar of a minute."""
    values = {
        "instrument": SOURCE, "event_ns": (minute + 1) * MINUTE, "price": 100.0, "fast": 3e-9, "slow": 2e-9,
        "fast_half_life_s": 2_388.0, "slow_half_life_s": 864_000.0, "profile": b"", "minutes": 9_999, "missing": 0,
        "warm": True, "reason": "", "asset": ASSET, "hour_fast": 4e-9, "hour_slow": 3e-9,
        "hour_fast_half_life_s": 2_700.0, "hour_slow_half_life_s": 371_400.0, "anchor": 2.5e-9,
        "ladder": msgspec.json.encode(LADDER).decode(),
    }  # fmt: skip
    return VolatilityState(**values | changed)


def made(*events, **options):
    stage = Forecasts(SOURCE, ForecastOptions(**options))
    return [record for event in events for record in stage.on_event(event)]


def paths_of(found):
    return mixed(recipes(found))


def test_forecasts_come_when_the_subnet_asks():
    found = made(*(state(START + place) for place in range(60)), paths=10)
    starts = {name: [each.start_ns // MINUTE for each in found if each.competition == name] for name in ("24h", "1h")}
    assert starts["24h"] == [minute for minute in range(START + 2, START + 62) if minute % 12 == 0]
    assert starts["1h"] == [minute for minute in range(START + 2, START + 62) if minute % 5 == 0]
    assert {each.origin for each in found} == {"schedule"}
    assert all(each.state_ns == each.event_ns == each.start_ns - MINUTE for each in found)


def test_a_cadence_may_be_set_and_the_schedule_switched_off():
    states = [state(START + place) for place in range(60)]
    assert len(made(*states, paths=10, day_every_minutes=30, hour_every_minutes=20)) == 2 + 3
    assert made(*states, schedule=False) == []


@pytest.mark.parametrize("changed", [{"warm": False, "reason": "cold"}, {"asset": ""}])
def test_nothing_is_forecast_from_a_state_that_is_not_warm_or_no_assets(changed):
    assert made(*(state(START + place, **changed) for place in range(60))) == []


def test_an_asset_is_forecast_only_in_its_competitions():
    found = made(*(state(START + place, asset="XAU") for place in range(60)), paths=10)
    assert {each.competition for each in found} == {"24h"}


def test_bands_are_the_quantiles_of_the_paths():
    found = made(state(), paths=200)[0]
    levels = np.frombuffer(found.levels, "<f8")
    said = np.frombuffer(found.bands, "<f4").reshape(found.steps + 1, len(levels))
    assert levels.tolist() == list(LEVELS)
    assert np.array_equal(said, bands(paths_of(found)))
    assert said == pytest.approx(np.quantile(paths_of(found), LEVELS, axis=1).T, rel=1e-6)


def test_a_prompt_gives_the_paths_that_were_served():
    known, asset = state(profile=np.linspace(0.5, 2.0, 96, dtype="<f4").tobytes()), ASSETS[ASSET]
    for length_s, step_s in ((3_600, 60), (86_400, 300), (600, 7 * 60 // 7)):
        asked = Asked(ASSET, START * 60, step_s, length_s, 100)
        served = forecast(
            known_of(known, length_s), asset, asset.model(length_s), asked.start_s, step_s, length_s // step_s, 100,
            widened_s=90.0,
        )  # fmt: skip
        answered = prompt(
            known.event_ns, START, length_ms=length_s * 1_000, step_ms=step_s * 1_000, digest=digest(served),
            widened_s=90.0,
        )  # fmt: skip
        (found,) = made(known, answered, schedule=False)
        assert np.array_equal(paths_of(found), served)
        assert (found.origin, found.state_ns) == ("http", known.event_ns)
        assert found.competition == {3_600: "1h", 86_400: "24h"}.get(length_s, "")
        sent = response(asked, served)
        assert digest(served) == hashlib.sha256(np.asarray(sent[2:], "<f8").tobytes()).hexdigest()


def test_only_the_last_states_are_known():
    states = [state(START + place) for place in range(5)]
    answered = prompt(states[1].event_ns, START + 9)
    assert len(made(*states, answered, schedule=False, kept_states=4)) == 1
    with pytest.raises(Rejected, match=f"state_ns: {states[1].event_ns} is none of the last 3 states"):
        made(*states, answered, schedule=False, kept_states=3)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"asset": "ETH"}, "asset: 'ETH' where the state is of 'SOL'"),
        ({"step_ms": 7_000}, "step_ms: 7000 does not divide length_ms 3600000"),
        ({"step_ms": 500}, "step_ms: 500 is no whole number of seconds"),
        ({"step_ms": 0}, "step_ms: 0 is not positive"),
        ({"step_ms": -60_000}, "step_ms: -60000 is not positive"),
        ({"length_ms": 0}, "length_ms: 0 is not positive"),
        ({"paths": 0}, "paths: 0 is not positive"),
        ({"paths": -5}, "paths: -5 is not positive"),
        ({"paths": 10**6}, "paths: 1000000 of 3600000 ms are more"),
        ({"digest": "00"}, "digest: the answer is not what comes of the state"),
        ({"widened_s": float("nan")}, "widened_s: nan is no time"),
        ({"widened_s": 1e300}, "widened_s: 1e\\+300 is no time"),
    ],
)
def test_a_prompt_that_makes_no_sense_is_refused(changed, reason):
    with pytest.raises(Rejected, match=reason):
        made(state(), prompt(state().event_ns, START, **changed), schedule=False)


def test_a_prompt_of_prices_that_are_no_assets_is_refused():
    with pytest.raises(Rejected, match="asset: '' where the state is of ''"):
        made(state(asset=""), prompt(state().event_ns, START, asset=""), schedule=False)


def weight(expert, share, competition="1h"):
    return ExpertWeight(SOURCE, START * MINUTE, ASSET, competition, expert, 1.0, 3.0, share, 1.0, 1)


def test_with_a_mixture_experts_share_the_paths_by_their_weights():
    names = [f"half_life={half_life},nu={nu}" for half_life in (150, 300, 600) for nu in (5, 8, 14)]
    weights = [weight(name, 0.5 if place in (0, 4) else 0.0) for place, name in enumerate(names)]
    known = state(START + 5 - 2 - START % 5)
    (found,) = (each for each in made(*weights, known, mixture=True) if each.competition == "1h")
    experts = msgspec.json.decode(found.experts)
    assert [(each["half_life_s"], each["nu"], each["paths"]) for each in experts] == [
        (150, 5, 500),
        (300, 8, 500),
    ]
    assert paths_of(found).shape == (61, 1_000)
    assert not np.array_equal(paths_of(found)[:, :500], paths_of(found)[:, 500:])
    (single,) = (each for each in made(*weights, known) if each.competition == "1h")
    assert single.experts == ""


def test_real_bars_give_the_paths_of_the_offline_model():
    bars, asset = real("SOLUSDT", 3.2), ASSETS["SOL"]
    found = run(bars, ("wide_bars", "volatility_states", "forecasts"))["forecasts"]
    known = history(asset, minutes_of(bars))
    assert len(found) > 20
    contestants = {
        length_s: ours(known, asset.model(length_s), Work(newest().competition("SOL", length_s), 1_000))
        for length_s in (86_400, 3_600)
    }
    for each in found:
        start = each.start_ns // MINUTE
        offline = contestants[each.steps * each.step_ms // 1_000](Moment(start, start - 2))
        assert np.allclose(paths_of(each), offline, rtol=1e-5)
