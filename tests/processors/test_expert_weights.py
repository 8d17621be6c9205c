"""Experts are tried at set times, scored when their horizon is over, and trusted by their scores."""

import numpy as np
import pytest

from processors.expert_weights import ExpertWeightOptions, ExpertWeights
from processors.online.synth_assets import ASSETS
from processors.online.synth_experts import experts, updated
from processors.online.synth_forecast import Known, forecast
from processors.online.synth_rules import competition_at
from processors.online.synth_score import score
from tests.minute_bars import ASSET, MINUTE, SOURCE
from tests.processors.test_forecasts import LADDER, START, state


def states(count, missing=(), **changed):
    generator = np.random.default_rng(5)
    values = 100.0 * np.exp(np.cumsum(generator.normal(0, 3e-4, count)))
    return [
        state(START - 2 + place, price=float(value), **changed)
        for place, value in enumerate(values)
        if place not in missing
    ]


def weighed(events, **options):
    stage = ExpertWeights(SOURCE, ExpertWeightOptions(**{"hour_every_minutes": 60, **options}))
    return [record for event in events for record in stage.on_event(event)]


def test_weights_are_those_of_the_scores_that_the_experts_forecasts_get():
    events = states(63)
    found = weighed(events)
    asset = ASSETS[ASSET]
    competition = competition_at(START * 60, ASSET, 3_600, 60)
    tried = experts(asset.hour)
    scores = [
        score(
            np.array([each.price for each in events[2:]]),
            forecast(
                Known(events[0].price, LADDER[f"{each.half_life_1m:g}"], 3e-9, 2.5e-9, np.ones((2, 48))), asset,
                each.model(asset.hour), START * 60, 60, 60, 400,
            ),
            competition,
        )
        for each in tried
    ]  # fmt: skip
    assert [each.crps for each in found] == pytest.approx(scores)
    assert [each.weight for each in found] == pytest.approx(updated([1 / 9] * 9, scores, 3.0, 0.01))
    assert [each.expert for each in found] == [str(each) for each in tried]
    assert {(each.event_ns, each.scores, each.competition) for each in found} == {((START + 61) * MINUTE, 1, "1h")}


def test_trials_go_on_from_the_weights_before():
    first, second = (weighed(states(63 + more)) for more in (0, 60))
    assert second[:9] == first
    assert {each.scores for each in second[9:]} == {2}
    before = [each.weight for each in first]
    expected = updated(before, [each.crps for each in second[9:]], 3.0, 0.01)
    assert [each.weight for each in second[9:]] == pytest.approx(expected)


def test_a_trial_without_its_last_price_changes_nothing():
    assert weighed(states(70, missing=(62,))) == []


@pytest.mark.parametrize("changed", [{"warm": False}, {"asset": ""}])
def test_nobody_is_tried_from_a_state_that_is_not_warm_or_no_assets(changed):
    assert weighed(states(70, **changed)) == []


@pytest.mark.parametrize(
    "options", [{"paths": 1}, {"eta": -1.0}, {"alpha": 2.0}, {"day_every_minutes": 0}, {"eta": float("nan")}]
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ExpertWeightOptions(**options)
