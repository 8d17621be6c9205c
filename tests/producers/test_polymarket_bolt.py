"""What PolyBolt's feed promises: credentials first, then prices without a hole, whatever connection they come on."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from infra.errors import UserError
from producers.feed import Recent, Resubscribe
from producers.keys import Keys
from producers.polymarket_bolt import PolymarketBolt
from schemas import Connect, IndexValue, Record

MILLISECOND = 1_000_000
NOW_MS = 1_788_973_000_000
CHANNEL = "price.crypto.twap"


def live(seq: int, at_ms: int, price: float, **more: Any) -> str:
    payload = {"symbol": "btcusd", "value": price, "timestamp": at_ms, "window_seconds": 60}
    return json.dumps({"v": 1, "channel": CHANNEL, "seq": seq, "ts": at_ms, "payload": payload} | more)


def snapshot(seq: int, prices: dict[int, float]) -> str:
    rows = [{"timestamp": at_ms, "value": price} for at_ms, price in prices.items()]
    payload = {"symbol": "btcusd", "window_seconds": 60, "data": rows}
    return json.dumps({"v": 1, "channel": CHANNEL, "seq": seq, "ts": NOW_MS, "snapshot": True, "payload": payload})


def parse(feed: PolymarketBolt, text: str) -> list[Record]:
    return list(feed.parse(text, NOW_MS * MILLISECOND))


def test_prices_are_asked_for_only_once_the_venue_knows_us() -> None:
    feed = PolymarketBolt(channels=(CHANNEL, "price.crypto"))
    (auth,) = feed.subscribe(["BTC/USD", "ethusd"])
    assert json.loads(auth)["op"] == "auth"
    assert feed.outgoing() == []
    parse(feed, '{"op":"authed","rid":"auth"}')
    (request,) = feed.outgoing()
    assert json.loads(request)["subscriptions"] == [
        {"channel": CHANNEL, "filter": {"symbol": "btcusd", "window_seconds": 60}},
        {"channel": CHANNEL, "filter": {"symbol": "ethusd", "window_seconds": 60}},
        {"channel": "price.crypto", "filter": {"symbol": "btcusd"}},
        {"channel": "price.crypto", "filter": {"symbol": "ethusd"}},
    ]
    assert feed.outgoing() == []


def test_credentials_are_named_and_never_held() -> None:
    frames = PolymarketBolt().subscribe(["btcusd"])
    secrets = {f"polymarket_api_{part}": SecretStr(part) for part in ("key", "secret", "passphrase")}
    filled = Keys(secrets).fill(frames[0])
    assert json.loads(filled)["auth"] == {"apiKey": "key", "secret": "secret", "passphrase": "passphrase"}
    with pytest.raises(UserError, match="TIDEMILL_POLYMARKET_API_PASSPHRASE"):
        Keys(secrets | {"polymarket_api_passphrase": None}).check(PolymarketBolt, frames)


def test_a_connection_has_at_most_64_subscriptions() -> None:
    symbols = [f"s{number}usd" for number in range(100)]
    assert [len(shard.symbols) for shard in PolymarketBolt.shards(symbols, (CHANNEL,))] == [64, 36]
    assert len(PolymarketBolt.shards(symbols, (CHANNEL, "price.crypto"))[0].symbols) == 32


def test_what_a_hole_held_comes_on_the_next_connection_and_nothing_twice() -> None:
    recent, second = Recent(), 1000
    first = PolymarketBolt(recent=recent)
    found = parse(first, snapshot(1, {NOW_MS: 10.0})) + parse(first, live(2, NOW_MS + second, 11.0))
    with pytest.raises(Resubscribe, match="message 4 after 2") as hole:
        parse(first, live(4, NOW_MS + 3 * second, 13.0))
    again = PolymarketBolt(hole.value.cause, recent)
    minutes = {NOW_MS + step * second: 10.0 + step for step in range(5)}
    found += parse(again, snapshot(1, minutes)) + parse(again, live(2, NOW_MS + 4 * second, 14.0))
    found += parse(again, live(3, NOW_MS + 5 * second, 15.0))
    assert [record.value for record in found if isinstance(record, IndexValue)] == [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]
    assert [record.cause for record in found if isinstance(record, Connect)] == ["start", "sequence"]


def test_channels_are_counted_each_by_itself() -> None:
    feed = PolymarketBolt(channels=(CHANNEL, "price.crypto"))
    parse(feed, live(7, NOW_MS, 10.0))
    parse(feed, live(1, NOW_MS, 10.0, channel="price.crypto"))
    assert len(parse(feed, live(8, NOW_MS + 1000, 11.0))) == 1
