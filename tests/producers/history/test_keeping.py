"""What a back-fill leaves: rows in the history, the joint with the live archive, what the command says; its memory."""

import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from consumers.archive import Archive
from consumers.clickhouse import ClickHouse
from infra.cli import app
from infra.clickhouse import query
from infra.settings import load_settings
from processors.replay.sources import backfill as replayed
from processors.replay.sources.archive import Selection
from schemas import Gap, Trade
from schemas.columns import Keys
from tests.history import batch
from tests.producers.history import spot
from tests.producers.history.run import backfill, kept
from tests.producers.history.server import Status, Venue
from tests.waiting import PATIENCE_S, until

# The history


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    sink = ClickHouse(load_settings(env_file=None, data_dir=tmp_path_factory.mktemp("history")))
    yield sink
    sink.close()


def test_what_a_run_kept_goes_into_the_history_once_now_or_later(
    venue: Venue, tmp_path: Path, history: ClickHouse
) -> None:
    rows = spot.trades("2025-01-01", 3, 60)
    spot.offer(venue, [row for row in rows if row.number != 1_070], daily=["2025-01-01", "2025-01-02"])
    backfill(venue, tmp_path, end="2025-01-02")
    for _ in range(2):
        backfill(venue, tmp_path, sink=history)
    fields = ", ".join(Trade.__struct_fields__)
    found = query(history.client, f"SELECT {fields}, _cause_topic FROM trades FINAL ORDER BY trade_id")
    ours = kept(tmp_path, Trade)
    assert found.drop("_cause_topic").equals(ours.select(Trade.__struct_fields__))
    assert found["_cause_topic"].unique().to_list() == ["history:binance:BTCUSDT:trades"]
    assert query(history.client, "SELECT count() AS rows FROM trades")["rows"].to_list() == [179]
    backfill(venue, tmp_path, sink=history, now="2025-03-20T12:00:00")  # when what was stored then is stored no more
    assert query(history.client, "SELECT count() AS rows FROM trades FINAL")["rows"].to_list() == [179]
    gaps = query(history.client, "SELECT expected, seen, missed, cause FROM gaps FINAL")
    assert gaps.rows() == [(1_070, 1_071, 1, "venue")]


# The joint with what was recorded live


def record_live(folder: Path, rows: list[spot.Row]) -> None:
    """Trades as the archive's sink keeps them."""
    records = [
        Trade("binance:BTCUSDT", row.time_us * 1_000, row.time_us * 1_000, float(row.price), float(row.size), "buy",
              row.number, row.number, row.number)
        for row in rows
    ]  # fmt: skip
    Archive(folder / "archive").write([batch(records)])


def test_the_history_joins_the_first_live_trade(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 3, 50)
    spot.offer(venue, rows, daily=["2025-01-01", "2025-01-02"])
    record_live(tmp_path, rows[-20:])
    run = backfill(venue, tmp_path, end="", now="2025-01-04T00:30:00")
    assert run.whole
    assert run.lines[0] == "binance:BTCUSDT trades: the live archive begins at 1130: 20 numbers in both"


def test_what_lies_between_the_history_and_the_first_live_trade_is_lacking(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 3, 50)
    spot.offer(venue, rows[:120], daily=["2025-01-01", "2025-01-02"])
    record_live(tmp_path, rows[-20:])
    run = backfill(venue, tmp_path, end="", now="2025-01-04T00:30:00")
    assert not run.whole
    assert "LACKS 1120 to 1129 (10 ids)" in run.lines[0]
    assert run.lines[1].endswith("the live archive begins at 1130: 10 numbers before it are in neither")
    gap = kept(tmp_path, Gap).select("cause", "expected", "seen", "missed", "to_ns").row(0)
    assert gap == ("missed", 1120, 1130, 10, rows[130].time_us * 1_000)


def test_a_replay_reads_what_was_back_filled_up_to_the_first_live_trade(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 3, 50)
    spot.offer(venue, rows, daily=["2025-01-01", "2025-01-02"])
    record_live(tmp_path, rows[-20:])
    backfill(venue, tmp_path)
    (kind,) = replayed.there(tmp_path, "ticks")
    runs = replayed.log(kind, tmp_path / "archive", "ticks", 0, Keys(), None, Selection())
    numbers = [number for run in runs for table in run.batch.tables for number in table.columns["trade_id"].tolist()]
    assert numbers == [row.number for row in rows[:-20]]


# The command


def test_the_command_ends_with_0_where_all_is_whole_and_with_1_where_not(venue: Venue, tmp_path: Path) -> None:
    spot.offer(venue, spot.trades("2025-01-01", 2, 20), daily=["2025-01-01"])
    arguments = ["binance", "--symbols", "BTCUSDT", "--kind", "trades", "--end", "2025-01-03", "--via", venue.url]
    command = [sys.executable, "-m", "infra.cli", "backfill", *arguments]
    environment = {"TIDEMILL_DATA_DIR": str(tmp_path), "PATH": "", "COLUMNS": "160"}
    venue.always[spot.MAIN] = Status(403)
    failed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "NOT FETCHED from 2025-01-02T00:00:00 to 2025-01-03T00:00:00" in failed.stdout
    assert "told: binance:BTCUSDT trades: pages: api.binance.com: HTTP 403" in failed.stdout
    venue.always.clear()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "binance:BTCUSDT trades: whole, 40 records in 1 run of numbers" in done.stdout


def test_ctrl_c_ends_it_soon_and_the_next_run_goes_on(venue: Venue, tmp_path: Path) -> None:
    rows = spot.trades("2025-01-01", 1, 20_000)
    spot.offer(venue, rows)
    arguments = ["binance", "--symbols", "BTCUSDT", "--end", "2025-01-02", "--via", venue.url]
    environment = {"TIDEMILL_DATA_DIR": str(tmp_path), "PATH": "", "COLUMNS": "160"}
    process = subprocess.Popen([sys.executable, "-m", "infra.cli", "backfill", *arguments], env=environment)
    until(lambda: len(venue.asked("historicalTrades")) >= 3 or process.poll() is not None, every_s=0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130
    assert backfill(venue, tmp_path, end="2025-01-02").whole
    assert kept(tmp_path, Trade)["trade_id"].to_list() == [row.number for row in rows]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--symbols", "X"], "no source 'nowhere'; there are binance, binance_futures"),
        (["binance", "--symbols", "X", "--kind", "ticks"], "--kind: 'ticks' is none of binance's: trades"),
        (["binance", "--symbols", " , "], "--symbols: none given"),
        (["binance", "--symbols", "X", "--start", "yesterday"], "--start: 'yesterday' is no day"),
        (["binance", "--symbols", "X", "--end", "2025-01-01"], "--end: not after --start"),
        (["binance", "--symbols", "X", "--into", "kafka"], "--into: 'kafka' is not history"),
        (["pyth", "--symbols", "BTC/USD"], "setting pyth_key (TIDEMILL_PYTH_KEY): not set, and pyth needs it"),
    ],
)
def test_a_mistake_in_the_call_is_told(arguments: list[str], told: str) -> None:
    from infra.errors import UserError

    result = CliRunner().invoke(app, ["backfill", *arguments])
    assert isinstance(result.exception, UserError)
    assert told in str(result.exception)


# Memory

LARGE = """
import resource, sys
from pathlib import Path
from tests.producers.history.run import backfill
from tests.producers.history.server import Venue
venue = Venue()
venue.url = sys.argv[1]
run = backfill(venue, Path(sys.argv[2]), end="2025-01-03", workers=1)
assert run.whole, run
print(run.results[0].proof.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def large(path: Path, rows: int) -> None:
    """A day's file with so many trades."""
    block = 100_000
    start_us = spot.microseconds("2025-01-01")
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.csv", "w") as file,
    ):
        for first in range(0, rows, block):
            ids = pl.int_range(first, first + block, eager=True)
            table = pl.DataFrame({"id": ids}).with_columns(
                    price=pl.col("id") % 1_000 + 90_000.25, size=pl.lit("0.00150000"), quote=pl.lit("135.0"),
                    time=start_us + pl.col("id") * 5_000, maker=pl.lit("True"), best=pl.lit("True"),
                )  # fmt: skip
            file.write(table.write_csv(include_header=False).encode())


def used(venue: Venue, folder: Path, rows: int) -> int:
    """Most memory that a process took to back-fill a file of so many trades, in MB."""
    large(folder / "day.zip", rows)
    venue.put(f"{spot.ARCHIVE}/daily/trades/BTCUSDT/BTCUSDT-trades-2025-01-01.zip", (folder / "day.zip").read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", LARGE, venue.url, str(folder)], capture_output=True, text=True, check=True
    )
    count, kilobytes = map(int, done.stdout.split())
    assert count == rows
    return kilobytes // 1_024


def test_memory_does_not_grow_with_a_file(venue: Venue, tmp_path: Path) -> None:
    venue.rows["BTCUSDT"] = []
    spot.offer(venue, [])
    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    small, great = used(venue, tmp_path / "small", 500_000), used(venue, tmp_path / "large", 3_000_000)
    print(f"500,000 trades: {small} MB; 3,000,000: {great} MB")
    assert great < small + 100
