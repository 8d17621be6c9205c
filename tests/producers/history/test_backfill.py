"""Back-fills of Binance's spot trades: files first, pages for the rest, each trade once, nothing lacking in silence."""

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest

from producers.binance_rows import trades as live_trades
from schemas import Gap, Trade
from tests.producers.history import spot
from tests.producers.history.run import backfill, digest, kept, moment
from tests.producers.history.server import Fine, Status, Venue


def ids(folder: Path) -> list[int]:
    return kept(folder, Trade)["_offset"].to_list()


def test_a_month_comes_as_a_file_days_after_it_as_files_and_the_rest_in_pages(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 34, 50)
    spot.offer(venue, rows, monthly=["2025-01"], daily=["2025-02-01", "2025-02-02"])
    run = backfill(venue, tmp_path, end="", now="2025-02-03T18:00:00")
    expected = [row.number for row in rows if spot.stamp(row) < "2025-02-03T18:00:00"]
    assert ids(tmp_path) == expected
    assert run.whole
    assert run.told == []
    assert [part.source for part in run.results[0].parts] == ["monthly", "daily", "daily", "pages"]
    assert run.lines == [f"binance:BTCUSDT trades: whole, {len(expected):,} records in 1 run of numbers"]


def test_files_and_pages_give_the_same_records_as_the_live_feed_makes(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 2, 5)
    spot.offer(venue, rows, daily=["2025-01-01"], header=True)
    backfill(venue, tmp_path, end="2025-01-03")
    body = json.dumps([spot.page_row(row) for row in rows]).encode()
    found = kept(tmp_path, Trade)
    assert [Trade(*row) for row in found.select(Trade.__struct_fields__).rows()] == live_trades("binance:BTCUSDT", body)
    assert found["_cause_topic"].unique().to_list() == ["history:binance:BTCUSDT:trades"]
    assert found["_cause_offset"].to_list() == found["trade_id"].to_list()


def test_milliseconds_of_before_2025_and_microseconds_since_make_one_time(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2024-12-31", 2, 20)
    spot.offer(venue, rows, daily=["2024-12-31", "2025-01-01"])
    backfill(venue, tmp_path, start="2024-12-31", end="2025-01-02")
    found = kept(tmp_path, Trade)["event_ns"].to_list()
    before, after = rows[:20], rows[20:]
    assert found == [row.time_us // 1_000 * 1_000_000 for row in before] + [row.time_us * 1_000 for row in after]


def test_a_missing_month_is_made_of_days_and_a_missing_day_of_pages(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 31, 40)
    there = [f"2025-01-{number:02}" for number in range(1, 32) if number != 17]
    spot.offer(venue, rows, daily=there)
    run = backfill(venue, tmp_path, end="2025-02-01")
    assert ids(tmp_path) == [row.number for row in rows]
    assert run.whole
    assert [part.source for part in run.results[0].parts].count("daily") == 30
    assert run.results[0].parts[-1].source == "pages"


def test_a_run_again_asks_for_nothing_and_says_the_same(venue: Venue, tmp_path: Path) -> None:
    spot.offer(venue, spot.trades("2025-01-01", 3, 30), daily=["2025-01-01", "2025-01-02"])
    first = backfill(venue, tmp_path)
    asked = len(venue.requests)
    again = backfill(venue, tmp_path)
    assert len(venue.requests) == asked
    assert again.lines == first.lines
    assert again.whole


def test_a_later_run_goes_on_where_the_last_one_ended(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 3, 50)
    spot.offer(venue, rows, daily=["2025-01-01"])
    backfill(venue, tmp_path, end="", now="2025-01-02T12:00:00")
    before = ids(tmp_path)
    assert 50 < len(before) < 100
    venue.requests.clear()
    run = backfill(venue, tmp_path, end="", now="2025-01-03T20:00:00")
    assert ids(tmp_path) == [row.number for row in rows if spot.stamp(row) < "2025-01-03T20:00:00"]
    assert run.whole
    assert f"fromId={before[-1] + 1}&" in venue.asked("historicalTrades")[0]


def test_a_hole_in_a_file_is_asked_for_and_what_the_venue_lacks_itself_is_listed(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 2, 100)
    venues_own = set(range(1_120, 1_125))
    spot.offer(
        venue,
        [row for row in rows if row.number not in venues_own | {1_010, 1_011, 1_150}],
        daily=["2025-01-01", "2025-01-02"],
    )
    venue.rows["BTCUSDT"] = [row for row in rows if row.number not in venues_own]
    run = backfill(venue, tmp_path, end="2025-01-03")
    assert ids(tmp_path) == [row.number for row in rows if row.number not in venues_own]
    assert run.whole
    assert "the venue has none from 1120 to 1124 (5 ids)" in run.lines[0]
    gaps = kept(tmp_path, Gap)
    assert gaps.select("cause", "expected", "seen", "missed", "recovered").rows() == [("venue", 1120, 1125, 5, False)]


def test_a_file_that_ends_too_soon_is_found_by_the_id_that_the_next_day_begins_with(
    venue: Venue, tmp_path: Path
) -> None:
    rows = spot.trades("2025-01-01", 3, 50)
    spot.offer(venue, rows[5:90], daily=["2025-01-01", "2025-01-02"])
    venue.rows["BTCUSDT"] = rows
    run = backfill(venue, tmp_path, end="2025-01-03")
    assert ids(tmp_path) == [row.number for row in rows[:100]]
    assert [part.source for part in run.results[0].parts] == ["daily", "daily", "mended"]
    assert run.whole


def test_an_end_that_is_not_there_and_cannot_be_asked_for_is_lacking(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 3, 50)
    spot.offer(venue, rows[:90], daily=["2025-01-01", "2025-01-02"])
    venue.rows["BTCUSDT"] = rows
    venue.always[spot.MAIN] = Status(403)
    run = backfill(venue, tmp_path, end="2025-01-03")
    assert not run.whole
    assert "LACKS 1090 to 1099 (10 ids)" in run.lines[0]


def test_rows_that_come_twice_are_kept_once_and_counted(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 1, 100)
    doubled = sorted([*rows, *rows[20:40]], key=lambda row: row.number)
    spot.offer(venue, doubled, daily=["2025-01-01"])
    run = backfill(venue, tmp_path, end="2025-01-02")
    assert ids(tmp_path) == [row.number for row in rows]
    assert run.results[0].proof.duplicates == 20


def test_a_file_issued_again_is_found_when_asked_for(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 2, 100)
    spot.offer(venue, rows[:150], daily=["2025-01-01", "2025-01-02"])
    backfill(venue, tmp_path, end="2025-01-03")
    spot.offer(venue, rows, daily=["2025-01-02"])
    assert len(ids(tmp_path)) == 150
    run = backfill(venue, tmp_path, end="2025-01-03", recheck=True)
    assert ids(tmp_path) == [row.number for row in rows]
    assert run.whole
    assert run.told == ["binance:BTCUSDT trades: daily 2025-01-02 was issued again and is fetched again"]


def test_a_file_of_ours_that_is_gone_is_fetched_again(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 2, 100)
    spot.offer(venue, rows, daily=["2025-01-01", "2025-01-02"])
    backfill(venue, tmp_path, end="2025-01-03")
    before = digest(kept(tmp_path, Trade))
    next(tmp_path.rglob("date=2025-01-02/*.parquet")).unlink()
    run = backfill(venue, tmp_path, end="2025-01-03")
    assert digest(kept(tmp_path, Trade)) == before
    assert "no longer there" in run.told[0]


def test_two_symbols_are_filled_apart(venue: Venue, tmp_path: Path) -> None:
    spot.offer(venue, spot.trades("2025-01-01", 1, 20), "BTCUSDT", daily=["2025-01-01"])
    spot.offer(venue, spot.trades("2025-01-01", 1, 30, first=7, seed=8), "ETHUSDT", daily=["2025-01-01"])
    run = backfill(venue, tmp_path, "BTCUSDT,ETHUSDT", end="2025-01-02")
    assert run.whole
    assert [result.proof.rows for result in run.results] == [20, 30]
    assert kept(tmp_path, Trade, "binance:ETHUSDT")["instrument"].unique().to_list() == ["binance:ETHUSDT"]


def test_a_symbol_that_was_listed_after_the_start_begins_with_its_first_trade(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-03", 1, 30, first=0)
    spot.offer(venue, rows)
    run = backfill(venue, tmp_path)
    assert ids(tmp_path) == list(range(30))
    assert run.whole
    assert moment("2025-01-03") <= run.results[0].proof.covered[0].from_ns


@pytest.mark.parametrize("seed", range(12))
def test_whatever_files_there_are_every_trade_of_the_venue_comes_once(venue: Venue, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    days = [f"2025-01-{day:02}" for day in range(1, 11)]
    there = spot.trades("2025-01-01", 10, 40, seed=seed)
    there = [row for row in there if chance.random() > 0.02]  # else the venue itself has lost it
    filed = [row for row in there if chance.random() > 0.03]
    doubled = sorted([*filed, *chance.choices(filed, k=9)], key=lambda row: row.number)
    spot.offer(venue, doubled, daily=[day for day in days if chance.random() > 0.3])
    spot.offer(venue, there)
    hour = f"2025-01-{chance.randrange(5, 11):02}T{chance.randrange(24):02}:30:00"
    if chance.random() < 0.5:  # the first run fails somewhere, and a later one goes on
        venue.faults[spot.MAIN] = [*([Fine()] * chance.randrange(6)), *([Status(500)] * 6)]
        backfill(venue, tmp_path, end="", now=hour)
    run = backfill(venue, tmp_path, end="", now=hour)
    last = moment(hour) // 1_000
    numbers = [row.number for row in there if row.time_us < last]
    assert ids(tmp_path) == numbers
    assert run.whole
    holes = [(one + 1, two) for one, two in pairwise(numbers) if two != one + 1]
    assert [(hole.expected, hole.seen) for hole in run.results[0].proof.venues] == holes
