"""Recorded markets: frames through their feed, an interval of time, what is missing named."""

import json
from pathlib import Path

import pytest

from consumers.archive import Archive
from consumers.backtest.markets import Recorded, with_market
from consumers.backtest.tables import Steps
from infra.errors import UserError
from schemas import Book, Market, Top, Trade
from tests.consumers.maker import NAME as MAKERS
from tests.consumers.maker import book, market
from tests.history import batch
from tests.streams import NOON

NAME = "extended:ETH-USD"
START_S = 1_767_323_045


def frames(path: Path, count: int = 20) -> Path:
    """Snapshots, and a trade between each two."""
    lines = []
    for number in range(1, count + 1):
        at = START_S * 1_000 + 200 * number
        levels = {"m": "ETH-USD", "b": [{"p": f"{3_000 + number % 3}.5", "q": "2"}], "a": [{"p": "3003.5", "q": "3"}]}
        deal = {"m": "ETH-USD", "S": "SELL", "tT": "TRADE", "T": at - 100, "p": "3002.0", "q": "0.1", "i": number}
        trade = {"ts": at - 100, "seq": number, "data": [deal]}
        book = {"type": "SNAPSHOT", "ts": at, "seq": number, "data": levels}
        lines += [json.dumps({"recv": at / 1_000, "msg": message}) for message in (trade, book)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_frames_go_through_their_feed_and_the_book_stage(tmp_path: Path) -> None:
    found = list(Recorded("frames", (frames(tmp_path / "x.jsonl"),), NAME).records())
    kinds = {type(record) for record in found}
    assert kinds == {Market, Trade, Book, Top}
    (told,) = [record for record in found if isinstance(record, Market)]
    assert told.price_step == 0.1
    books = [record for record in found if isinstance(record, Book) and record.valid]
    assert len(books) == 20
    assert all(record.event_ns % 200_000_000 == 0 for record in books)


def test_steps_that_are_given_count(tmp_path: Path) -> None:
    found = Recorded("frames", (frames(tmp_path / "x.jsonl"),), NAME, Steps(0.5, 0.01, 0.02)).records()
    (told,) = [record for record in found if isinstance(record, Market)]
    assert (told.price_step, told.size_step, told.size_least) == (0.5, 0.01, 0.02)


def test_steps_that_are_given_count_in_all_that_the_venue_tells_later() -> None:
    venues = [market(step=0.5), market(60_000, step=0.5, status="halted")]
    found = list(with_market([venues[0], book(), venues[1], book(61_000)], Steps(0.1, 0.0, 0.05)))
    told = [record for record in found if isinstance(record, Market)]
    assert [(one.price_step, one.size_step, one.size_least, one.status) for one in told] == [
        (0.1, 0.01, 0.05, "open"),
        (0.1, 0.01, 0.05, "halted"),
    ]
    assert list(with_market([book(), *venues], Steps()))[2:] == venues


def test_an_interval_begins_with_its_start_and_ends_before_its_end(tmp_path: Path) -> None:
    start, end = (START_S * 10**9 + ms * 10**6 for ms in (1_000, 2_000))
    path = frames(tmp_path / "x.jsonl")
    found = list(Recorded("frames", (path,), NAME, start_ns=start, end_ns=end).records())
    times = [record.event_ns for record in found]
    assert isinstance(found[0], Market), "told before, it still holds"
    assert min(times) == start
    assert max(times) == end - 100_000_000


def test_the_archives_market_holds_though_it_was_told_before_the_start(tmp_path: Path) -> None:
    sink = Archive(tmp_path, 0)
    sink.write([batch([market(step=0.5)]), batch([book(at) for at in (1_000, 3_600_000)])])
    sink.close()
    start_ns = NOON + 1_800_000 * 10**6
    told, *rest = Recorded("archive", (tmp_path,), MAKERS, start_ns=start_ns).records()
    assert isinstance(told, Market)
    assert (told.price_step, told.event_ns) == (0.5, start_ns)
    assert rest == [book(3_600_000)]
    with pytest.raises(UserError, match="nothing is recorded"):
        list(Recorded("archive", (tmp_path,), MAKERS, start_ns=2 * start_ns).records())


@pytest.mark.parametrize(
    ("name", "path", "named"),
    [
        ("nowhere:ETH-USD", "x.jsonl", "no feed 'nowhere'"),
        (NAME, "absent.jsonl", "there is no file"),
        ("extended:BTC-USD", "x.jsonl", "nothing is recorded of extended:BTC-USD"),
    ],
)
def test_what_is_missing_is_named(name: str, path: str, named: str, tmp_path: Path) -> None:
    frames(tmp_path / "x.jsonl")
    with pytest.raises(UserError, match=named):
        list(Recorded("frames", (tmp_path / path,), name).records())
