import pytest

from processors.gaps import GapOptions, Gaps
from schemas import Clock, Connect, Gap, Heartbeat, Record, Trade
from tests.streams import NOON, SECOND, quote

ETH = "coinbase:ETH-USD"


def tick(at: float, trade_id: int) -> Record:
    return quote(ETH, NOON + int(at * SECOND), 100.0, trade_id)


def heartbeat(at: float, last_trade_id: int) -> Record:
    return Heartbeat(ETH, NOON + int(at * SECOND), NOON + int(at * SECOND), 0, last_trade_id)


def clock(at: float) -> Record:
    return Clock(NOON + int(at * SECOND))


def connect(at: float, cause: str) -> Record:
    return Connect(ETH, NOON + int(at * SECOND), "coinbase", cause)


def ledger(*events: Record) -> list[Gap]:
    stage = Gaps(ETH)
    return [gap for event in events for gap in stage.on_event(event)]


def brief(gap: Gap) -> tuple[str, float, float | None, int, int, int, bool]:
    def seconds(ns: int) -> float:
        return (ns - NOON) / SECOND

    end = seconds(gap.to_ns) if gap.to_ns else None
    return gap.cause, seconds(gap.from_ns), end, gap.expected, gap.seen, gap.missed, gap.recovered


def test_trades_in_a_row_leave_the_ledger_empty() -> None:
    assert (
        ledger(connect(0, "start"), *(tick(at, 7 + at) for at in range(9)), heartbeat(9, 15), heartbeat(10, 15)) == []
    )


def test_a_jump_of_the_trade_id_is_a_row_with_what_was_expected_and_seen() -> None:
    (gap,) = ledger(tick(1, 7), tick(2, 11))
    assert brief(gap) == ("missed", 1, 2, 8, 11, 3, False)
    assert gap.feed == "coinbase"


def test_a_repeated_trade_and_a_quote_without_one_are_no_gaps() -> None:
    assert ledger(tick(1, 7), tick(2, 7), tick(3, 0), tick(4, 8)) == []


def test_a_heartbeat_tells_of_trades_that_never_came_once_they_had_time_to() -> None:
    assert ledger(tick(1, 7), heartbeat(2, 8), tick(2.5, 8), heartbeat(3, 8)) == []
    (gap,) = ledger(tick(1, 7), heartbeat(2, 9), heartbeat(3, 9))
    assert brief(gap) == ("missed", 2, 3, 8, 10, 2, False)


def test_a_reconnect_is_a_row_whether_trades_were_missed_or_not() -> None:
    (harmless,) = ledger(tick(1, 7), connect(5, "disconnect"), tick(6, 8))
    assert brief(harmless) == ("disconnect", 1, 6, 8, 8, 0, True)
    (costly,) = ledger(tick(1, 7), connect(5, "start"), tick(6, 20))
    assert brief(costly) == ("start", 1, 6, 8, 20, 12, False)


def test_the_heartbeat_after_a_reconnect_ends_the_outage() -> None:
    (gap,) = ledger(tick(1, 7), connect(5, "stall"), heartbeat(6, 9), tick(7, 10))
    assert brief(gap) == ("stall", 1, 6, 8, 10, 2, False)


def test_the_first_connect_of_all_is_no_gap() -> None:
    assert ledger(connect(0, "start"), heartbeat(1, 7), tick(2, 8)) == []


def test_silence_opens_a_row_and_the_next_sign_of_life_closes_it() -> None:
    opened, closed = ledger(tick(0, 7), clock(5), clock(6), clock(7), tick(8, 9))
    assert brief(opened) == ("stall", 0, None, 8, 0, 0, False)
    assert brief(closed) == ("missed", 0, 8, 8, 9, 1, False)
    _, calm = ledger(tick(0, 7), clock(6), heartbeat(8, 7))
    assert brief(calm) == ("stall", 0, 8, 8, 8, 0, True)


def test_a_trade_that_comes_late_into_a_hole_is_noted_as_recovered() -> None:
    missed, found = ledger(tick(1, 7), tick(2, 9), tick(3, 8))
    assert brief(missed) == ("missed", 1, 2, 8, 9, 1, False)
    assert brief(found) == ("missed", 3, 3, 8, 8, 0, True)


def test_an_unknown_cause_of_a_connect_counts_as_an_error() -> None:
    assert [gap.cause for gap in ledger(tick(1, 7), connect(2, "cosmic rays"), tick(3, 8))] == ["error"]


def test_options_that_make_no_sense_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="stale_after_ms must be at least 1, not 0"):
        GapOptions(stale_after_ms=0)


def test_a_trade_counts_as_a_tick_does() -> None:
    def trade(at: float, trade_id: int) -> Trade:
        return Trade(
            ETH, NOON + int(at * SECOND), NOON + int(at * SECOND), 1.0, 1.0, "buy", trade_id, trade_id, trade_id
        )

    (gap,) = ledger(trade(1, 7), trade(2, 8), trade(3, 10))
    assert brief(gap) == ("missed", 2, 3, 9, 10, 1, False)


def test_a_slow_feed_may_be_silent_for_as_long_as_it_said() -> None:
    said = Connect(ETH, NOON, "coinbase", "start", quiet_ms=60_000)
    assert ledger(said, heartbeat(1, 0), clock(30), clock(61)) == []
    (gap,) = ledger(said, heartbeat(1, 0), clock(62))
    assert brief(gap) == ("stall", 1, None, 0, 0, 0, False)
