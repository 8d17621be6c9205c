"""What Coinbase's second ticker promises beyond single frames."""

import json
from typing import Any

import pytest

from producers.coinbase_advanced import CoinbaseAdvanced
from producers.feed import Resubscribe
from schemas import Connect, Heartbeat, Record, Tick
from tests.data import recording

NOON_NS = 1_775_572_200_000_000_000  # 2026-04-07T14:30:00Z


def subscriptions(number: int, **products: list[str]) -> str:
    events = [{"subscriptions": products}]
    return json.dumps(
        {"channel": "subscriptions", "timestamp": "2026-04-07T14:30:00Z", "sequence_num": number, "events": events}
    )


def fixtures() -> dict[str, dict[str, Any]]:
    lines = map(json.loads, recording("coinbase/nautilus_advanced_trade_fixtures.jsonl").read_text().splitlines())
    return {line["file"].rpartition("/")[2]: line["msg"] for line in lines}


def given(message: dict[str, Any]) -> list[Record]:
    return list(CoinbaseAdvanced().parse(json.dumps(message), NOON_NS))


def test_each_channel_is_subscribed_to_by_a_message_of_its_own() -> None:
    requests = [json.loads(request) for request in CoinbaseAdvanced().subscribe(["ETH-USD", "BTC-USD"])]
    assert requests == [
        {"type": "subscribe", "channel": "ticker", "product_ids": ["ETH-USD", "BTC-USD"]},
        {"type": "subscribe", "channel": "heartbeats"},
    ]


def test_a_channel_that_is_not_confirmed_yet_is_not_refused() -> None:
    feed = CoinbaseAdvanced()
    feed.subscribe(["ETH-USD", "BTC-USD"])
    assert list(feed.parse(subscriptions(0, heartbeats=["heartbeats"]), NOON_NS)) == []
    found = list(feed.parse(subscriptions(1, heartbeats=["heartbeats"], ticker=["BTC-USD", "ETH-USD"]), NOON_NS))
    assert [record.key for record in found if isinstance(record, Connect)] == [
        "coinbase_advanced:BTC-USD",
        "coinbase_advanced:ETH-USD",
    ]


def test_a_product_that_is_left_out_is_refused() -> None:
    feed = CoinbaseAdvanced()
    feed.subscribe(["ETH-USD", "BTC-USD"])
    with pytest.raises(Resubscribe, match="subscription refused: BTC-USD"):
        feed.parse(subscriptions(0, ticker=["ETH-USD"]), NOON_NS)


def test_a_documented_ticker_gives_its_quotes() -> None:
    message = fixtures()["ws_ticker.json"]
    connect, tick = given(message)
    assert isinstance(connect, Connect)
    assert isinstance(tick, Tick)
    [ticker] = message["events"][0]["tickers"]
    quotes = [float(ticker[f"best_{name}"]) for name in ("bid", "ask", "bid_quantity", "ask_quantity")]
    assert [tick.bid, tick.ask, tick.bid_size, tick.ask_size] == quotes
    assert tick.event_ns == NOON_NS + 3_000_000_000
    assert (tick.price, tick.size, tick.side, tick.sequence, tick.trade_id) == (0.0, 0.0, "", 0, 0)


def test_a_documented_heartbeat_is_a_sign_of_life_of_each_product() -> None:
    feed = CoinbaseAdvanced()
    feed.parse(json.dumps(fixtures()["ws_ticker.json"]), NOON_NS)
    beat = fixtures()["ws_heartbeats.json"] | {"sequence_num": 13}
    [heartbeat] = feed.parse(json.dumps(beat), NOON_NS)
    assert isinstance(heartbeat, Heartbeat)
    assert (heartbeat.instrument, heartbeat.event_ns) == ("coinbase_advanced:BTC-USD", NOON_NS + 10_000_000_000)


def test_documented_subscriptions_of_other_channels_connect_nothing() -> None:
    assert given(fixtures()["ws_subscriptions.json"]) == []
