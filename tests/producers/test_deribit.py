"""Deribit's feed: test requests are answered, each minute's bar comes once, and minutes missed are fetched."""

import json
import urllib.parse
from typing import Any

import pytest

from producers import frames
from producers.deribit import LAG_NS, SETTLED_NS, Deribit
from producers.feed import Feed, Recent, Resubscribe
from schemas import Bar, Connect, DeadLetter, IndexValue, Record, Rejected
from tests.data import recording

MINUTE_NS = 60_000_000_000
NOON_NS = 1_767_355_200_000_000_000  # 2026-01-02T12:00:00Z
NOON = NOON_NS // MINUTE_NS


def subscribed(recent: Recent | None = None, cause: str = "start") -> Deribit:
    feed = Deribit(cause, recent)
    feed.subscribe(["btc_usd"])
    return feed


def asked(feed: Feed, now_ns: int) -> list[tuple[int, int]]:
    """First and last minute of each range that is fetched now."""
    queries = [dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(fetch.url).query)) for fetch in feed.fetches(now_ns)]
    assert all((query["currency"], query["resolution"]) == ("BTC", "60") for query in queries)
    return [(int(query["start_timestamp"]) // 60_000, int(query["end_timestamp"]) // 60_000) for query in queries]


def tag(first: int, last: int) -> str:
    return f"bars:btc_usd:{first}:{last}"


def page(minutes: list[int], continuation: int | None = None) -> bytes:
    rows = [[minute * 60_000, 50.0, 52.0, 49.0, 50.0 + minute % 2] for minute in minutes]
    return json.dumps({"jsonrpc": "2.0", "result": {"data": rows, "continuation": continuation}}).encode()


def minutes(records: list[Record]) -> list[int]:
    """Minutes that bars begin with."""
    return [record.event_ns // MINUTE_NS - 1 for record in records if isinstance(record, Bar)]


def test_a_connection_asks_for_heartbeats_and_its_indices() -> None:
    requests = [json.loads(request) for request in Deribit().subscribe(["btc_usd", "eth_usd"])]
    assert [(request["method"], request["params"]) for request in requests] == [
        ("public/set_heartbeat", {"interval": 10}),
        ("public/subscribe", {"channels": ["deribit_volatility_index.btc_usd", "deribit_volatility_index.eth_usd"]}),
    ]


def test_what_is_no_index_is_refused_before_any_connection() -> None:
    with pytest.raises(Rejected, match="'BTC' is no volatility index: write btc_usd or eth_usd"):
        Deribit.shards(["btc_usd", "BTC"], Deribit.default_channels)


def test_a_test_request_is_answered_once() -> None:
    feed = subscribed()
    assert list(feed.parse('{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}', NOON_NS)) == []
    assert [json.loads(frame)["method"] for frame in feed.outgoing()] == ["public/test"]
    assert feed.outgoing() == []


def test_an_index_that_is_not_confirmed_ends_the_connection() -> None:
    with pytest.raises(Resubscribe, match="subscription refused: btc_usd"):
        subscribed().parse('{"jsonrpc":"2.0","id":2,"result":[]}', NOON_NS)


def test_the_documented_value_is_in_points() -> None:
    lines = map(json.loads, recording("deribit/nautilus_fixtures.jsonl").read_text().splitlines())
    [message] = [line["msg"] for line in lines if line["file"].endswith("ws_volatility_index.json")]
    sent = message["params"]["data"]
    feed = Deribit()
    values = feed.parse(json.dumps(message), feed.sent_ns(json.dumps(message)))
    [value] = [record for record in values if isinstance(record, IndexValue)]
    assert (value.event_ns, value.value) == (sent["timestamp"] * 1_000_000, sent["volatility"])


def test_other_channels_of_a_recording_are_refused_by_name() -> None:
    found = list(frames.records(recording("deribit/cryptofeed_deribit_ws.jsonl.zst"), Deribit))
    reasons = [record.reason.partition("'")[0] for record in found if isinstance(record, DeadLetter)]
    assert reasons == ["neither a value nor an answer: "] + ["unknown channel "] * 135


def test_a_minute_is_fetched_once_it_has_settled() -> None:
    feed = subscribed()
    assert asked(feed, NOON_NS + SETTLED_NS) == []
    assert asked(feed, NOON_NS + MINUTE_NS + SETTLED_NS - 1) == []
    assert asked(feed, NOON_NS + MINUTE_NS + SETTLED_NS) == [(NOON, NOON)]
    found = list(feed.answer(tag(NOON, NOON), page([NOON - 1, NOON, NOON + 1]), NOON_NS + MINUTE_NS + SETTLED_NS))
    assert [type(record) for record in found] == [Connect, Bar]
    assert minutes(found) == [NOON]


def test_a_recording_needs_no_more_than_the_answers() -> None:
    feed, now_ns = Deribit(), NOON_NS + 10 * MINUTE_NS
    assert minutes(list(feed.answer(tag(NOON, NOON + 1), page([NOON, NOON + 1]), now_ns))) == [NOON, NOON + 1]
    assert minutes(list(feed.answer(tag(NOON + 2, NOON + 2), page([NOON + 1, NOON + 2]), now_ns))) == [NOON + 2]


def test_minutes_missed_between_connections_are_fetched_in_pages_and_come_in_order() -> None:
    recent = Recent()
    now_ns = NOON_NS + SETTLED_NS
    asked(subscribed(recent), now_ns)
    feed, later_ns = subscribed(recent, "disconnect"), now_ns + 700 * MINUTE_NS
    assert asked(feed, later_ns) == [(NOON, NOON + 499)]
    found = list(feed.answer(tag(NOON, NOON + 499), page(list(range(NOON + 200, NOON + 500)), NOON * 60_000), later_ns))
    assert found == []
    assert asked(feed, later_ns) == [(NOON, NOON + 199)]
    found += feed.answer(tag(NOON, NOON + 199), page(list(range(NOON, NOON + 200))), later_ns)
    assert asked(feed, later_ns) == [(NOON + 500, NOON + 699)]
    found += feed.answer(tag(NOON + 500, NOON + 699), page(list(range(NOON + 500, NOON + 701))), later_ns)
    assert minutes(found) == list(range(NOON, NOON + 700))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"error":{"message":"slow down","code":10028}}'])
def test_a_failed_fetch_is_made_again(body: bytes) -> None:
    feed, now_ns = subscribed(), NOON_NS + SETTLED_NS
    asked(feed, now_ns)
    now_ns += MINUTE_NS
    assert asked(feed, now_ns) == [(NOON, NOON)]
    with pytest.raises(Rejected, match=r"unreadable|neither|venue says"):
        feed.answer(tag(NOON, NOON), body, now_ns)
    assert asked(feed, now_ns + LAG_NS) == [(NOON, NOON)]


def test_a_value_and_its_bars_belong_to_one_instrument() -> None:
    data: dict[str, Any] = {"timestamp": NOON_NS // 1_000_000, "volatility": 50.0, "index_name": "btc_usd"}
    params = {"channel": "deribit_volatility_index.btc_usd", "data": data}
    feed = subscribed()
    asked(feed, NOON_NS + SETTLED_NS)
    found = list(feed.parse(json.dumps({"method": "subscription", "params": params}), NOON_NS))
    asked(feed, NOON_NS + MINUTE_NS + SETTLED_NS)
    found += feed.answer(tag(NOON, NOON), page([NOON]), NOON_NS + MINUTE_NS + SETTLED_NS)
    assert {record.key for record in found} == {"deribit:btc_usd"}
    assert sum(isinstance(record, Connect) for record in found) == 1
