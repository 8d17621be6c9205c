import pytest

from processors.qualities import MINUTE_NS, Qualities, QualityOptions
from schemas import Clock, Connect, Heartbeat, Quality, Record, Trade
from tests.streams import NOON, SECOND, quote

ETH = "coinbase:ETH-USD"
MINUTE_S = 60


def tick(at: float, mid: float = 100.0, trade_id: int = 0, late_s: float = 0.0) -> Record:
    event_ns = NOON + int(at * SECOND)
    return quote(ETH, event_ns, mid, trade_id, event_ns + int(late_s * SECOND))


def clocks(first: int, last: int) -> list[Record]:
    return [Clock(NOON + second * SECOND) for second in range(first, last + 1)]


def minutes(*events: Record, options: QualityOptions | None = None) -> list[Quality]:
    stage = Qualities(ETH, options)
    ordered = sorted(events, key=lambda event: event.event_ns)
    return [quality for event in ordered for quality in stage.on_event(event)]


def test_a_minute_full_of_ticks_is_covered() -> None:
    ticks = [tick(second + 0.5) for second in range(MINUTE_S)]
    (minute,) = minutes(tick(-1), *ticks, *clocks(0, MINUTE_S))
    assert (minute.event_ns, minute.coverage, minute.ticks, minute.gaps) == (NOON + MINUTE_NS, 1.0, 61, 0)
    assert minute.oldest_ms == 500


def test_silence_beyond_the_limit_is_not_covered() -> None:
    ticks = [tick(second) for second in range(-1, 30)]
    (minute,) = minutes(*ticks, *clocks(0, MINUTE_S))
    assert minute.coverage == pytest.approx((29 + 5) / 60)
    assert (minute.gaps, minute.oldest_ms) == (1, 31_000)


def test_a_slow_feed_is_covered_as_long_as_it_said() -> None:
    said = Connect(ETH, NOON - SECOND, "coinbase", "start", quiet_ms=70_000)
    beat = Heartbeat(ETH, NOON - SECOND, NOON - SECOND, 0, 0)
    (minute,) = minutes(said, beat, *clocks(0, MINUTE_S))
    assert (minute.coverage, minute.heartbeats, minute.gaps) == (1.0, 1, 0)


def test_a_minute_begun_half_way_is_half_covered() -> None:
    ticks = [tick(second) for second in range(30, 60)]
    (minute,) = minutes(*ticks, *clocks(0, MINUTE_S))
    assert minute.coverage == pytest.approx(0.5, abs=0.02)


def test_missed_repeated_and_late_ticks_are_counted() -> None:
    events = [tick(1, trade_id=7), tick(2, trade_id=10), tick(3, trade_id=10), tick(4, trade_id=11)]
    stage = Qualities(ETH)
    for event in [*clocks(0, 0), *events, tick(3.5, trade_id=12)]:
        assert list(stage.on_event(event)) == []
    made = [quality for event in clocks(5, MINUTE_S) for quality in stage.on_event(event)]
    assert [(m.gaps, m.missed, m.duplicates, m.late) for m in made] == [(2, 2, 1, 1)]  # the hole, and the silence


def test_a_trade_that_fills_a_hole_is_no_duplicate() -> None:
    def trade(at: float, trade_id: int) -> Trade:
        event_ns = NOON + int(at * SECOND)
        return Trade(ETH, event_ns, event_ns, 100.0, 1.0, "buy", trade_id, trade_id, trade_id)

    (minute,) = minutes(trade(57, 7), trade(58, 9), trade(59, 8), *clocks(50, MINUTE_S))
    assert (minute.missed, minute.duplicates, minute.ticks) == (1, 0, 3)


def test_a_price_far_off_is_an_outlier_and_a_new_level_is_one_only_until_it_is_believed() -> None:
    mids = [100.0, 100.01, 100.0, 150.0, 100.01, *[120.0] * 6]
    ticks = [tick(49 + number, mid) for number, mid in enumerate(mids)]
    (minute,) = minutes(*ticks, *clocks(40, MINUTE_S))
    assert minute.outliers == 1 + 3


def test_the_greatest_delay_is_told() -> None:
    (minute,) = minutes(tick(57, late_s=0.25), tick(58, late_s=0.02), *clocks(50, MINUTE_S))
    assert minute.delay_ms == 250


def test_a_dead_instrument_is_forgotten_and_begins_anew() -> None:
    options = QualityOptions(forget_after_minutes=3)
    made = minutes(tick(1), *clocks(0, 10 * MINUTE_S), tick(601), *clocks(602, 661), options=options)
    ends = [(minute.event_ns - NOON) // MINUTE_NS for minute in made]
    assert ends == [1, 2, 3, 4, 11]


def test_minutes_without_clocks_are_written_when_the_clock_is_back() -> None:
    made = minutes(tick(1), *clocks(0, 10), *clocks(200, 240))
    assert [round(minute.coverage * 60) for minute in made] == [5, 0, 0, 0]


@pytest.mark.parametrize("name", ["stale_after_ms", "outlier_factor", "forget_after_minutes"])
def test_options_that_make_no_sense_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        QualityOptions(**{name: 0})
