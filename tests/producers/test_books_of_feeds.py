"""One stage keeps the books of every venue: what feeds pass on holds against its proofs, one wrong level does not."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import zstandard

from processors.books import BookOptions, Books
from producers.coinbase_level2 import CoinbaseLevel2
from producers.extended import Extended
from producers.feed import Feed
from producers.hyperliquid import Hyperliquid
from schemas import Book, Depth, Gap, Record, Resync, Tick, Top
from tests.data import recording

START_MS = 1_767_323_045_000
Frames = Iterator[tuple[int, str]]  # time of receipt in ns, frame


def coinbase() -> Frames:
    with zstandard.open(recording("coinbase/cryptofeed_level2_ticker_matches.jsonl.zst"), "rt") as lines:
        for entry in map(json.loads, lines):
            if entry["msg"]["type"] in ("snapshot", "l2update"):
                yield int(entry["recv"] * 1e9), json.dumps(entry["msg"])


def hyperliquid() -> Frames:
    latest = 0
    with zstandard.open(recording("l2/hftbacktest_hyperliquid_btcusd_20250126.txt.zst"), "rt") as lines:
        for stamp, text in (line.split(" ", 1) for line in lines):
            time = json.loads(text)["data"]["time"] if '"l2Book"' in text else 0
            if time > latest:
                latest = time
                yield int(stamp), text


def extended(changed: tuple[str, str] = ("1.5", "0.5")) -> Frames:
    """A snapshot, then changes of one bid: its size after the last, and that change, are given."""
    steps = [("SNAPSHOT", "2", "2"), ("DELTA", "-1.25", "0.75"), ("DELTA", "0.25", "1"), ("DELTA", *reversed(changed))]
    for sequence, (kind, change, size) in enumerate(steps, 1):
        data = {"m": "BTC-USD", "b": [{"p": "99", "q": change, "c": size}], "a": []}
        if kind == "SNAPSHOT":
            data["a"] = [{"p": "101", "q": "3", "c": "3"}]
        message = {"type": kind, "ts": START_MS + sequence, "seq": sequence, "data": data}
        yield (START_MS + sequence) * 1_000_000, json.dumps(message)


def records(make: type[Feed], frames: Frames) -> Iterator[Record]:
    feed = make()
    for received_ns, frame in frames:
        yield from feed.parse(frame, received_ns)


def derived(found: Iterable[Record]) -> Iterator[Record]:
    """What the stage says of each Depth, in its place."""
    stages: dict[str, Books] = {}
    for record in found:
        if not isinstance(record, Depth):
            yield record
            continue
        stage = stages.setdefault(record.key, Books(record.key, BookOptions(book_every_ms=1)))
        yield from stage.on_event(record)


@pytest.mark.parametrize(
    ("make", "frames", "books"),
    [(CoinbaseLevel2, coinbase, 6), (Hyperliquid, hyperliquid, 1), (Extended, extended, 1)],
    ids=["coinbase", "hyperliquid", "extended"],
)
def test_nothing_that_a_feed_passes_on_breaks_a_book(make: type[Feed], frames: Any, books: int) -> None:
    said = list(derived(records(make, frames())))
    tops = {record.instrument: record for record in said if isinstance(record, Top)}
    assert not [record for record in said if isinstance(record, Resync | Gap)]
    assert len(tops) == books
    assert all(top.valid and 0.0 < top.bid < top.ask for top in tops.values())
    assert all(record.valid for record in said if isinstance(record, Book))


def test_the_best_quotes_of_the_stage_are_those_of_the_feeds_ticks() -> None:
    tops: dict[str, tuple[float, ...]] = {}
    compared = 0
    for said in derived(records(CoinbaseLevel2, coinbase())):
        if isinstance(said, Top):
            tops[said.instrument] = said.bid, said.bid_size, said.ask, said.ask_size
        elif isinstance(said, Tick):
            assert tops[said.instrument] == pytest.approx((said.bid, said.bid_size, said.ask, said.ask_size), rel=1e-15)
            compared += 1
    assert compared > 100


@pytest.mark.parametrize(("changed", "breaks"), [(("1.5", "0.5"), 0), (("1.4", "0.5"), 1), (("1.5", "0.4"), 1)])
def test_a_size_that_is_not_the_old_one_and_its_change_breaks_the_book_at_once(
    changed: tuple[str, str], breaks: int
) -> None:
    found = derived(records(Extended, extended(changed)))
    assert [(said.sequence, said.cause) for said in found if isinstance(said, Resync)] == [(4, "change")] * breaks
