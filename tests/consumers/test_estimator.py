import math
from dataclasses import replace

import pytest

from consumers.estimator import Estimator
from processors.emas import EmaOptions, Emas
from schemas import Bucket

NAME = "coinbase:ETH-USD"
RETURNS = [0.0, 0.2, 0.0, 0.05, 0.1, 0.0, 0.3, 0.01]


def bucket(number: int, value: float, missed: int = 0) -> Bucket:
    return Bucket(
        instrument=NAME, event_ns=(number + 1) * 160_000_000, width_ms=160, start=100.0, last=100.0, ticks=1,
        return_percent=value, missed=missed, stale=False, feed_age_ms=0,
    )  # fmt: skip


def average(values: list[float], half_life_s: float) -> float:
    weight, mu = 1.0 - 2.0 ** (-0.16 / half_life_s), 0.0
    for value in values:
        mu += weight * (value - mu)
    return mu


def test_an_update_is_the_seeds_formula() -> None:
    estimator = Estimator(NAME, 5_000)
    updates = [estimator.on_bucket(bucket(number, value)) for number, value in enumerate(RETURNS)]
    mu = average(RETURNS, 4.8)
    assert updates[-1].mu_j_percent == pytest.approx(mu, rel=1e-12)
    assert updates[-1].jl_percent == pytest.approx(mu / 2, rel=1e-12)
    assert (updates[-1].bucket_count, updates[-1].f_percent) == (8, 0.05)


@pytest.mark.parametrize(("time", "in_seconds", "half_life_s"), [(12, True, 6.0), (8, False, 8.0), (0.5, True, 0.25)])
def test_a_request_recomputes_at_half_the_settlement_time(time: float, in_seconds: bool, half_life_s: float) -> None:
    estimator = Estimator(NAME, 5_000)
    for number, value in enumerate(RETURNS):
        estimator.on_bucket(bucket(number, value))
    update = estimator.request(1_000, time, in_seconds)
    mu = average(RETURNS, half_life_s)
    assert update is not None
    assert update.mu_j_percent == pytest.approx(mu, rel=1e-12)
    assert update.jl_percent == pytest.approx(mu - 0.005 if mu > 0.01 else mu / 2, rel=1e-12)


def test_a_request_changes_nothing() -> None:
    asked, left_alone = Estimator(NAME, 5_000), Estimator(NAME, 5_000)
    for number, value in enumerate(RETURNS):
        asked.request(9_000, 60)
        assert asked.on_bucket(bucket(number, value)) == left_alone.on_bucket(bucket(number, value))


def test_a_new_settlement_counts_as_if_it_had_always_been_set() -> None:
    changed = Estimator(NAME, 5_000)
    always = Estimator(NAME, 5_000, half_life_ms=8_000)
    for number, value in enumerate(RETURNS):
        changed.on_bucket(bucket(number, value))
        always.on_bucket(bucket(number, value))
    changed.set_settlement(8, False)
    assert changed.on_bucket(bucket(8, 0.4)) == always.on_bucket(bucket(8, 0.4))
    assert changed.half_life_ms == 8_000


def test_a_new_fee_counts_at_once() -> None:
    estimator = Estimator(NAME, 5_000)
    estimator.set_fee(0)
    update = estimator.on_bucket(bucket(0, 1.0))
    assert (update.f_percent, update.jl_percent) == (0.0, update.mu_j_percent)


def test_only_the_kept_buckets_count_and_missed_ones_decay() -> None:
    estimator = Estimator(NAME, 5_000, kept=3)
    values = [bucket(number, value) for number, value in enumerate(RETURNS)]
    values[-1] = replace_missed(values[-1], 40)
    for value in values:
        estimator.on_bucket(value)
    update = estimator.request(5_000, 9.6)
    emas = Emas(NAME, EmaOptions(4_800))
    (*_, last) = [ema for value in values[-3:] for ema in emas.on_event(value)]
    assert update is not None
    assert update.mu_j_percent == last.mu_percent
    assert update.mu_j_percent == pytest.approx(average([*RETURNS[-3:-1], *[0.0] * 40, RETURNS[-1]], 4.8), rel=1e-12)


def replace_missed(given: Bucket, missed: int) -> Bucket:
    return Bucket(**{name: getattr(given, name) for name in given.__struct_fields__} | {"missed": missed})


def test_a_request_before_the_first_bucket_has_no_answer() -> None:
    assert Estimator(NAME, 5_000).request(5_000, 10) is None


@pytest.mark.parametrize("time", [0.0, -1.0, math.nan, math.inf])
def test_a_settlement_time_that_is_none_is_refused(time: float) -> None:
    with pytest.raises(ValueError, match="settlement time"):
        Estimator(NAME, 5_000).set_settlement(time)


def test_a_negative_fee_is_refused() -> None:
    with pytest.raises(ValueError, match="fee_units"):
        Estimator(NAME, 5_000).set_fee(-1)


def test_an_update_prints_as_the_seed_does() -> None:
    update = Estimator(NAME, 5_000).on_bucket(bucket(0, 1.0))
    shown = replace(update, mu_j_percent=0.0012341, jl_percent=0.000617, bucket_count=42, timestamp=1.25)
    assert str(shown) == "JL(simple,no-clamp): μ_J=0.001234% F=0.050000% JL=0.000617% buckets=42"
    assert shown.timestamp_ms == 1250
