import math

import pytest

from processors.buckets import BucketOptions, Buckets
from schemas import Bucket, Clock, Connect, Heartbeat, Record, Rejected
from tests.streams import MILLISECOND, NOON, SECOND, quote

ETH = "coinbase:ETH-USD"
WIDTH = 160 * MILLISECOND


def tick(at_ms: float, mid: float, trade_id: int = 0, received_ms: float | None = None) -> Record:
    event_ns = NOON + int(at_ms * MILLISECOND)
    received_ns = None if received_ms is None else NOON + int(received_ms * MILLISECOND)
    return quote(ETH, event_ns, mid, trade_id, received_ns)


def clock(at_ms: float) -> Record:
    return Clock(NOON + int(at_ms * MILLISECOND))


def heartbeat(at_ms: float) -> Record:
    return Heartbeat(ETH, NOON + int(at_ms * MILLISECOND), NOON + int(at_ms * MILLISECOND), 0, 0)


def run(*events: Record, **options: object) -> list[Bucket]:
    stage = Buckets(ETH, BucketOptions(**options))  # type: ignore[arg-type]
    return [bucket for event in events for bucket in stage.on_event(event)]


def test_the_grid_is_the_multiples_of_the_width_whenever_the_first_tick_comes() -> None:
    assert NOON % WIDTH == 0
    assert [bucket.event_ns - NOON for bucket in run(tick(100, 1.0), tick(500, 1.0))] == [WIDTH, 2 * WIDTH, 3 * WIDTH]


def test_a_tick_at_the_end_of_a_bucket_belongs_to_the_next() -> None:
    assert [bucket.last for bucket in run(tick(0, 1.0), tick(160, 2.0), tick(320, 3.0))] == [1.0, 2.0]


def test_the_start_carries_the_last_mid_of_the_bucket_before() -> None:
    first, second = run(tick(0, 100.0), tick(150, 101.0), tick(170, 102.0), tick(330, 103.0))
    assert (first.start, first.last, second.start, second.last) == (100.0, 101.0, 101.0, 102.0)
    assert second.return_percent == pytest.approx(100 * math.log(102 / 101), rel=1e-12)


def test_one_tick_a_bucket_moves_only_when_the_start_is_carried() -> None:
    ticks = [tick(0, 100.0), tick(170, 101.0), tick(330, 102.0), tick(490, 103.0)]
    assert [bucket.return_percent > 0 for bucket in run(*ticks)] == [False, True, True]
    assert [bucket.return_percent for bucket in run(*ticks, start="first")] == [0.0, 0.0, 0.0]


def test_an_empty_bucket_returns_nothing_and_keeps_the_cadence() -> None:
    buckets = run(tick(0, 100.0), tick(1_000, 101.0))
    assert [bucket.event_ns - NOON for bucket in buckets] == [WIDTH * number for number in range(1, 7)]
    assert [bucket.ticks for bucket in buckets] == [1, 0, 0, 0, 0, 0]
    assert [bucket.return_percent for bucket in buckets] == [0.0] * 6


def test_the_clock_closes_buckets_of_a_quiet_market_after_the_delay() -> None:
    assert run(tick(0, 100.0), clock(359)) == []
    assert len(run(tick(0, 100.0), clock(360))) == 1
    assert len(run(tick(0, 100.0), clock(361), clock(519), clock(520))) == 2


def test_the_clock_waits_for_a_feed_that_lags() -> None:
    assert run(tick(0, 100.0, received_ms=1_000), clock(1_359)) == []
    assert len(run(tick(0, 100.0, received_ms=1_000), clock(1_360))) == 1


def test_a_clock_ahead_of_the_venue_makes_no_tick_late() -> None:
    ahead = 3_600 * 1_000.0
    events = [
        item for at in range(0, 2_000, 100) for item in (tick(at, 100.0, received_ms=at + ahead), clock(at + ahead))
    ]
    assert len(run(*events)) > 8


def test_a_late_tick_is_refused_with_how_late_it_is_and_changes_nothing() -> None:
    stage = Buckets(ETH)
    list(stage.on_event(tick(500, 100.0)))
    before = stage.snapshot()
    with pytest.raises(Rejected, match=r"late by 1\.000 ms"):
        list(stage.on_event(tick(499, 900.0)))
    assert stage.snapshot() == before


def test_staleness_counts_from_the_last_tick_or_heartbeat() -> None:
    quiet = run(tick(0, 100.0), clock(8_200))
    assert [bucket.stale for bucket in quiet].index(True) == 31  # the first end past 5 s of silence is 5,120 ms
    assert quiet[-1].feed_age_ms == 8_000
    assert not any(bucket.stale for bucket in run(tick(0, 100.0), heartbeat(4_000), clock(8_200)))


def test_after_a_reconnect_the_move_of_the_outage_is_nobodys_return() -> None:
    reconnect = Connect(ETH, NOON + SECOND, "coinbase", "disconnect")
    events = [tick(0, 100.0), reconnect, tick(1_000, 150.0), tick(1_200, 150.0)]
    assert max(bucket.return_percent for bucket in run(*events)) == 0.0
    assert max(bucket.return_percent for bucket in run(*events, rebase=False)) > 40.0


def test_a_hole_in_the_trade_ids_after_silence_counts_as_an_outage_too() -> None:
    assert max(b.return_percent for b in run(tick(0, 100.0, 7), tick(9_000, 150.0, 9), tick(9_200, 150.0, 10))) == 0.0
    assert max(b.return_percent for b in run(tick(0, 100.0, 7), tick(9_000, 150.0, 8), tick(9_200, 150.0, 9))) > 40.0


def test_a_silence_longer_than_the_fill_is_counted_instead_of_written_out() -> None:
    buckets = run(tick(0, 100.0), tick(160 * 1_000, 101.0), fill=10)
    assert len(buckets) == 11
    assert [bucket.missed for bucket in buckets] == [0, 989, *[0] * 9]
    assert buckets[-1].event_ns == NOON + 1_000 * WIDTH


def test_options_that_make_no_sense_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="width_ms must be at least 1, not 0"):
        BucketOptions(width_ms=0)
    with pytest.raises(ValueError, match="must not be negative"):
        BucketOptions(fill=-1)
