"""Hyperliquid's feed: a real recording, and minutes that come once, in order, fetched where they were missed."""

import collections
import itertools
import json
from typing import Any

import zstandard

from producers.feed import Recent
from producers.hyperliquid import Hyperliquid
from producers.session import Session
from schemas import Bar, Connect, DeadLetter, Depth, Heartbeat, Record, Trade
from schemas.codec import Codec
from schemas.levels import unpacked
from tests.data import recording

START_MS = 1_767_355_200_000  # 2026-01-02T12:00:00Z
MINUTE_MS = 60_000
COIN = "xyz:GOLD"


def recorded() -> list[tuple[int, dict[str, Any]]]:
    with zstandard.open(recording("l2/hftbacktest_hyperliquid_btcusd_20250126.txt.zst"), "rt") as lines:
        return [(int(stamp), json.loads(text)) for stamp, text in (line.split(" ", 1) for line in lines)]


def candle(minute: int, close: float = 1.0) -> dict[str, Any]:
    start = START_MS + minute * MINUTE_MS
    numbers = {"o": "1", "h": "9", "l": "1", "c": str(close), "v": "2"}
    return {"t": start, "T": start + MINUTE_MS - 1, "s": COIN, "i": "1m", "n": 3} | numbers


class Venue:
    """Trades from minute to minute; has a candle for each, except those that it does not keep."""

    def __init__(self, empty: frozenset[int] = frozenset()) -> None:
        self.empty = empty
        self.asked: list[tuple[int, int]] = []

    def answer(self, body: str) -> bytes:
        wanted = json.loads(body)["req"]
        assert (wanted["coin"], wanted["interval"]) == (COIN, "1m")
        first, last = ((wanted[name] - START_MS) // MINUTE_MS for name in ("startTime", "endTime"))
        self.asked.append((first, last))
        return json.dumps([candle(minute) for minute in range(first, last + 1) if minute not in self.empty]).encode()


def fetched(session: Session, venue: Venue, now_ns: int) -> list[Record]:
    return [
        record
        for fetch in session.feed.fetches(now_ns)
        for record in session.answer(fetch.tag, venue.answer(fetch.body), now_ns)
    ]


def given(session: Session, minute: int, second: float = 0.5, close: float = 1.0) -> list[Record]:
    received_ns = int((START_MS + minute * MINUTE_MS + second * 1_000) * 1_000_000)
    return session.receive(json.dumps({"channel": "candle", "data": candle(minute, close)}), received_ns)


def minutes(records: list[Record]) -> list[int]:
    """Minutes that bars begin with, from the start."""
    return [(r.event_ns // 1_000_000 - START_MS) // MINUTE_MS - 1 for r in records if isinstance(r, Bar)]


def opened() -> Session:
    session = Session(Hyperliquid, [COIN])
    session.open()
    return session


def test_a_connection_asks_for_every_channel_of_every_coin() -> None:
    requests = [json.loads(request)["subscription"] for request in Hyperliquid().subscribe(["BTC", COIN])]
    assert requests == [
        {"type": "candle", "coin": "BTC", "interval": "1m"},
        {"type": "candle", "coin": COIN, "interval": "1m"},
        *({"type": name, "coin": coin} for name in ("trades", "l2Book") for coin in ("BTC", COIN)),
    ]


def test_a_recording_gives_each_of_its_trades_once() -> None:
    feed, found = Hyperliquid(), []
    for received_ns, message in recorded():
        if message["channel"] == "trades":
            found += [record for record in feed.parse(json.dumps(message), received_ns) if isinstance(record, Trade)]
    sent = [trade for _, message in recorded() if message["channel"] == "trades" for trade in message["data"]]
    assert len(found) == len(sent) == len({(trade["time"], trade["tid"]) for trade in sent})
    assert [(t.instrument, t.event_ns // 1_000_000, t.price, t.size, t.side) for t in found] == [
        (f"hyperliquid:{t['coin']}", t["time"], float(t["px"]), float(t["sz"]), {"A": "sell", "B": "buy"}[t["side"]])
        for t in sent
    ]


def test_takers_sell_at_the_bid_and_buy_at_the_ask_of_the_book_before() -> None:
    bid, ask, held = 0.0, 0.0, collections.Counter[bool]()
    for _, message in recorded():
        if message["channel"] == "l2Book":
            bid, ask = (float(side[0]["px"]) for side in message["data"]["levels"])
        elif len(message["data"]) == 1:  # in a larger one the book may have moved between
            _, record = Hyperliquid().parse(json.dumps(message), message["data"][0]["time"] * 1_000_000)
            assert isinstance(record, Trade)
            held[record.price >= ask if record.side == "buy" else record.price <= bid] += 1
    assert held[True] > 0
    assert not held[False]


def test_a_recording_gives_its_books_exactly_and_a_heartbeat_a_second() -> None:
    feed, found = Hyperliquid(), []
    sent = {m["data"]["time"]: (ns, m) for ns, m in recorded() if m["channel"] == "l2Book"}
    for received_ns, message in sent.values():
        found += list(feed.parse(json.dumps(message), received_ns))
    books = [record for record in found if isinstance(record, Depth) and record.kind == "snapshot"]
    assert [type(record) for record in found[:2]] == [Connect, Depth]
    assert len(books) == len(sent) > 40
    for book, (_, message) in zip(books, sent.values(), strict=True):
        for side, levels in zip((book.bids, book.asks), message["data"]["levels"], strict=True):
            scales = 10.0**-book.price_decimals, 10.0**-book.size_decimals
            exact = [(round(p * scales[0], 9), round(q * scales[1], 9)) for p, q in unpacked(side).tolist()]
            assert exact == [(float(level["px"]), float(level["sz"])) for level in levels]
        assert Codec().decode(Codec().encode(book)) == book
    beats = [record.event_ns for record in found if isinstance(record, Heartbeat)]
    assert min(later - earlier for earlier, later in itertools.pairwise(beats)) >= 1_000_000_000
    assert (max(sent) - min(sent)) / 1_000 / 2 < len(beats) <= (max(sent) - min(sent)) / 1_000 + 1


def test_a_recording_runs_through_the_session() -> None:
    session = Session(Hyperliquid)
    session.open()
    records = [record for ns, message in recorded() for record in session.receive(json.dumps(message), ns)]
    repeats = [record.reason for record in records if isinstance(record, DeadLetter)]
    times = [message["data"]["time"] for _, message in recorded() if message["channel"] == "l2Book"]
    assert len(repeats) == len(times) - len(set(times))
    assert all("repeated: the book of BTC" in reason for reason in repeats)


def test_each_minute_comes_once_with_its_last_state() -> None:
    session = opened()
    records = given(session, 0, 0.5, 2.0) + given(session, 0, 59.5, 3.0) + given(session, 1) + given(session, 2)
    assert minutes(records) == [0, 1]
    assert [record.close for record in records if isinstance(record, Bar)] == [3.0, 1.0]
    assert all(record.received_ns >= record.event_ns for record in records if isinstance(record, Bar))


def test_minutes_missed_between_connections_are_fetched() -> None:
    session, venue = opened(), Venue()
    records = given(session, 0) + given(session, 1)
    session.close("disconnect")
    session.open()
    records += given(session, 7)
    now_ns = (START_MS + 8 * MINUTE_MS) * 1_000_000
    records += fetched(session, venue, now_ns)
    records += given(session, 8)
    assert venue.asked == [(1, 6)]
    assert minutes(records) == list(range(8))
    assert [record.cause for record in records if isinstance(record, Connect)] == ["start", "disconnect"]


def test_a_minute_without_trades_is_asked_for_when_the_venues_time_has_passed_it() -> None:
    session, venue = opened(), Venue()
    records = given(session, 0) + given(session, 1)
    book = {"coin": COIN, "time": START_MS + 3 * MINUTE_MS + 2_000, "levels": [[], []]}
    received_ns = book["time"] * 1_000_000  # type: ignore[operator]
    records += session.receive(json.dumps({"channel": "l2Book", "data": book}), received_ns)
    assert minutes(records) == [0, 1]
    records += fetched(session, venue, received_ns)
    assert venue.asked == [(2, 2)]
    assert minutes(records) == [0, 1, 2]


def test_minutes_that_the_venue_does_not_keep_hold_nothing_back_for_ever() -> None:
    session, venue = opened(), Venue(empty=frozenset({1, 2}))
    records = given(session, 0) + given(session, 3)
    for second in range(0, 60, 10):
        records += fetched(session, venue, (START_MS + 3 * MINUTE_MS + second * 1_000) * 1_000_000)
    records += given(session, 4)
    assert minutes(records) == [0, 3]


def test_without_books_the_answer_to_our_ping_is_a_sign_of_life() -> None:
    feed = Hyperliquid(recent=Recent(), channels=["trades"])
    fill = {"coin": COIN, "side": "A", "px": "1", "sz": "1", "time": START_MS, "tid": 1}
    list(feed.parse(json.dumps({"channel": "trades", "data": [fill]}), START_MS * 1_000_000))
    [beat] = feed.parse('{"channel":"pong"}', START_MS * 1_000_000 + 5)
    assert beat == Heartbeat(f"hyperliquid:{COIN}", START_MS * 1_000_000 + 5, START_MS * 1_000_000 + 5, 0, 0)
    assert json.loads(feed.ping) == {"method": "ping"}


def test_the_greeting_is_no_message() -> None:
    assert list(Hyperliquid().parse("Websocket connection established.", 0)) == []
