"""What the Polymarket feed promises beyond single frames, and what it makes of messages and markets that were real."""

import gzip
import json
from collections import Counter

import pytest

from processors.gaps import Gaps
from producers import polymarket_listing as listing
from producers.polymarket import Polymarket
from schemas import Clock, Connect, Depth, Gap, Heartbeat, Market, Record, Rejected, Trade
from schemas.codec import Codec
from schemas.levels import unpacked
from tests.data import recording
from tests.producers.polymarket import (
    NOW_NS,
    SECOND_NS,
    START_S,
    SYMBOL,
    TOKENS,
    body,
    book,
    change,
    following,
    kinds,
    market,
    parse,
    subscribed,
)

CODEC = Codec()


# What is asked for.


def test_a_symbol_without_its_year_is_refused_before_anything_is_connected() -> None:
    with pytest.raises(Rejected, match="lacks its year"):
        Polymarket.shards(["bitcoin-up-or-down-may-13-11pm-et"], ())
    with pytest.raises(Rejected, match="neither a series nor a slug"):
        Polymarket.shards(["BTC-USD"], ())


def test_symbols_are_spread_so_that_no_connection_has_more_than_200_tokens() -> None:
    symbols = [f"{coin}-updown-{duration}" for coin in ("btc", "eth", "sol", "xrp") for duration in ("5m", "1d", "4h")]
    shards = Polymarket.shards(symbols, ())
    assert [len(shard.symbols) for shard in shards] == [10, 2]
    for shard in shards:
        most = max(
            sum(2 * len(listing.windows(symbol, now_ns)) for symbol in shard.symbols)
            for now_ns in range(NOW_NS, NOW_NS + 86_400 * SECOND_NS, 60 * SECOND_NS)
        )
        assert most <= 200


def test_a_series_is_asked_for_by_the_slugs_of_its_windows_every_quarter_of_a_minute() -> None:
    feed = subscribed()
    listed, closed = feed.fetches(NOW_NS + 30 * SECOND_NS)
    slugs = [f"slug={SYMBOL}-{START_S + 300 * window}" for window in range(-2, 6)]
    assert listed.url == f"https://gamma-api.polymarket.com/events?closed=false&{'&'.join(slugs)}"
    assert closed.url == f"https://gamma-api.polymarket.com/events?closed=true&{'&'.join(slugs[:2])}"
    assert feed.fetches(NOW_NS + 31 * SECOND_NS) == []
    assert len(feed.fetches(NOW_NS + 45 * SECOND_NS)) == 2


def test_a_slug_is_asked_for_by_itself() -> None:
    assert [(fetch.tag, fetch.url) for fetch in subscribed("will-it-rain").fetches(NOW_NS)] == [
        ("open:will-it-rain", "https://gamma-api.polymarket.com/markets?closed=false&slug=will-it-rain"),
        ("closed:will-it-rain", "https://gamma-api.polymarket.com/markets?closed=true&slug=will-it-rain"),
    ]


def test_nothing_is_asked_of_markets_that_cannot_be_closed_yet() -> None:
    (fetch,) = subscribed("btc-updown-1d").fetches(NOW_NS)
    assert fetch.tag == "open:btc-updown-1d"


def test_a_new_market_of_a_series_is_listed_at_once() -> None:
    feed = subscribed()
    feed.fetches(NOW_NS)
    parse(feed, json.dumps({"event_type": "new_market", "slug": "will-it-rain", "timestamp": "1"}))
    assert feed.fetches(NOW_NS) == []
    parse(feed, json.dumps({"event_type": "new_market", "slug": f"{SYMBOL}-{START_S + 300}", "timestamp": "1"}))
    assert feed.fetches(NOW_NS)[0].tag == f"open:{SYMBOL}"


# Who joins and leaves.


def test_tokens_join_on_the_open_connection_and_leave_it_some_minutes_after_their_end() -> None:
    feed = following()
    assert [json.loads(frame) for frame in feed.outgoing()] == [
        {"type": "market", "assets_ids": list(TOKENS), "custom_feature_enabled": True}
    ]
    assert feed.outgoing() == []
    later = market(START_S + 300, clobTokenIds='["33","44"]', conditionId="0x2")
    list(feed.answer(f"open:{SYMBOL}", body(market(), later), NOW_NS + 15 * SECOND_NS))
    assert [json.loads(frame) for frame in feed.outgoing()] == [{"operation": "subscribe", "assets_ids": ["33", "44"]}]
    list(feed.answer(f"open:{SYMBOL}", body(later), NOW_NS + 599 * SECOND_NS))
    assert feed.outgoing() == []
    after = market(START_S + 900, clobTokenIds='["55","66"]', conditionId="0x3")
    found = list(feed.answer(f"open:{SYMBOL}", body(after), NOW_NS + 901 * SECOND_NS))
    assert [json.loads(frame) for frame in feed.outgoing()] == [
        {"operation": "subscribe", "assets_ids": ["55", "66"]},
        {"operation": "unsubscribe", "assets_ids": list(TOKENS)},
    ]
    assert [type(record) for record in found[-2:]] == [Connect, Connect]
    assert parse(feed, book()) == []  # late


def test_what_has_ended_is_no_gap_and_what_falls_silent_before_is() -> None:
    minutes = [NOW_NS + minute * 60 * SECOND_NS for minute in range(120)]

    def gaps(records: list[Record], token: str) -> list[Gap]:
        stage = Gaps(f"polymarket:{token}")
        events = [record for record in records if record.key == stage.key and isinstance(record, Connect | Heartbeat)]
        clocks = [Clock(now_ns) for now_ns in minutes if now_ns > records[-1].event_ns]
        return [gap for event in [*events, *clocks] for gap in stage.on_event(event)]

    feed = subscribed()
    records = list(feed.answer(f"open:{SYMBOL}", body(market()), NOW_NS)) + parse(feed, "PONG")
    assert [gap.cause for gap in gaps(records, TOKENS[0])] == ["stall"]
    resolved = {"event_type": "market_resolved", "assets_ids": list(TOKENS), "winning_asset_id": TOKENS[0]}
    records += parse(feed, json.dumps(resolved | {"timestamp": str(START_S * 1000)}))
    assert gaps(records, TOKENS[0]) == gaps(records, TOKENS[1]) == []
    assert [record.outcome for record in records if isinstance(record, Market)] == ["", "", "won", "lost"]


def test_what_was_not_asked_for_is_refused_unless_it_comes_with_what_was() -> None:
    feed = following()
    with pytest.raises(Rejected, match="unknown token '99'"):
        parse(feed, book("99"))
    with pytest.raises(Rejected, match="unknown token '99'"):
        parse(feed, change("1", START_S * 1000, "99"))
    both = json.loads(change("1", START_S * 1000))
    parse(feed, book())
    both["price_changes"].append(both["price_changes"][0] | {"asset_id": "99"})
    assert kinds(parse(feed, json.dumps(both))) == ["delta"]


def test_every_connection_begins_with_what_ended_the_one_before_it() -> None:
    feed = following("stall")
    first = parse(feed, book())
    assert kinds(first) == ["snapshot"]
    found = list(Polymarket("stall").parse(book(), NOW_NS))
    assert kinds(found) == ["Connect", "connect", "snapshot"]
    assert [record.cause for record in found if isinstance(record, Connect | Depth)] == ["stall", "stall", ""]


# Real messages and markets.


def test_every_recorded_message_of_the_channel_gives_the_record_of_its_kind() -> None:
    lines = recording("polymarket/nautilus_rust_fixtures.jsonl").read_text().splitlines()
    messages = {json.loads(line)["file"].rpartition("/")[2]: json.loads(line)["msg"] for line in lines}
    found: dict[str, list[str]] = {}
    for name, message in messages.items():
        if name.startswith("ws_market_"):
            feed = Polymarket()
            found[name] = kinds(list(feed.parse(json.dumps(message), 1_766_790_500 * SECOND_NS)))
    assert found == {
        "ws_market_best_bid_ask_msg.json": [],
        "ws_market_book_msg.json": ["Connect", "connect", "snapshot"],
        "ws_market_last_trade_msg.json": ["Connect", "connect", "Trade"],
        "ws_market_new_market_msg.json": [],
        "ws_market_price_change_msg.json": ["Connect", "connect"],
        "ws_market_resolved_msg.json": [],
        "ws_market_tick_size_msg.json": ["Connect", "connect", "connect"],
    }
    feed = Polymarket()
    for kind in ("book", "price_change", "last_trade"):
        for record in feed.parse(json.dumps(messages[f"ws_market_{kind}_msg.json"]), 1_703_875_203 * SECOND_NS):
            if isinstance(record, Depth) and record.kind == "delta":
                assert unpacked(record.bids).tolist() == [[51, 150]]
                assert (record.best_bid, record.best_ask) == (51, 52)
            if isinstance(record, Trade):
                assert (record.price, record.size, record.side) == (0.51, 25.0, "buy")


def test_a_real_day_of_a_series_is_followed_window_by_window_to_who_won() -> None:
    """Its 292 real markets play the venue: each accepts orders until its end and is resolved 80 s later."""
    with gzip.open(recording("polymarket/btc_updown_5m_markets_2026-07-24.jsonl.gz"), "rt") as lines:
        day = [json.loads(line) for line in lines]
    by_slug = {each["slug"]: each for each in day}
    winners: dict[str, str] = {}
    counts: Counter[str] = Counter()
    followed: set[str] = set()
    feed = subscribed()
    first, last = day[0]["start_sec"], day[-1]["end_sec"] + 900
    for now_s in range(first, last, 60):
        for fetch in feed.fetches(now_s * SECOND_NS):
            (_, which), *asked = [part.split("=") for part in fetch.url.partition("?")[2].split("&")]
            listed = []
            for each in (by_slug[slug] for _, slug in asked if slug in by_slug):
                ended = now_s - each["end_sec"]
                state = {"acceptingOrders": ended < 0, "closed": ended >= 80}
                if ended < 80:
                    state |= {"umaResolutionStatus": None, "outcomePrices": '["0.5", "0.5"]'}
                if state["closed"] is (which == "true"):
                    listed.append(each["raw"] | state)
            if not listed:
                continue
            for record in feed.answer(fetch.tag, body(*listed), now_s * SECOND_NS):
                assert CODEC.decode(CODEC.encode(record)) == record
                counts[type(record).__name__] += 1
                if isinstance(record, Market):
                    counts[record.status] += 1
                    if record.outcome == "won":
                        winners[record.family] = record.base
        for frame in map(json.loads, feed.outgoing()):
            change_of = followed.difference if frame.get("operation") == "unsubscribe" else followed.union
            followed = set(change_of(frame["assets_ids"]))
            assert len(followed) <= 20
    expected = {
        each["condition_id"]: json.loads(each["raw"]["outcomes"])[each["outcome_prices"].index("1")] for each in day
    }
    assert winners == expected
    assert counts["open"] == counts["halted"] == counts["resolved"] == 2 * 292
    assert counts["Market"] == 3 * 2 * 292
    assert counts["Depth"] == 2 * 292
    assert counts["Connect"] == 2 * 2 * 292 + 1  # at the beginning and the end of each token, and the series'
    assert followed == set()


def test_a_pong_says_of_every_token_that_its_channel_lives() -> None:
    found = parse(following(), "PONG")
    assert [(type(record), record.key) for record in found] == [
        (Heartbeat, "polymarket:11"),
        (Heartbeat, "polymarket:22"),
    ]
