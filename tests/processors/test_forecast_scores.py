"""Scores in the stream: equal to those of the offline backtest on the same bars, once each horizon is over."""

import json
import zlib

import msgspec
import numpy as np
import pytest

from consumers.synth.backtest import truth
from processors.forecast_scores import ForecastScoreOptions, ForecastScores, packed, unpacked
from processors.online.reliability import pit
from processors.online.synth_forecast import mixed
from processors.online.synth_mixture import recipes
from processors.online.synth_rules import rules_at
from processors.online.synth_score import score
from schemas import Rejected
from tests.minute_bars import MINUTE, SOURCE, prompt
from tests.processors.synth import minutes_of, real, run
from tests.processors.test_forecasts import START, made, state

ONLY = ("wide_bars", "volatility_states", "forecasts", "forecast_scores")


def hour():
    """A forecast of an hour from ``START`` on."""
    return made(state(), prompt(state().event_ns, START), schedule=False)[0]


def prices(count=61, missing=()):
    generator = np.random.default_rng(5)
    values = 100.0 * np.exp(np.cumsum(generator.normal(0, 3e-4, count)))
    return [
        state(START + place, price=float(value)) for place, value in enumerate(values) if place not in missing
    ]  # fmt: skip


def scored(*events, stage=None):
    stage = stage or ForecastScores(SOURCE)
    return [record for event in events for record in stage.on_event(event)]


@pytest.mark.parametrize("holes", [0.0, 0.05])
def test_real_bars_give_the_scores_of_the_offline_backtest(holes):
    bars = real("SOLUSDT", 4.4, holes)
    found = run(bars, ONLY)
    minutes = minutes_of(bars)
    by_start = {(each.competition, each.start_ns): each for each in found["forecasts"]}
    assert {each.competition for each in found["forecast_scores"]} == {"24h", "1h"}
    for each in found["forecast_scores"]:
        forecast = by_start[each.competition, each.start_ns]
        rules = rules_at(each.start_ns // 10**9)
        competition = rules.competition("SOL", forecast.steps * forecast.step_ms // 1_000)
        real_ones = truth(minutes, each.start_ns // MINUTE, competition)
        if not np.isfinite(real_ones[-1]):
            assert (each.crps, each.steps, each.parts) == (0.0, 0, "")
            continue
        paths = mixed(recipes(forecast))
        assert each.crps == pytest.approx(score(real_ones, paths, competition), rel=1e-12)
        assert each.crps == pytest.approx(sum(json.loads(each.parts).values()))
        assert each.pit == pit(real_ones[-1], paths[-1])
        assert each.steps == np.isfinite(real_ones[1:]).sum()
        assert each.rules == rules.since.isoformat()
        assert each.event_ns == each.start_ns + competition.length_s * 10**9 + MINUTE


def test_a_forecast_is_scored_with_the_bar_that_begins_at_its_end():
    stage = ForecastScores(SOURCE)
    before, last = prices()[:-1], prices()[-1]
    assert scored(hour(), *before, stage=stage) == []
    (found,) = scored(last, stage=stage)
    assert (found.event_ns, found.last, found.steps) == (last.event_ns, last.price, 60)
    assert found.crps > 0.0
    assert found.reference_crps > 0.0
    assert scored(last, stage=stage) == []


def test_minutes_that_are_missing_are_left_out():
    (found,) = scored(hour(), *prices(missing=(7, 30)))
    pits = np.frombuffer(found.pits, "<f4")
    assert (found.steps, len(pits), np.flatnonzero(np.isnan(pits)).tolist()) == (58, 60, [6, 29])


def test_without_its_last_price_a_forecast_is_told_but_not_scored():
    (found,) = scored(hour(), *prices(63, missing=(60,)))
    assert (found.event_ns, found.crps, found.steps, found.last) == ((START + 62) * MINUTE, 0.0, 0, 0.0)


def test_a_forecast_of_the_model_before_is_told_but_not_scored():
    old = msgspec.structs.astuple(msgspec.structs.replace(hour(), levels=b"", bands=b""))[:-3]
    kept = zlib.compress(msgspec.msgpack.encode(old))
    stage = ForecastScores(SOURCE)
    stage.restore(stage.snapshot() | {"waiting": [[START + 60, kept]]})
    (found,) = scored(*prices(), stage=stage)
    assert (found.crps, found.steps, found.start_ns) == (0.0, 0, START * MINUTE)


def test_bands_hold_what_they_say():
    (found,) = scored(hour(), *prices())
    pits = np.frombuffer(found.pits, "<f4")
    assert found.pit == pytest.approx(pits[-1])
    for share, said in ((0.5, found.covered_50), (0.9, found.covered_90), (0.95, found.covered_95)):
        assert said == pytest.approx(np.mean(np.abs(pits - 0.5) <= share / 2))
    assert found.covered_50 < found.covered_90 <= found.covered_95


def test_what_no_competition_asks_for_is_not_scored():
    answered = prompt(state().event_ns, START, length_ms=600_000)
    (forecast,) = made(state(), answered, schedule=False)
    assert scored(forecast, *prices()) == []


def test_only_so_many_forecasts_wait():
    stage = ForecastScores(SOURCE, ForecastScoreOptions(most_waiting=1))
    scored(hour(), stage=stage)
    before = stage.snapshot()
    with pytest.raises(Rejected, match="1 forecasts wait"):
        scored(hour(), stage=stage)
    assert stage.snapshot() == before


def test_a_forecast_waits_without_its_bands():
    forecast = hour()
    assert unpacked(packed(forecast)) == msgspec.structs.replace(forecast, levels=b"", bands=b"")
    assert len(packed(forecast)) < 600
