"""Bars of five minutes: what polars makes of real bars with holes; late, missing and repeated minutes."""

import polars as pl
import pytest

from processors.wide_bars import WideBars
from schemas import Rejected
from tests.minute_bars import MINUTE, bar
from tests.processors.synth import PRICES, real

NAME = "x:a"
START = 29_610_720


def wide(*bars):
    stage = WideBars(NAME)
    return [record for each in bars for record in stage.on_event(each)]


def test_real_bars_with_holes_give_what_polars_gives():
    bars = real("SOLUSDT", 7, holes=0.4)
    stage = WideBars("binance:SOLUSDT")
    found = [record for each in bars for record in stage.on_event(each)]
    frame = pl.DataFrame([{name: getattr(each, name) for name in ("event_ns", *PRICES)} for each in bars])
    expected = (
        frame.group_by((pl.col("event_ns") - 1) // (5 * MINUTE) * 5 * MINUTE + 5 * MINUTE, maintain_order=True)
        .agg(
            pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(),
            pl.col("volume").sum(), pl.len(),
        )
    )  # fmt: skip
    rows = [
        (each.event_ns, each.open, each.high, each.low, each.close, pytest.approx(each.volume), each.minutes)
        for each in found
    ]
    assert len(rows) > 1_500
    assert rows == expected.rows()[: len(rows)]
    assert len(expected) - len(rows) <= 1


def test_a_window_ends_with_its_last_minute():
    (found,) = wide(*(bar(NAME, START + place) for place in range(5)))
    assert (found.event_ns, found.minutes) == ((START + 5) * MINUTE, 5)


def test_a_window_without_its_last_minute_ends_with_the_first_bar_after_it():
    assert wide(bar(NAME, START), bar(NAME, START + 3)) == []
    (found,) = wide(bar(NAME, START), bar(NAME, START + 3), bar(NAME, START + 7))
    assert (found.event_ns, found.minutes) == ((START + 5) * MINUTE, 2)


def test_one_bar_may_end_two_windows():
    first, second = wide(bar(NAME, START, 1.0), bar(NAME, START + 9, 2.0))
    assert (first.close, second.close, second.minutes) == (1.0, 2.0, 1)


def test_within_its_window_a_minute_may_come_late_or_again():
    bars = [bar(NAME, START + 1, 2.0), bar(NAME, START, 1.0), bar(NAME, START + 1, 3.0), bar(NAME, START + 4, 2.0)]
    (found,) = wide(*bars)
    assert (found.open, found.high, found.close, found.minutes) == (1.0, 3.0, 2.0, 3)


def test_a_minute_of_a_window_that_has_ended_is_passed_over():
    assert len(wide(bar(NAME, START + 4), bar(NAME, START + 3, 9.0), bar(NAME, START + 4, 9.0))) == 1


def test_bars_of_other_widths_are_passed_over():
    assert wide(bar(NAME, START + 4, width_ms=300_000)) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"close": float("nan")}, "not positive"),
        ({"low": -1.0}, "not positive"),
        ({"high": 50.0}, "not in order"),
        ({"volume": -1.0}, "volume -1.0"),
        ({"event_ns": 7}, "event_ns: a bar of a minute cannot end at 7"),
        ({"received_ns": 0}, "in the future of its receipt"),
    ],
)
def test_what_is_no_bar_is_refused_and_leaves_no_trace(changed, reason):
    stage = WideBars(NAME)
    assert list(stage.on_event(bar(NAME, START))) == []
    before = stage.snapshot()
    with pytest.raises(Rejected, match=reason):
        list(stage.on_event(bar(NAME, START + 1, **changed)))
    assert stage.snapshot() == before


def test_the_open_window_survives_a_restart():
    stage, other = WideBars(NAME), WideBars(NAME)
    assert list(stage.on_event(bar(NAME, START, 7.0))) == []
    other.restore(stage.snapshot())
    (found,) = other.on_event(bar(NAME, START + 4, 8.0))
    assert (found.open, found.close, found.minutes) == (7.0, 8.0, 2)
