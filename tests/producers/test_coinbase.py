"""What the Coinbase feeds promise beyond single frames: connections and repeats; for junk see test_fuzz.py."""

import pytest

from producers.coinbase import Coinbase
from producers.feed import Feed, Recent, Repeated, Resubscribe
from schemas import Connect, Record, Rejected, Tick
from tests.producers.venue import START_NS, heartbeat, subscriptions, ticker


def parse(feed: Feed, frame: str | bytes) -> list[Record]:
    return list(feed.parse(frame, START_NS))


def subscribed(*symbols: str) -> Coinbase:
    feed = Coinbase()
    feed.subscribe(symbols)
    return feed


def test_a_connect_comes_once_for_each_product_of_a_connection_and_carries_its_cause() -> None:
    feed = Coinbase(cause="stall")
    feed.subscribe(["ETH-USD", "BTC-USD"])
    confirmed = parse(feed, subscriptions("ETH-USD", "BTC-USD"))
    assert [(record.key, getattr(record, "cause", "")) for record in confirmed] == [
        ("coinbase:BTC-USD", "stall"),
        ("coinbase:ETH-USD", "stall"),
    ]
    assert [type(record) for record in parse(feed, ticker(1))] == [Tick]
    assert parse(feed, subscriptions("ETH-USD", "BTC-USD")) == []


def test_a_connect_comes_before_the_first_tick_where_the_confirmation_is_late() -> None:
    feed = subscribed("ETH-USD")
    assert [type(record) for record in parse(feed, ticker(1))] == [Connect, Tick]
    assert parse(feed, subscriptions("ETH-USD")) == []


def test_a_product_that_was_not_asked_for_is_refused() -> None:
    feed = subscribed("ETH-USD")
    with pytest.raises(Rejected, match="unknown product 'BTC-USD'"):
        parse(feed, ticker(1, product="BTC-USD"))


def test_a_confirmation_without_a_product_that_was_asked_for_ends_the_connection() -> None:
    with pytest.raises(Resubscribe, match="subscription refused: ticker/BTC-USD, heartbeat/BTC-USD") as refusal:
        parse(subscribed("ETH-USD", "BTC-USD"), subscriptions("ETH-USD"))
    assert refusal.value.cause == "error"


def test_a_repeat_is_known_across_connections_and_only_while_it_is_recent() -> None:
    recent = Recent(capacity=2)
    assert len(parse(Coinbase(recent=recent), ticker(1))) == 2
    again = Coinbase("disconnect", recent)
    with pytest.raises(Repeated, match="trade_id 1"):
        parse(again, ticker(1))
    assert [type(record) for record in parse(again, ticker(2)) + parse(again, ticker(3))] == [Connect, Tick, Tick]
    assert [type(record) for record in parse(again, ticker(1))] == [Tick]


def test_a_refused_frame_changes_nothing() -> None:
    feed = Coinbase()
    for _ in range(2):
        with pytest.raises(Rejected, match="crossed"):
            parse(feed, ticker(1, best_bid="3001"))
    assert [type(record) for record in parse(feed, ticker(1))] == [Connect, Tick]


def test_a_frame_of_5_megabytes_is_refused_or_read_as_any_other() -> None:
    with pytest.raises(Rejected, match="is not a non-negative number"):
        parse(Coinbase(), ticker(1, price="9" * 5_000_000))
    with pytest.raises(Rejected, match="unreadable"):
        parse(Coinbase(), "[" * 5_000_000)
    assert len(parse(Coinbase(), ticker(1, padding="x" * 5_000_000))) == 2


def test_heartbeats_and_trades_of_two_products_stay_apart() -> None:
    feed = Coinbase()
    sent = [ticker(1), ticker(1, product="BTC-USD"), heartbeat(1, product="BTC-USD"), ticker(2)]
    keys = [record.key for frame in sent for record in parse(feed, frame) if not isinstance(record, Connect)]
    assert keys == ["coinbase:ETH-USD", "coinbase:BTC-USD", "coinbase:BTC-USD", "coinbase:ETH-USD"]
