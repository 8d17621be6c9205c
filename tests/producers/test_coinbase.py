"""What the Coinbase feeds promise beyond single frames: connections, repeats, and junk of every kind."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.coinbase import Coinbase
from producers.coinbase_level2 import CoinbaseLevel2
from producers.feed import Feed, Recent, Repeated, Resubscribe
from schemas import Connect, Record, Rejected, Tick
from schemas.codec import Codec
from tests.producers.venue import START_NS, heartbeat, subscriptions, ticker

FRAMES = pathlib.Path(__file__).parent.parent / "frames"


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


# The fuzz: frames of the fixtures, bent in every way that a broken venue, proxy or attacker might.


def fixtures(name: str) -> list[str]:
    return [
        line["msg"] if isinstance(line["msg"], str) else json.dumps(line["msg"])
        for path in sorted((FRAMES / name).glob("*.jsonl"))
        for line in map(json.loads, path.read_text().splitlines())
    ]


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63), 10**40, 1e308]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["nan", "inf", "-0", "0", "1e5", "1e-99", "٣", "1_0", " 1", "9" * 400, "ETH-USD", "\ud800"]),
    st.recursive(
        st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
    ),
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in inner:
        yield (*at, step)
        yield from paths(item, (*at, step))


@st.composite
def bent(draw: st.DrawFn, name: str) -> str | bytes:
    text = draw(st.sampled_from([frame for frame in FIXTURES[name] if frame]))
    kind = draw(st.sampled_from(["bytes", "cut", "value", "missing", "extra"]))
    try:
        message = json.loads(text)
    except ValueError:
        kind = "bytes"
    if kind == "bytes":
        data = bytearray(text.encode())
        for _ in range(draw(st.integers(1, 4))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        return bytes(data)
    if kind == "cut":
        return text[: draw(st.integers(0, len(text)))]
    places = list(paths(message))
    if kind == "extra" or not places:
        return json.dumps([message, draw(ODD)] if isinstance(message, list) else message | {draw(st.text()): draw(ODD)})
    *way, last = draw(st.sampled_from(places))
    target = message
    for step in way:
        target = target[step]
    if kind == "missing":
        del target[last]
    else:
        target[last] = draw(ODD)
    return json.dumps(message)


FIXTURES = {name: fixtures(name) for name in ("coinbase", "coinbase_level2")}
CODEC = Codec()


def check_survives(feed: Feed, odd: list[str | bytes]) -> None:
    for frame in odd:
        try:
            records = list(feed.parse(frame, START_NS))
        except (Rejected, Resubscribe):
            continue
        assert feed.sent_ns(frame) >= 0
        for record in records:
            assert CODEC.decode(CODEC.encode(record)) == record


@given(st.lists(bent("coinbase"), min_size=1, max_size=5))
def test_bent_frames_of_the_ticker_feed_are_refused_or_give_valid_records(odd: list[str | bytes]) -> None:
    check_survives(Coinbase(), odd)


@given(st.lists(bent("coinbase_level2"), min_size=1, max_size=8))
def test_bent_frames_of_the_book_feed_are_refused_or_give_valid_records(odd: list[str | bytes]) -> None:
    feed = CoinbaseLevel2()
    list(feed.parse('{"type":"snapshot","product_id":"ETH-USD","bids":[["10","1"]],"asks":[["10.1","2"]]}', START_NS))
    check_survives(feed, odd)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_arbitrary_frames_are_refused(frame: str | bytes) -> None:
    with pytest.raises(Rejected):
        parse(Coinbase(), frame)


def test_heartbeats_and_trades_of_two_products_stay_apart() -> None:
    feed = Coinbase()
    sent = [ticker(1), ticker(1, product="BTC-USD"), heartbeat(1, product="BTC-USD"), ticker(2)]
    keys = [record.key for frame in sent for record in parse(feed, frame) if not isinstance(record, Connect)]
    assert keys == ["coinbase:ETH-USD", "coinbase:BTC-USD", "coinbase:BTC-USD", "coinbase:ETH-USD"]
