"""What the feed of settlement prices makes of a real day of Chainlink's, and promises beyond single frames."""

import csv
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from producers.feed import Recent, Repeated, Resubscribe
from producers.polymarket_prices import TOPICS, PolymarketPrices
from schemas import Connect, Heartbeat, IndexValue, Record
from tests.data import recording

MILLISECOND = 1_000_000
NOW_MS = 1_784_851_203_000
SIXTY, CHAINLINK = "crypto_prices_twap_sixty", "crypto_prices_chainlink"


def frame(at_ms: int = NOW_MS, symbol: str = "btc/usd", topic: str = SIXTY, **payload: Any) -> str:
    values = {"symbol": symbol, "timestamp": at_ms, "value": 65048.5, "full_accuracy_value": "65048.5"} | payload
    return json.dumps({"topic": topic, "type": "update", "timestamp": at_ms, "payload": values})


def subscribed(*symbols: str, channels: tuple[str, ...] = ()) -> PolymarketPrices:
    feed = PolymarketPrices(channels=channels)
    feed.subscribe(symbols or ("btc/usd",))
    return feed


def parse(feed: PolymarketPrices, text: str, received_ms: int = NOW_MS) -> list[Record]:
    return list(feed.parse(text, received_ms * MILLISECOND))


def test_every_value_of_a_real_day_comes_out_to_full_accuracy_and_once() -> None:
    feed = subscribed(channels=(CHAINLINK,))
    latest = found = repeated = 0
    for row in rows():
        at_ms, received_ms = int(row["feed_ts_ms"]), int(row["recv_ms"])
        text = frame(
            at_ms,
            topic=CHAINLINK,
            value=float(row["value"]),
            full_accuracy_value=row["full_accuracy_value"],
        )
        if at_ms <= latest:
            with pytest.raises(ValueError, match=r"repeated|late"):
                parse(feed, text, received_ms)
            repeated += 1
            continue
        latest = at_ms
        value = parse(feed, text, received_ms)[-1]
        assert isinstance(value, IndexValue)
        assert value.event_ns == at_ms * MILLISECOND
        # Independent of how the feed reads it: the digits before and after the 18th from the end.
        digits = row["full_accuracy_value"].rjust(19, "0")
        assert value.value == float(f"{digits[:-18]}.{digits[-18:]}") == pytest.approx(float(row["value"]), rel=1e-15)
        found += 1
    assert found + repeated == 78_515
    assert found > 78_000


def rows() -> Iterator[dict[str, str]]:
    with gzip.open(recording("polymarket/chainlink_btcusd_1s_2026-07-24.csv.gz"), "rt") as lines:
        yield from csv.DictReader(lines)


def test_real_messages_of_the_stream_give_their_values() -> None:
    lines = recording("polymarket/nautilus_rust_fixtures.jsonl").read_text().splitlines()
    messages = {json.loads(line)["file"].rpartition("/")[2]: json.loads(line)["msg"] for line in lines}
    feed = PolymarketPrices()
    history = parse(feed, json.dumps(messages["rtds_crypto_prices_subscribe.json"]), 1_780_726_213_178)
    assert [record.value for record in history if isinstance(record, IndexValue)] == [61164.12, 61161.07, 61150.89]
    update = parse(feed, json.dumps(messages["rtds_crypto_prices_update.json"]), 1_780_730_269_142)
    assert [(record.event_ns, record.value) for record in update if isinstance(record, IndexValue)] == [
        (1_780_730_269_000_000_000, 61035.86)
    ]


def test_what_was_not_asked_for_is_passed_over() -> None:
    feed = subscribed("BTC/USD")
    assert parse(feed, frame(symbol="eth/usd")) == []
    assert parse(feed, frame(topic=CHAINLINK)) == []
    assert [type(record) for record in parse(feed, frame())] == [Connect, IndexValue]


def test_each_topic_is_subscribed_to_without_a_filter() -> None:
    (request,) = PolymarketPrices(channels=(SIXTY, CHAINLINK)).subscribe(["btc/usd"])
    assert json.loads(request)["subscriptions"] == [
        {"topic": SIXTY, "type": "update"},
        {"topic": CHAINLINK, "type": "*"},
    ]


def test_the_same_symbol_of_two_topics_is_two_instruments() -> None:
    feed = subscribed(channels=tuple(TOPICS))
    keys = [parse(feed, frame(topic=topic))[0].key for topic in TOPICS if topic != "crypto_prices"]
    assert len(set(keys)) == 3


def test_a_repeat_is_known_on_the_next_connection() -> None:
    recent = Recent()
    parse(PolymarketPrices(recent=recent), frame())
    with pytest.raises(Repeated):
        parse(PolymarketPrices("disconnect", recent), frame())


def test_answered_pings_without_prices_are_a_stall() -> None:
    feed = subscribed()
    parse(feed, frame())
    later = NOW_MS + 45_000
    assert [type(record) for record in parse(feed, "PONG", later)] == [Heartbeat]
    with pytest.raises(Resubscribe, match="no price has come") as stall:
        parse(feed, "PONG", later + 1)
    assert stall.value.cause == "stall"
    silent = subscribed()
    parse(silent, "PONG")
    with pytest.raises(Resubscribe, match="no price has come"):
        parse(silent, "PONG", later + 1)
