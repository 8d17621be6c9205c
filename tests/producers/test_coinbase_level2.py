"""Coinbase's order book: Depth records rebuild a real recording's books, and a product is resynced alone."""

import json
from decimal import Decimal
from typing import Any

import pytest
import zstandard

from producers.coinbase_level2 import CoinbaseLevel2
from producers.feed import Resubscribe
from schemas import Connect, Depth, Record, Tick
from schemas.codec import Codec
from schemas.levels import unpacked
from tests.data import recording

SNAPSHOT = {"type": "snapshot", "product_id": "ETH-USD", "bids": [["10", "1"]], "asks": [["12", "2"]]}
Book = dict[tuple[str, Decimal], Decimal]  # size by side and price


def parsed(feed: CoinbaseLevel2, message: dict[str, Any], received_ns: int = 1_000_000_000) -> list[Record]:
    return list(feed.parse(json.dumps(message), received_ns))


def apply(book: Book, depth: Depth) -> None:
    if depth.kind != "delta":
        book.clear()
    for side, levels in (("buy", depth.bids), ("sell", depth.asks)):
        for price, size in unpacked(levels).tolist():
            book[side, Decimal(price).scaleb(-depth.price_decimals)] = Decimal(size).scaleb(-depth.size_decimals)
    for key in [key for key, size in book.items() if not size]:
        del book[key]


def naive(book: Book, message: dict[str, Any]) -> None:
    if message["type"] == "snapshot":
        sides = (("buy", message["bids"]), ("sell", message["asks"]))
        book.update({(side, Decimal(price)): Decimal(size) for side, levels in sides for price, size in levels})
    for side, price, size in message.get("changes", []):
        book[side, Decimal(price)] = Decimal(size)
        if not Decimal(size):
            del book[side, Decimal(price)]


def test_the_records_of_a_recording_rebuild_its_books_at_every_message() -> None:
    path = recording("coinbase/cryptofeed_level2_ticker_matches.jsonl.zst")
    feed, expected, rebuilt, kinds = CoinbaseLevel2(), {}, {}, []  # type: ignore[var-annotated]
    with zstandard.open(path, "rt") as lines:
        entries = [json.loads(line) for line in lines]
    for entry in entries:
        message = entry["msg"]
        if message["type"] not in ("snapshot", "l2update"):
            continue
        product = message["product_id"]
        depths = [record for record in parsed(feed, message, int(entry["recv"] * 1e9)) if isinstance(record, Depth)]
        kinds += [depth.kind for depth in depths]
        for depth in depths:
            assert depth.instrument == f"coinbase_level2:{product}"
            apply(rebuilt.setdefault(product, {}), depth)
        naive(expected.setdefault(product, {}), message)
        if message["type"] == "snapshot" or len(kinds) % 50 == 0:
            assert rebuilt[product] == expected[product]
    assert rebuilt == expected
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"connect": 6, "snapshot": 6, "delta": 7150}


def test_a_connection_begins_with_what_ended_the_one_before() -> None:
    connect, began, whole, tick = parsed(CoinbaseLevel2("stall"), SNAPSHOT)
    assert isinstance(connect, Connect)
    assert isinstance(began, Depth)
    assert isinstance(whole, Depth)
    assert isinstance(tick, Tick)
    assert (connect.cause, began.kind, began.cause, began.bids) == ("stall", "connect", "stall", b"")
    assert (whole.kind, whole.cause, whole.previous_sequence, whole.last_sequence) == ("snapshot", "", -1, 0)
    assert Codec().decode(Codec().encode(whole)) == whole


def test_a_book_with_one_side_is_passed_on_without_a_tick() -> None:
    kinds = [type(record).__name__ for record in parsed(CoinbaseLevel2(), SNAPSHOT | {"asks": []})]
    assert kinds == ["Connect", "Depth", "Depth"]


def test_a_product_is_resynced_alone() -> None:
    feed = CoinbaseLevel2()
    feed.subscribe(["ETH-USD", "BTC-USD"])
    parsed(feed, SNAPSHOT)
    requests = [json.loads(request) for request in feed.resync("ETH-USD")]
    assert [request.pop("type") for request in requests] == ["unsubscribe", "subscribe"]
    assert requests == [{"product_ids": ["ETH-USD"], "channels": ["level2_batch"]}] * 2
    change = {"type": "l2update", "product_id": "ETH-USD", "changes": [], "time": "1970-01-01T00:00:01Z"}
    assert parsed(feed, change) == []
    heartbeats = {"name": "heartbeat", "product_ids": ["ETH-USD", "BTC-USD"]}
    without = [{"name": "level2_batch", "product_ids": ["BTC-USD"]}, heartbeats]
    assert [type(record) for record in parsed(feed, {"type": "subscriptions", "channels": without})] == [Connect]
    again = [record.kind for record in parsed(feed, SNAPSHOT) if isinstance(record, Depth)]
    assert again == ["snapshot"]
    with pytest.raises(Resubscribe, match="subscription refused: level2_batch/ETH-USD"):
        parsed(feed, {"type": "subscriptions", "channels": without})
