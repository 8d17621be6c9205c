"""Extended's feed: the vendor's own examples, one connection for each stream, and books of random changes."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.extended import Extended
from producers.extended_market import rows
from producers.feed import Resubscribe, Shard
from schemas import Depth, Funding, IndexValue, Mark, Market, Record, Rejected, Trade
from schemas.codec import Codec
from schemas.levels import unpacked
from tests.data import reference

NAME = "BTC-USD"
CODEC = Codec()
MINUTE = 60_000_000_000
STREAMS = "GET /stream.extended.exchange/v1/"


def example(endpoint: str) -> dict[str, Any]:
    """The vendor's example of an endpoint, the first that is no error."""
    found = [entry["example"] for entry in reference("extended/extended_api_doc_examples.json")]
    ends = [entry["endpoint"] for entry in reference("extended/extended_api_doc_examples.json")]
    return next(message for end, message in zip(ends, found, strict=True) if end == endpoint)


def parsed(message: dict[str, Any], feed: Extended | None = None) -> list[Record]:
    feed = Extended() if feed is None else feed
    frame = json.dumps(message)
    return list(feed.parse(frame, feed.sent_ns(frame)))


def only(records: list[Record], kind: type[Record]) -> Any:
    [record] = [record for record in records if isinstance(record, kind)]
    assert CODEC.decode(CODEC.encode(record)) == record
    return record


def levels(depth: Depth) -> list[dict[Decimal, Decimal]]:
    return [
        {
            Decimal(price).scaleb(-depth.price_decimals): Decimal(size).scaleb(-depth.size_decimals)
            for price, size in unpacked(side).tolist()
        }
        for side in (depth.bids, depth.asks)
    ]


def message(kind: str, sequence: int, bids: list[list[str]], asks: list[list[str]]) -> dict[str, Any]:
    sides = [[dict(zip("pqc", level, strict=False)) for level in side] for side in (bids, asks)]
    return {"type": kind, "ts": 1_767_323_045_000, "seq": sequence, "data": {"m": NAME, "b": sides[0], "a": sides[1]}}


def test_each_stream_of_each_market_has_a_connection_of_its_own() -> None:
    shards = Extended.shards([NAME, "ETH-USD"], ("orderbooks", "index"))
    assert shards == [Shard((name,), (channel,)) for name in (NAME, "ETH-USD") for channel in ("orderbooks", "index")]
    base = "wss://api.starknet.extended.exchange/stream.extended.exchange/v1"
    assert [Extended.address(shard) for shard in Extended.shards([NAME], Extended.default_channels)] == [
        f"{base}/{path}/{NAME}" for path in ("orderbooks", "publicTrades", "funding", "prices/mark", "prices/index")
    ]
    assert Extended(channels=["orderbooks"]).subscribe([NAME]) == []
    assert "User-Agent" in Extended.headers


def test_what_is_no_market_is_refused_before_any_connection() -> None:
    with pytest.raises(Rejected, match="'BTC/USD' is no market"):
        Extended.shards(["BTC/USD"], Extended.default_channels)


def test_streams_that_may_say_nothing_for_an_hour_are_no_stall() -> None:
    assert Extended(channels=["funding"]).silence() > 3_600 < Extended(channels=["publicTrades"]).silence()
    assert 60 < Extended(channels=["orderbooks"]).silence() < 120


def test_the_marks_connection_fetches_the_market_once_a_minute() -> None:
    feed, minute_ns = Extended(channels=["mark"]), 60_000_000_000
    feed.subscribe([NAME])
    urls = [[fetch.url for fetch in feed.fetches(now_ns)] for now_ns in (minute_ns, minute_ns + 1, 2 * minute_ns)]
    url = "https://api.starknet.extended.exchange/api/v1/info/markets?market=BTC-USD"
    assert urls == [[url], [], [url]]
    assert list(Extended(channels=["orderbooks"]).fetches(minute_ns)) == []


def test_the_vendors_book() -> None:
    sent = example(STREAMS + "orderbooks/{market}")
    depth = [record for record in parsed(sent) if isinstance(record, Depth)][-1]
    assert (depth.kind, depth.event_ns, depth.last_sequence) == ("snapshot", sent["ts"] * 1_000_000, sent["seq"])
    assert levels(depth) == [
        {Decimal(level["p"]): Decimal(level["q"]) for level in sent["data"][side]} for side in ("b", "a")
    ]


def test_the_vendors_trade() -> None:
    sent = example(STREAMS + "publicTrades/{market}")
    trade, deal = only(parsed(sent), Trade), sent["data"][0]
    assert (trade.instrument, trade.event_ns) == ("extended:BTC-USD", deal["T"] * 1_000_000)
    assert (trade.price, trade.size, trade.side) == (float(deal["p"]), float(deal["q"]), deal["S"].lower())
    assert (trade.trade_id, trade.first_id, trade.last_id) == (0, 0, 0)


def test_the_vendors_index_price_and_the_mark_price_like_it() -> None:
    sent = example(STREAMS + "prices/index/{market}")
    index = only(parsed(sent), IndexValue)
    mark = only(parsed(sent | {"type": "MP"}), Mark)
    assert (index.event_ns, index.value) == (sent["data"]["ts"] * 1_000_000, float(sent["data"]["p"]))
    assert (mark.event_ns, mark.mark_price, mark.index_price) == (index.event_ns, index.value, 0.0)


def test_a_funding_rate_as_documented() -> None:
    sent = {"ts": 1_701_563_440_000, "data": {"m": NAME, "T": 1_701_563_440_000, "f": "0.001"}, "seq": 2}
    funding = only(parsed(sent), Funding)
    assert (funding.event_ns, funding.rate) == (1_701_563_440_000_000_000, 0.001)


@pytest.mark.parametrize("source", ["documentation", "sdk"])
def test_the_vendors_markets(source: str) -> None:
    sent = (
        reference("extended/x10_sdk_fixtures.json")["market_reply"]
        if source == "sdk"
        else example("GET /api/v1/info/markets?market={market}")
    )
    [row] = sent["data"]
    received_ns = 1_767_323_045_000_000_000
    feed = Extended(channels=["mark"])
    feed.subscribe([NAME])
    records = list(feed.answer(f"market:{NAME}", json.dumps(sent).encode(), received_ns))
    market, mark = only(records, Market), only(records, Mark)
    config, stats = row["tradingConfig"], row["marketStats"]
    assert (market.status, market.base, market.quote) == ("open", "BTC", "USD")
    assert [market.price_step, market.size_step, market.size_least] == [
        float(config[name]) for name in ("minPriceChange", "minOrderSizeChange", "minOrderSize")
    ]
    assert json.loads(market.details)["tradingConfig"] == config
    assert json.loads(market.details)["l2Config"] == row["l2Config"]
    assert [mark.mark_price, mark.index_price, mark.funding_rate] == [
        float(stats[name]) for name in ("markPrice", "indexPrice", "fundingRate")
    ]
    next_s = mark.next_funding_ns / 1e9
    assert next_s == stats["nextFundingRate"] / (1_000 if source == "sdk" else 1)
    assert len(rows(json.dumps(sent).encode())) == 1


def test_a_market_is_told_when_it_changes_and_once_an_hour() -> None:
    [row] = example("GET /api/v1/info/markets?market={market}")["data"]
    feed = Extended(channels=["mark"])
    feed.subscribe([NAME])

    def told(minute: int, **change: str) -> list[float]:
        body = {"status": "OK", "data": [row | {"tradingConfig": row["tradingConfig"] | change}]}
        records = feed.answer(f"market:{NAME}", json.dumps(body).encode(), 1_767_323_045_000_000_000 + minute * MINUTE)
        return [record.price_step for record in records if isinstance(record, Market)]

    step = float(row["tradingConfig"]["minPriceChange"])
    assert [told(minute) for minute in (0, 1, 59)] == [[step], [], []]
    assert [told(minute) for minute in (60, 61, 119)] == [[step], [], []]
    assert told(119, minPriceChange="2.5") == [2.5]
    assert [told(minute) for minute in (121, 122)] == [[step], []]


def test_the_sdks_book_is_passed_on_although_it_is_crossed() -> None:
    sent = reference("extended/x10_sdk_fixtures.json")["orderbook_snapshot"]
    depth = [record for record in parsed(sent) if isinstance(record, Depth)][-1]
    bids, asks = levels(depth)
    assert max(bids) > min(asks)
    assert depth.last_sequence == 570


def test_the_hinted_change_has_its_increments_and_its_sizes() -> None:
    [hint] = reference("extended/orderbook_delta_shape.json")
    change = hint["message"]
    feed = Extended()
    parsed(message("SNAPSHOT", 1, [["42000", "1.5"]], [["42001", "0.8"]]) | {"ts": change["ts"]}, feed)
    depth = only(parsed(change, feed), Depth)
    assert levels(depth) == [{Decimal(42000): Decimal("1.0")}, {Decimal(42001): Decimal("1.1")}]
    assert [int.from_bytes(side, "little", signed=True) for side in (depth.bid_changes, depth.ask_changes)] == [-5, 3]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 1), st.integers(1, 5), st.integers(0, 9), st.booleans()), max_size=4),
        max_size=12,
    )
)
def test_sizes_come_out_the_same_with_and_without_the_venues_own(
    changes: list[list[tuple[int, int, int, bool]]],
) -> None:
    feed, book = Extended(), {(0, 1): 3, (1, 9): 3}
    parsed(message("SNAPSHOT", 1, [["1", "0.03"]], [["9", "0.03"]]), feed)
    for sequence, change in enumerate(changes, 2):
        sides: tuple[list[list[str]], list[list[str]]] = [], []
        wanted: list[list[list[int]]] = [[], []]
        for side, price, size, named in change:
            step = size - book.get((side, price), 0)
            sides[side].append([str(price), f"{step / 100:.2f}", *([f"{size / 100:.2f}"] if named else [])])
            wanted[side].append([price, size])
            book[side, price] = size
        depth = parsed(message("DELTA", sequence, *sides), feed)[0]
        assert isinstance(depth, Depth)
        scale = 10 ** (2 - depth.size_decimals)
        found = [
            [[price, size * scale] for price, size in unpacked(side).tolist()] for side in (depth.bids, depth.asks)
        ]
        assert found == wanted
        assert depth.previous_sequence == sequence - 1


def test_a_resync_takes_a_new_connection() -> None:
    with pytest.raises(Resubscribe) as raised:
        Extended().resync(NAME)
    assert raised.value.cause == "sequence"


def test_where_no_books_are_received_a_broken_frame_ends_nothing() -> None:
    with pytest.raises(Rejected, match="unreadable"):
        Extended(channels=["publicTrades"]).parse("{", 0)
