"""What the Binance feeds promise beyond single frames: requests, shards, what is fetched, and books that break."""

import json
import urllib.parse
from typing import Any

import pytest

from producers.agenda import Fetch
from producers.binance import LOOK_NS, REQUEST_MOST, STREAMS_MOST, Binance
from producers.binance_agg import BinanceAgg
from producers.binance_books import AGAIN_NS, LATER_NS
from producers.binance_futures import BinanceFutures
from producers.binance_polls import LAG_NS, PERIOD_NS
from producers.feed import Feed, Recent, Repeated, Resubscribe
from producers.refill import PATIENCE_NS
from schemas import Bar, Connect, Depth, Funding, Heartbeat, Record, Rejected, TakerVolume, Tick, Trade
from schemas.codec import Codec
from tests.producers.binance import (
    START_NS,
    agg_trade,
    agg_trade_row,
    confirmed,
    depth,
    kline,
    kline_row,
    quote,
    snapshot,
    trade,
    trade_row,
)

BOOK = ("depth@100ms",)


def parse(feed: Feed, frame: str | bytes, now_ns: int = START_NS) -> list[Record]:
    return list(feed.parse(frame, now_ns))


def answer(feed: Feed, fetch: Fetch, body: Any, now_ns: int = START_NS) -> list[Record]:
    return list(feed.answer(fetch.tag, body if isinstance(body, bytes) else json.dumps(body).encode(), now_ns))


def subscribed(make: type[Feed], *channels: str, symbols: tuple[str, ...] = ("ETHUSDT",), **known: Any) -> Feed:
    feed = make(channels=channels, **known)
    feed.subscribe(symbols)
    return feed


def query(fetch: Fetch) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(fetch.url).query))


def kinds(records: list[Record]) -> list[str]:
    return [record.kind if isinstance(record, Depth) else type(record).__name__ for record in records]


def numbers(records: list[Record]) -> list[int]:
    return [record.trade_id for record in records if isinstance(record, Trade)]


# Requests and shards.


def test_symbols_are_asked_for_in_lower_case_and_named_in_upper_case() -> None:
    feed = Binance(channels=["trade"])
    assert json.loads(feed.subscribe(["ethusdt", "BTCUSDT", "ETHUSDT"])[0])["params"] == [
        "ethusdt@trade",
        "btcusdt@trade",
    ]
    assert [record.key for record in parse(feed, confirmed())] == ["binance:ETHUSDT", "binance:BTCUSDT"]
    assert parse(feed, confirmed()) == []
    assert kinds(parse(feed, trade(1))) == ["Trade"]


def test_symbols_are_spread_so_that_no_connection_and_no_request_is_too_large() -> None:
    symbols = [f"S{number}USDT" for number in range(1_000)]
    shards = Binance.shards(symbols, ["trade", "bookTicker", "kline_1m"])
    assert [symbol for shard in shards for symbol in shard.symbols] == symbols
    for shard in shards:
        requests = [json.loads(text) for text in Binance(channels=shard.channels).subscribe(shard.symbols)]
        assert len(requests) <= 5
        assert all(len(request["params"]) <= REQUEST_MOST for request in requests)
        assert (
            len({name for request in requests for name in request["params"]}) == 3 * len(shard.symbols) <= STREAMS_MOST
        )
        assert len({request["id"] for request in requests}) == len(requests)


def test_each_request_confirms_its_own_symbols() -> None:
    symbols = tuple(f"S{number}USDT" for number in range(REQUEST_MOST))
    feed = subscribed(Binance, "trade", "bookTicker", symbols=symbols)
    assert [len(parse(feed, confirmed(number))) for number in (1, 2)] == [REQUEST_MOST // 2] * 2


def test_futures_have_an_address_for_books_and_quotes_one_for_the_rest_and_none_for_what_is_fetched() -> None:
    channels = ["markPrice@1s", "depth@100ms", "aggTrade", "bookTicker", "funding"]
    shards = BinanceFutures.shards(["BTCUSDT"], channels)
    assert [(BinanceFutures.address(shard), shard.channels) for shard in shards] == [
        ("wss://fstream.binance.com/public/stream", ("depth@100ms", "bookTicker")),
        ("wss://fstream.binance.com/market/stream", ("markPrice@1s", "aggTrade", "funding")),
    ]
    (polled,) = BinanceFutures.shards(["BTCUSDT"], ["funding", "taker_volume"])
    assert BinanceFutures.address(polled) == ""
    assert BinanceFutures(channels=polled.channels).subscribe(["BTCUSDT"]) == []


@pytest.mark.parametrize("frame", ['{"error":{"code":2,"msg":"no"},"id":1}', '{"code":2,"msg":"no"}'])
def test_a_refused_request_ends_the_connection(frame: str) -> None:
    with pytest.raises(Resubscribe, match="venue says: 2: no") as refusal:
        parse(subscribed(Binance, "trade"), frame)
    assert refusal.value.cause == "error"


@pytest.mark.parametrize("frame", [trade(1, "BTCUSDT"), quote(1)])
def test_a_stream_that_was_not_asked_for_is_refused(frame: str) -> None:
    with pytest.raises(Rejected, match="was not asked for"):
        parse(subscribed(Binance, "trade"), frame)


def test_str_and_bytes_and_any_order_of_fields_give_the_same() -> None:
    turned = json.dumps(dict(reversed(json.loads(trade(7)).items())))
    frames: list[str | bytes] = [trade(7), trade(7).encode(), turned, f" {turned}".encode()]
    assert len({tuple(map(repr, parse(Binance(), frame))) for frame in frames}) == 1


def test_the_stream_of_a_frame_is_known_by_all_of_its_name() -> None:
    feed = Binance()
    parse(feed, trade(7))
    for frame in (trade(8, "ETHUSDT2"), trade(8, "2ETHUSDT"), trade(8, "ÄTHUSDT")):
        assert len({record.key for record in parse(feed, frame)} - {"binance:ETHUSDT"}) == 1


def test_silence_is_a_stall_sooner_where_quotes_come_than_where_only_trades_do() -> None:
    assert Binance().silence() < Binance(channels=["trade"]).silence()
    assert BinanceFutures().silence() < BinanceFutures(channels=["funding"]).silence() > 2 * PERIOD_NS / 1e9


# What was missed.

PAGES = [(Binance, "trade", trade, trade_row), (BinanceAgg, "aggTrade", agg_trade, agg_trade_row)]
each_kind = pytest.mark.parametrize(("make", "channel", "live", "row"), PAGES, ids=["trade", "aggTrade"])


@each_kind
def test_trades_missed_over_a_reconnection_are_fetched_in_pages_and_given_in_order(
    make: type[Feed], channel: str, live: Any, row: Any
) -> None:
    recent = Recent()
    parse(subscribed(make, channel, recent=recent), live(10))
    feed = subscribed(make, channel, recent=recent, cause="disconnect")
    assert kinds(parse(feed, live(1_512))) == ["Connect"]
    assert parse(feed, live(1_513)) == []
    given: list[int] = []
    for first in (11, 1_011):
        (fetch,) = feed.fetches(START_NS)
        asked = query(fetch)
        assert asked == {"symbol": "ETHUSDT", "fromId": str(first), "limit": str(min(1_000, 1_512 - first))}
        rows = [row(number) for number in range(first, first + int(asked["limit"]))]
        given += numbers(answer(feed, fetch, rows))
    assert given == list(range(11, 1_514))
    assert list(feed.fetches(START_NS + PATIENCE_NS)) == []
    assert numbers(parse(feed, live(1_514))) == [1_514]


@each_kind
def test_a_hole_within_a_connection_is_filled_too_and_other_symbols_go_on(
    make: type[Feed], channel: str, live: Any, row: Any
) -> None:
    feed = subscribed(make, channel, symbols=("ETHUSDT", "BTCUSDT"))
    for number in (1, 2, 5):
        parse(feed, live(number))
    assert numbers(parse(feed, live(70, "BTCUSDT"))) == [70]
    (fetch,) = feed.fetches(START_NS)
    assert numbers(answer(feed, fetch, [row(3), row(4)])) == [3, 4, 5]


def test_trades_that_cannot_be_fetched_hold_the_live_ones_back_for_a_while_only() -> None:
    feed = subscribed(Binance, "trade")
    for number in (1, 5, 6):
        parse(feed, trade(number))
    assert list(feed.tick(START_NS + PATIENCE_NS)) == []
    assert numbers(list(feed.tick(START_NS + PATIENCE_NS + 1))) == [5, 6]
    assert list(feed.fetches(START_NS + 2 * PATIENCE_NS)) == []
    assert numbers(parse(feed, trade(7))) == [7]


def test_a_repeat_of_a_trade_is_known_over_connections_and_one_of_a_quote_within_its_own() -> None:
    recent = Recent()
    for expected in ([Connect, Trade, Tick], [Connect, Tick]):
        feed = subscribed(Binance, "trade", "bookTicker", recent=recent)
        assert [type(record) for frame in (trade(10), quote(20)) for record in first(feed, frame)] == expected
        for frame in (trade(10), trade(9), quote(20), quote(19)):
            with pytest.raises(Repeated):
                parse(feed, frame)


def first(feed: Feed, frame: str) -> list[Record]:
    """Records of a frame, none of a repeat."""
    try:
        return parse(feed, frame)
    except Repeated:
        return []


def test_bars_that_closed_between_connections_are_fetched_and_those_missing_within_one_are_not() -> None:
    recent, minute = Recent(), START_NS // 60_000_000_000 - 60
    parse(subscribed(Binance, "kline_1m", recent=recent), kline(minute))
    feed = subscribed(Binance, "kline_1m", recent=recent)
    assert kinds(parse(feed, kline(minute + 3))) == ["Connect"]
    (fetch,) = feed.fetches(START_NS)
    start_ms = (minute + 1) * 60_000
    assert query(fetch) == {"symbol": "ETHUSDT", "interval": "1m", "startTime": str(start_ms),
                            "endTime": str(start_ms + 119_999), "limit": "1000"}  # fmt: skip
    bars = answer(feed, fetch, [kline_row(minute + 1), kline_row(minute + 2)])
    assert [bar.event_ns // 60_000_000_000 - 1 - minute for bar in bars] == [1, 2, 3]
    assert all(isinstance(bar, Bar) for bar in bars)
    assert kinds(parse(feed, kline(minute + 9))) == ["Bar"]


# Books.

LEVEL = [["3000.10", "1.5"]]


def joined(feed: Feed, last: int = 100) -> list[Record]:
    records = parse(feed, depth(last - 1, last + 1, LEVEL))
    (fetch,) = feed.fetches(START_NS)
    return records + answer(feed, fetch, snapshot(last, LEVEL))


def test_a_book_begins_with_a_snapshot_that_its_first_diff_overlaps() -> None:
    records = joined(subscribed(Binance, *BOOK))
    assert kinds(records) == ["Connect", "connect", "snapshot", "delta"]
    deltas = [record for record in records if isinstance(record, Depth)]
    assert [(record.first_sequence, record.last_sequence) for record in deltas] == [(0, 0), (100, 100), (99, 101)]
    assert all(Codec().decode(Codec().encode(record)) == record for record in records)


def test_a_snapshot_is_asked_for_once_the_first_diff_is_there_and_again_when_none_came() -> None:
    feed = subscribed(Binance, *BOOK)
    assert list(feed.fetches(START_NS)) == []
    parse(feed, depth(1, 2))
    (fetch,) = feed.fetches(START_NS)
    assert (fetch.weight, query(fetch)) == (250, {"limit": "5000", "symbol": "ETHUSDT"})
    assert list(feed.fetches(START_NS + AGAIN_NS - LOOK_NS)) == []
    assert list(feed.fetches(START_NS + AGAIN_NS)) == [fetch]


def test_a_snapshot_older_than_the_first_diff_is_asked_for_again() -> None:
    feed = subscribed(Binance, *BOOK)
    parse(feed, depth(101, 102))
    (fetch,) = feed.fetches(START_NS)
    assert answer(feed, fetch, snapshot(99)) == []
    assert list(feed.fetches(START_NS + LATER_NS - LOOK_NS)) == []
    assert list(feed.fetches(START_NS + LATER_NS)) == [fetch]
    assert kinds(answer(feed, fetch, snapshot(100))) == ["snapshot", "delta"]


def test_a_broken_chain_is_told_at_once_and_mended_for_that_symbol_only() -> None:
    feed = subscribed(Binance, *BOOK, symbols=("ETHUSDT", "BTCUSDT"))
    joined(feed)
    parse(feed, depth(1, 2, symbol="BTCUSDT"))
    (other,) = feed.fetches(START_NS)
    answer(feed, other, snapshot(1))
    broken = parse(feed, depth(103, 104, LEVEL))
    assert [(record.kind, record.cause) for record in broken if isinstance(record, Depth)] == [("connect", "sequence")]
    assert kinds(parse(feed, depth(3, 3, symbol="BTCUSDT"))) == ["delta"]
    (fetch,) = feed.fetches(START_NS)
    assert query(fetch)["symbol"] == "ETHUSDT"
    assert kinds(answer(feed, fetch, snapshot(104))) == ["snapshot"]
    assert kinds(parse(feed, depth(105, 105))) == ["delta"]


def test_a_resync_fetches_a_new_snapshot_and_says_that_the_book_began_anew() -> None:
    feed = subscribed(Binance, *BOOK)
    joined(feed)
    assert feed.resync("ETHUSDT") == []
    (fetch,) = feed.fetches(START_NS)
    records = answer(feed, fetch, snapshot(101))
    assert [(record.kind, record.cause) for record in records if isinstance(record, Depth)] == [
        ("connect", "sequence"),
        ("snapshot", ""),
    ]
    assert kinds(parse(feed, depth(102, 102))) == ["delta"]


def test_an_unreadable_diff_changes_nothing_and_breaks_the_chain_at_the_next() -> None:
    feed = subscribed(Binance, *BOOK)
    joined(feed)
    with pytest.raises(Rejected):
        parse(feed, depth(102, 102, [["nan", "1"]]))
    assert kinds(parse(feed, depth(103, 103))) == ["connect"]


def test_diffs_of_futures_are_chained_by_the_one_before() -> None:
    feed = subscribed(BinanceFutures, *BOOK)
    parse(feed, depth(90, 95, pu=80))
    parse(feed, depth(120, 130, pu=95))
    (fetch,) = feed.fetches(START_NS)
    records = answer(feed, fetch, snapshot(97))
    assert [record.previous_sequence for record in records if isinstance(record, Depth)] == [-1, 97]
    (delta,) = parse(feed, depth(150, 151, pu=130))
    assert isinstance(delta, Depth)
    assert delta.previous_sequence == 130
    assert kinds(parse(feed, depth(160, 161, pu=155))) == ["connect"]


# What futures give over REST only.


def test_polls_begin_at_once_with_a_full_page_and_then_follow_the_intervals() -> None:
    feed = subscribed(BinanceFutures, "funding", "taker_volume", symbols=("BTCUSDT",))
    funding, volumes = feed.fetches(START_NS)
    assert (query(funding)["limit"], query(volumes)["limit"]) == ("100", "500")
    start_ms = START_NS // PERIOD_NS * 300_000
    rows = [{"buyVol": "2", "sellVol": "1", "timestamp": start_ms - 300_000 * back} for back in (2, 1, 0)]
    records = answer(feed, volumes, rows)
    assert kinds(records) == ["Connect", "Heartbeat", "TakerVolume", "TakerVolume"]
    ends = [record.event_ns for record in records if isinstance(record, TakerVolume)]
    assert ends == [(start_ms - 300_000) * 1_000_000, start_ms * 1_000_000]
    (connect, *_) = records
    assert isinstance(connect, Connect)
    assert connect.quiet_ms > PERIOD_NS // 1_000_000
    due_ns = START_NS // PERIOD_NS * PERIOD_NS + PERIOD_NS + LAG_NS
    assert list(feed.fetches(due_ns - 1_000_000_000)) == []
    again = feed.fetches(due_ns)[1]
    assert query(again)["limit"] == "3"
    assert kinds(answer(feed, again, rows, due_ns)) == ["Heartbeat", "TakerVolume"]
    assert kinds(answer(feed, again, rows, due_ns)) == ["Heartbeat"]


def test_a_funding_that_was_settled_comes_once_over_connections() -> None:
    recent, rows = Recent(), [{"symbol": "BTCUSDT", "fundingTime": 1_767_312_000_000, "fundingRate": "0.0001"}]
    for expected in (["Connect", "Heartbeat", "Funding"], ["Connect", "Heartbeat"]):
        feed = subscribed(BinanceFutures, "funding", symbols=("BTCUSDT",), recent=recent)
        (fetch,) = feed.fetches(START_NS)
        records = answer(feed, fetch, rows)
        assert kinds(records) == expected
        assert all(isinstance(record, Connect | Heartbeat | Funding) for record in records)
