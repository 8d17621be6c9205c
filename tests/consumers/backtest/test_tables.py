"""Recorded tables: rows as books that say what they can know, whatever files they stand in."""

from pathlib import Path
from typing import TypeVar

from consumers.backtest.makers import clocked
from consumers.backtest.tables import read
from schemas import Book, Clock, Market, Record, Top
from schemas.levels import unpacked

NAME = "x:ETH-USD"
HEADER = "timestamp_ms,bid_price0,bid_qty0,ask_price0,ask_qty0,bid_price1,bid_qty1,ask_price1,ask_qty1"
Kind = TypeVar("Kind", bound=Record)
ROW = "100.5,2,101.0,3,100.0,1,101.5,4"


def tables(folder: Path, *files: list[str]) -> list[Path]:
    paths = []
    for number, rows in enumerate(files):
        paths.append(folder / f"{number}.csv")
        paths[-1].write_text("\n".join([HEADER, *rows]) + "\n")
    return paths


def found(kind: type[Kind], paths: list[Path]) -> list[Kind]:
    return [record for record in read(paths, NAME) if isinstance(record, kind)]


def test_the_market_stands_before_everything_in_whatever_order_files_are_named(tmp_path: Path) -> None:
    paths = tables(tmp_path, [f"9000,{ROW}"], [f"1000,{ROW}"])
    times = [record.event_ns // 10**6 for record in read(paths, NAME) if isinstance(record, Book | Market)]
    assert times == [1_000, 1_000, 9_000]
    clocks = [record.event_ns // 10**6 for record in clocked(read(paths, NAME), 10**9) if isinstance(record, Clock)]
    assert clocks[:2] == [1_000, 2_000]


def test_a_full_row_may_be_cut_and_one_that_is_not_full_is_all_there_is(tmp_path: Path) -> None:
    full, short = found(Book, tables(tmp_path, [f"1,{ROW}", "2,100.5,2,101.0,3,,,101.5,4"]))
    assert full.bid_levels > len(unpacked(full.bids)) == 2
    assert short.bid_levels == len(unpacked(short.bids)) == 1
    assert short.ask_levels > 2


def test_a_crossed_row_is_no_valid_book_and_a_locked_one_is(tmp_path: Path) -> None:
    paths = tables(tmp_path, [f"1,{ROW}", "2,101.5,2,101.0,3,,,,", "3,101.0,2,101.0,3,,,,"])
    books, tops = found(Book, paths), found(Top, paths)
    assert [(book.valid, book.reason) for book in books] == [(True, ""), (False, "crossed"), (True, "")]
    assert (books[1].bids, books[1].asks, books[1].bid_depth, books[1].imbalance) == (b"", b"", 0.0, 0.0)
    assert [(top.valid, top.bid, top.ask) for top in tops] == [
        (True, 100.5, 101.0),
        (False, 0.0, 0.0),
        (True, 101.0, 101.0),
    ]


def test_a_row_without_a_side_says_so(tmp_path: Path) -> None:
    paths = tables(tmp_path, [f"1,{ROW}", "2,,,101.0,3,,,,", f"3,{ROW}"])
    _, second, _ = found(Book, paths)
    assert (second.valid, second.bids, second.imbalance) == (True, b"", -1.0)
    assert len(unpacked(second.asks)) == 1
    assert second.bid_depth == second.ask_depth == 0.0
    assert [(top.valid, top.bid, top.ask) for top in found(Top, paths)][1] == (True, 0.0, 101.0)
