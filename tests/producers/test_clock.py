"""Clocks stand on a grid, once each, and go into a recording the same way each time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.clock import Clocks, with_clocks
from schemas import Clock, DeadLetter, Heartbeat, Record


def beat(event_ns: int) -> Heartbeat:
    return Heartbeat("v:S", event_ns, event_ns, 0, 0)


@given(st.lists(st.integers(0, 10_000), max_size=50), st.integers(1, 700))
def test_the_latest_clock_is_on_the_grid_due_and_newer_than_the_one_before(times: list[int], interval_ns: int) -> None:
    clocks, last = Clocks(interval_ns), -1
    for now_ns in times:
        due = clocks.latest(now_ns)
        if due is None:
            assert now_ns < last + interval_ns
            continue
        assert due.event_ns % interval_ns == 0
        assert now_ns - interval_ns < due.event_ns <= now_ns
        assert due.event_ns > last
        last = due.event_ns


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=40), st.integers(1, 700), st.integers(0, 900))
def test_merged_clocks_keep_the_records_and_miss_no_grid_point(times: list[int], interval_ns: int, lag_ns: int) -> None:
    start = 1_000_000
    records: list[Record] = [beat(start + event_ns) for event_ns in times]
    merged = list(with_clocks(records, interval_ns, lag_ns))
    assert [record for record in merged if not isinstance(record, Clock)] == records
    clocks = [record.event_ns for record in merged if isinstance(record, Clock)]
    assert clocks == list(range(clocks[0], clocks[-1] + 1, interval_ns))
    assert clocks[-1] <= start + max(times) - lag_ns < clocks[-1] + interval_ns
    assert merged == list(with_clocks(records, interval_ns, lag_ns))


def test_a_clock_stands_before_the_record_that_reaches_it() -> None:
    merged = list(with_clocks([beat(100), beat(200), beat(201)], interval_ns=100))
    assert [(type(record).__name__[0], record.event_ns) for record in merged] == [
        ("C", 100), ("H", 100), ("C", 200), ("H", 200), ("H", 201),
    ]  # fmt: skip


def test_dead_letters_move_no_clock() -> None:
    letter = DeadLetter("coinbase", 900, -1, -1, "coinbase", "why", b"", b"", 0, 0)
    assert list(with_clocks([beat(100), letter], interval_ns=100)) == [Clock(100), beat(100), letter]


def test_an_interval_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="-5"):
        Clocks(-5)
