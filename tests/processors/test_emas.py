import math

import numpy as np
import pytest

from processors.buckets import Buckets
from processors.chain import EventChain
from processors.emas import EmaOptions, Emas
from processors.online.ewma import alpha
from schemas import Bucket, Ema
from tests.data import reference
from tests.streams import MILLISECOND, NOON, quote

ETH = "coinbase:ETH-USD"
ALPHA = 1 - 2 ** (-160 / 4800)


def bucket(value: float, **changed: object) -> Bucket:
    fields: dict[str, object] = {
        "instrument": ETH,
        "event_ns": NOON,
        "width_ms": 160,
        "start": 100.0,
        "last": 100.0,
        "return_percent": value,
        "ticks": 1,
        "missed": 0,
        "stale": False,
        "feed_age_ms": 0,
    }
    return Bucket(**(fields | changed))  # type: ignore[arg-type]


def run(*buckets: Bucket, **options: object) -> list[Ema]:
    stage = Emas(ETH, EmaOptions(**options))  # type: ignore[arg-type]
    return [ema for given in buckets for ema in stage.on_event(given)]


def test_alpha_is_exact_and_not_its_first_order_value() -> None:
    assert alpha(160, 4800) == pytest.approx(0.022840031565754093, rel=1e-12)
    for case in reference("refs/jump_loss_formulas.json")["cases"]:
        if case["kind"] == "alpha":
            assert alpha(case["bucket_ms"], case["half_life_ms"]) == pytest.approx(case["alpha"], rel=1e-12)


def test_a_series_worked_by_hand() -> None:
    mids = [100.0, 101.0, 100.5, 100.5, 102.0]
    mu, expected = 0.0, []
    for start, last in zip([100.0, *mids], mids, strict=False):
        mu = mu + ALPHA * (100 * abs(math.log(last / start)) - mu)
        expected.append(mu)
    chain = EventChain([Buckets, Emas])
    made = [
        record
        for number, mid in enumerate([*mids, 102.0])
        for record in chain.on_event(quote(ETH, NOON + (20 + 160 * number) * MILLISECOND, mid))[0]
    ]
    assert [ema.mu_percent for ema in made if isinstance(ema, Ema)] == pytest.approx(expected, abs=1e-12)


def test_ten_minutes_of_silence_then_a_tick_are_the_decay_of_that_many_buckets() -> None:
    chain = EventChain([Buckets, Emas])
    chain.on_event(quote(ETH, NOON, 100.0))
    chain.on_event(quote(ETH, NOON + MILLISECOND, 101.0))
    (_, before), _ = chain.on_event(quote(ETH, NOON + 160 * MILLISECOND, 101.0))
    made, _ = chain.on_event(quote(ETH, NOON + 160 * MILLISECOND + 600_000 * MILLISECOND, 101.0))
    emas = [record for record in made if isinstance(record, Ema)]
    assert len(emas) == 3_750
    assert emas[-1].mu_percent == pytest.approx(before.mu_percent * (1 - ALPHA) ** 3_750, rel=1e-9)
    assert emas[0].mu_percent == pytest.approx(before.mu_percent * (1 - ALPHA), rel=1e-12)


def test_buckets_without_a_record_decay_the_average_as_if_they_had_one() -> None:
    zeros = run(bucket(1.0), *[bucket(0.0, ticks=0)] * 500, bucket(0.5))
    at_once = run(bucket(1.0), bucket(0.5, missed=500))
    assert at_once[-1].mu_percent == pytest.approx(zeros[-1].mu_percent, rel=1e-12)
    assert at_once[-1].buckets == zeros[-1].buckets == 502


def test_an_outage_decays_the_average_or_freezes_it_as_chosen() -> None:
    blind = [bucket(1.0), bucket(0.0, ticks=0, stale=True, missed=3)]
    assert run(*blind)[1].mu_percent == pytest.approx(ALPHA * (1 - ALPHA) ** 4, rel=1e-12)
    assert run(*blind, outage="freeze")[1].mu_percent == ALPHA
    assert run(*blind, outage="freeze")[1].stale


def test_coverage_is_the_weight_of_what_was_seen() -> None:
    seen = run(*[bucket(1.0)] * 10)
    assert seen[-1].coverage == pytest.approx(1 - (1 - ALPHA) ** 10, rel=1e-12)
    blind = run(*[bucket(1.0)] * 10, bucket(0.0, ticks=0, stale=True, missed=3), outage="freeze")
    assert blind[-1].coverage == pytest.approx(seen[-1].coverage * (1 - ALPHA) ** 4, rel=1e-12)


@pytest.mark.parametrize("persistence", [0.0, 0.6])
def test_the_standard_error_is_the_scatter_of_the_average(persistence: float) -> None:
    """Over many series of known mean, independent or clustered, the mean lies within two errors in most."""
    rng, covered, runs = np.random.default_rng(7), 0, 300
    for _ in range(runs):
        noise = rng.normal(0.0, 0.2 * math.sqrt(1 - persistence**2), 600)
        for index in range(1, len(noise)):
            noise[index] += persistence * noise[index - 1]
        last = run(*(bucket(max(1.0 + value, 0.0)) for value in noise))[-1]
        covered += abs(last.mu_percent - 1.0) < 1.96 * last.error_percent
    assert 0.88 < covered / runs < 0.99
