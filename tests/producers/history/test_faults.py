"""Faults of a venue: wrong checksums, torn files, refusals and bans cost a way to the data, never the data unsaid."""

from pathlib import Path

import pytest

from producers.history import landing
from producers.history import zipped as reading
from schemas import Gap, Trade
from tests.producers.history import spot
from tests.producers.history.run import backfill, kept
from tests.producers.history.server import Body, Status, Truncated, Venue, zipped

LINE = "1000,1.5,2.0,3.0,1735689600000000,True,True"
DAILY = f"{spot.ARCHIVE}/daily/trades/BTCUSDT/BTCUSDT-trades"


def ids(folder: Path) -> list[int]:
    return kept(folder, Trade)["_offset"].to_list()


def test_a_wrong_checksum_is_fetched_again(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 1, 50)
    spot.offer(venue, rows, daily=["2025-01-01"])
    path = f"{DAILY}-2025-01-01.zip"
    venue.faults[f"{path}.CHECKSUM"] = [Body(b"0" * 64 + b"  x.zip\n")]
    run = backfill(venue, tmp_path, end="2025-01-02")
    assert ids(tmp_path) == [row.number for row in rows]
    assert run.whole
    assert run.told == []
    assert len(venue.asked("2025-01-01.zip")) == 4


def test_a_checksum_that_stays_wrong_is_told_and_pages_take_the_files_place(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 1, 50)
    spot.offer(venue, rows, daily=["2025-01-01"])
    path = f"{DAILY}-2025-01-01.zip"
    venue.always[f"{path}.CHECKSUM"] = Body(b"0" * 64 + b"  x.zip\n")
    run = backfill(venue, tmp_path, end="2025-01-02")
    assert ids(tmp_path) == [row.number for row in rows]
    assert run.whole
    assert len(run.told) == 1
    assert "daily 2025-01-01" in run.told[0]
    assert "3 times" in run.told[0]


@pytest.mark.parametrize(
    "content",
    [
        b"no zip at all",
        zipped(
            "x.csv", ["1000,1.5,2.0,3.0,1735689600000000,True,True", "1001,oops,2.0,3.0,1735689600000001,True,True"]
        ),
        zipped("x.csv", [LINE.removesuffix(",True")]),
        zipped("x.csv", [LINE.replace("1.5", "nan")]),
        zipped("x.csv", [LINE.replace("1735689600000000", "1735689600000000000")]),
        zipped("x.csv", [LINE] * 3)[:-40],
    ],
    ids=["no zip", "a word for a number", "a column short", "nan", "a time in ns", "cut"],
)
def test_a_file_that_cannot_be_used_is_told_and_leaves_nothing(venue: Venue, tmp_path: Path, content: bytes) -> None:
    rows = spot.trades("2025-01-01", 1, 50)
    spot.offer(venue, rows)
    venue.put(f"{DAILY}-2025-01-01.zip", content)
    run = backfill(venue, tmp_path, end="2025-01-02")
    assert ids(tmp_path) == [row.number for row in rows]
    assert run.whole
    assert len(run.told) == 1
    assert "cannot be used" in run.told[0]


def test_a_file_cut_in_a_later_part_leaves_nothing_of_its_first(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "ROWS", 1_000)
    monkeypatch.setattr(reading, "BLOCK", 1 << 16)
    removed: list[Path] = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **more: (removed.append(path), unlink(path, **more))[1])
    rows = spot.trades("2025-01-01", 1, 20_000)
    spot.offer(venue, rows, daily=["2025-01-01"])
    path = f"{DAILY}-2025-01-01.zip"
    torn = bytearray(venue.files[path])
    torn[-20_000] ^= 0xFF
    venue.put(path, bytes(torn))
    venue.always["/api.binance.com"] = Status(403)
    run = backfill(venue, tmp_path, end="2025-01-02")
    assert any(path.suffix == ".parquet" for path in removed)
    assert ids(tmp_path) == []
    assert not run.whole
    assert any("cannot be used" in text for text in run.told)
    assert "NOT FETCHED from 2025-01-01T00:00:00 to 2025-01-02T00:00:00" in run.lines[0]


def test_a_torn_download_goes_on_where_it_was_cut(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 1, 5_000)
    spot.offer(venue, rows, daily=["2025-01-01"])
    path = f"{DAILY}-2025-01-01.zip"
    venue.faults[path] = [Status(503), Truncated(), Truncated(), Status(500)]
    run = backfill(venue, tmp_path, end="2025-01-02")
    assert ids(tmp_path) == [row.number for row in rows]
    assert run.whole
    assert run.told == []
    assert any("Range" in headers for headers in venue.headers)


@pytest.mark.parametrize("status", [429, 418])
def test_a_venue_that_says_stop_is_left_alone_for_as_long_as_it_asks(venue: Venue, tmp_path: Path, status: int) -> None:
    rows = spot.trades("2025-01-01", 1, 50)
    spot.offer(venue, rows)
    venue.faults["/api.binance.com"] = [Status(status, retry_after="1")]
    run = backfill(venue, tmp_path, end="2025-01-02")
    first, second = [at_s for at_s, path in venue.requests if "historicalTrades" in path][:2]
    assert second - first >= 1.0
    assert ids(tmp_path) == [row.number for row in rows]
    assert run.whole


def test_a_ban_for_longer_than_we_wait_is_told(venue: Venue, tmp_path: Path) -> None:
    spot.offer(venue, spot.trades("2025-01-01", 1, 50))
    venue.always["/api.binance.com"] = Status(418, retry_after="259200")
    run = backfill(venue, tmp_path, end="2025-01-02")
    assert not run.whole
    assert "HTTP 418, to come back after 259200 s" in run.told[0]


def test_pages_that_fail_again_and_again_are_told_and_a_later_run_mends_it(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 3, 50)
    spot.offer(venue, rows, daily=["2025-01-01", "2025-01-03"])
    venue.always["/api.binance.com"] = Status(500)
    run = backfill(venue, tmp_path)
    assert not run.whole
    assert "HTTP 500" in run.told[0]
    (gap,) = kept(tmp_path, Gap).select(Gap.__struct_fields__).iter_rows(named=True)
    assert (gap["feed"], gap["cause"], gap["expected"], gap["seen"], gap["missed"]) == (
        "binance",
        "missed",
        1050,
        1100,
        50,
    )
    assert gap["instrument"] == "binance:BTCUSDT"
    assert not gap["recovered"]
    venue.always.clear()
    assert backfill(venue, tmp_path).whole
    assert ids(tmp_path) == [row.number for row in rows]
    assert kept(tmp_path, Gap)["recovered"].to_list() == [True]
