"""The collector's files: the header, the rows, what a kill leaves and how a new start goes on."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from consumers.backtest.tables import read
from consumers.collector import BOOKS_HEADER, Collector
from consumers.collector_files import FLUSH_EVERY, CsvFile, mend
from infra.errors import UserError
from schemas import Book, Market, Top, Trade
from schemas.levels import packed
from tests.consumers.maker import NAME, book
from tests.streams import MILLISECOND, NOON

WRITER = """
import sys
from pathlib import Path
from consumers.collector_files import CsvFile
file = CsvFile(Path(sys.argv[1]), ["number", "text"])
print("ready", flush=True)
number = 0
while True:
    number += 1
    file.write([number, "x" * 50])
"""


def trade(at: int = 0) -> Trade:
    return Trade(NAME, NOON + at * MILLISECOND, NOON, 3_000.5, 0.25, "sell", 12, 12, 12)


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_the_header_is_the_documented_one() -> None:
    assert ",".join(BOOKS_HEADER).startswith(
        "timestamp_ms,datetime,market,seq,bid_price0,bid_qty0,ask_price0,ask_qty0,bid_price1,"
    )
    assert len(BOOKS_HEADER) == 4 + 20 * 4
    assert BOOKS_HEADER[-1] == "ask_qty19"


def test_a_row_holds_a_snapshot_and_lacks_what_the_book_lacks(tmp_path: Path) -> None:
    collector = Collector(tmp_path)
    for record in (book(5), trade(7), book(8, valid=False, bids=b"", asks=b""), book(9)):
        collector.take(record)
    collector.close()
    header, row, _ = rows(tmp_path / "orderbook_depth.csv")
    assert tuple(header) == BOOKS_HEADER
    assert row[:8] == ["1764072000005", "2025-11-25T12:00:00.005Z", "ETH-USD", "7", "3000", "5", "3001", "5"]
    assert row[8:12] == ["2999.5", "9", "3001.5", "9"]
    assert set(row[12:]) == {""}
    assert rows(tmp_path / "trades.csv")[1] == [
        "1764072000007", "2025-11-25T12:00:00.007Z", "ETH-USD", "12", "sell", "3000.5", "0.25",
    ]  # fmt: skip


def test_a_new_start_appends_below_one_header(tmp_path: Path) -> None:
    for at in (1, 2):
        collector = Collector(tmp_path)
        collector.take(book(at))
        collector.close()
    assert [row[0] for row in rows(tmp_path / "orderbook_depth.csv")] == [
        "timestamp_ms", "1764072000001", "1764072000002",
    ]  # fmt: skip


def test_rows_are_flushed_every_hundred(tmp_path: Path) -> None:
    file = CsvFile(tmp_path / "a.csv", ["n"])
    for number in range(FLUSH_EVERY - 1):
        file.write([number])
    assert len(rows(file.path)) == 1
    file.write([99])
    assert len(rows(file.path)) == 1 + FLUSH_EVERY
    file.close()


@pytest.mark.parametrize("text", ["", "a\n", "a\n1\n", "a\n1", "a", "a\n" + "9" * 100_000])
def test_only_what_stands_after_the_last_newline_is_cut(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    kept = text[: text.rfind("\n") + 1]
    assert mend(path) == len(text) - len(kept)
    assert path.read_text() == kept


def test_a_file_with_another_header_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "trades.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"trades\.csv.*begins with"):
        Collector(tmp_path)
    assert (tmp_path / "trades.csv").read_text() == "a,b\n1,2\n"


def test_after_kills_every_row_is_whole_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    CsvFile(path, ["number", "text"]).close()
    header, *found = rows(path)
    assert header == ["number", "text"]
    assert all(len(row) == 2 and row[1] == "x" * 50 for row in found)
    starts = [place for place, row in enumerate(found) if row[0] == "1"]
    assert len(starts) == 3
    for begin, end in zip(starts, [*starts[1:], len(found)], strict=True):
        assert [int(row[0]) for row in found[begin:end]] == list(range(1, end - begin + 1))


def test_what_is_collected_reads_back_as_the_records_that_it_was(tmp_path: Path) -> None:
    collector = Collector(tmp_path)
    given = [book(1), trade(2), book(3, 30_005, 30_015, bids=packed([(30_005, 7)]))]
    for record in given:
        collector.take(record)
    collector.close()
    market, *found = read([tmp_path / "orderbook_depth.csv", tmp_path / "trades.csv"], NAME)
    assert isinstance(market, Market)
    assert (market.price_step, market.size_step) == (0.5, 0.01)
    books = [record for record in found if isinstance(record, Book)]
    assert [record.event_ns for record in books] == [NOON + MILLISECOND, NOON + 3 * MILLISECOND]
    assert [type(record) for record in found] == [Book, Top, Trade, Book, Top]
    (last,) = [record for record in found if isinstance(record, Top)][1:]
    assert (last.bid, last.ask) == (3_000.5, 3_001.5)


def test_a_file_of_neither_books_nor_trades_is_named(tmp_path: Path) -> None:
    pl.DataFrame({"x": [1]}).write_csv(tmp_path / "odd.csv")
    with pytest.raises(UserError, match=r"odd\.csv: neither books"):
        list(read([tmp_path / "odd.csv"], NAME))
    with pytest.raises(UserError, match="there is no file"):
        list(read([tmp_path / "absent.csv"], NAME))
