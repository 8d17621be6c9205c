"""Coinbase's trades: what a real recording holds, and nothing lost over drops and reconnects that the venue offers."""

import json
import urllib.parse

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import frames
from producers.coinbase_matches import CoinbaseMatches
from producers.refill import LAG_NS, PATIENCE_NS, TRIES
from producers.session import Session
from schemas import Connect, DeadLetter, Record, Trade
from tests.data import recording

SECOND_NS = 1_000_000_000
START_NS = 1_767_323_046_000_000_000
FIELDS = {"time": "2026-01-02T03:04:06Z", "price": "10", "size": "1", "side": "sell"}


class Venue:
    """Has traded up to an id; offers trades again, newest first, except those that it has lost."""

    def __init__(self, inclusive: bool = False, lost: frozenset[int] = frozenset()) -> None:
        self.last = 0
        self.inclusive = inclusive
        self.lost = lost

    def match(self, kind: str = "match") -> str:
        return json.dumps({"type": kind, "product_id": "ETH-USD", "trade_id": self.last, **FIELDS})

    def trade(self) -> str:
        self.last += 1
        return self.match()

    def page(self, url: str) -> bytes:
        query = {name: int(text) for name, text in urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)}
        end = query["after"] + self.inclusive
        numbers = [n for n in range(min(end, self.last + 1) - 1, 0, -1) if n not in self.lost]
        return json.dumps([{"trade_id": number, **FIELDS} for number in numbers[: query["limit"]]]).encode()


def fetched(session: Session, venue: Venue, now_ns: int = START_NS) -> list[Record]:
    return [
        record
        for fetch in session.feed.fetches(now_ns)
        for record in session.answer(fetch.tag, venue.page(fetch.url), now_ns)
    ]


def ids(records: list[Record]) -> list[int]:
    return [record.trade_id for record in records if isinstance(record, Trade)]


def test_a_recording_gives_each_match_once_with_the_takers_side() -> None:
    path = recording("coinbase/cryptofeed_level2_ticker_matches.jsonl.zst")
    found = [record for record in frames.records(path, CoinbaseMatches) if isinstance(record, Trade)]
    rows = pl.read_ndjson(path, schema={"recv": pl.Float64, "msg": pl.Struct({
        name: pl.String if name != "trade_id" else pl.Int64
        for name in ("type", "product_id", "trade_id", "side", "price", "size", "last_size", "time")
    })}).unnest("msg")  # fmt: skip
    matches = rows.filter(pl.col("type").is_in(["match", "last_match"])).with_columns(
        pl.col("price", "size").cast(pl.Float64), pl.col("time").str.to_datetime(time_unit="ns", time_zone="UTC")
    )
    assert len(found) == len(matches) == 79 + 6
    assert [(trade.instrument.partition(":")[2], trade.trade_id, trade.price, trade.size) for trade in found] == list(
        matches.select("product_id", "trade_id", "price", "size").iter_rows()
    )
    assert [trade.event_ns for trade in found] == matches["time"].dt.epoch("ns").to_list()
    tickers = rows.filter(pl.col("type") == "ticker").unique(["product_id", "trade_id"])
    taken = {(product, number): side for product, number, side in tickers["product_id", "trade_id", "side"].iter_rows()}
    compared = [
        (trade.side, taken[key])
        for trade in found
        if (key := (trade.instrument.partition(":")[2], trade.trade_id)) in taken
    ]
    assert len(compared) >= 79
    assert all(ours == theirs for ours, theirs in compared)


@given(st.lists(st.sampled_from(["seen", "dropped", "reconnect"]), max_size=60), st.booleans(), st.booleans())
def test_nothing_is_lost_that_the_venue_offers_again(events: list[str], inclusive: bool, eager: bool) -> None:
    venue, session = Venue(inclusive), Session(CoinbaseMatches, ["ETH-USD"])
    session.open()
    records = session.receive(venue.trade(), START_NS)
    for event in events:
        frame = venue.trade()
        if event == "seen":
            records += session.receive(frame, START_NS)
        elif event == "reconnect":
            session.close("disconnect")
            session.open()
            records += session.receive(venue.match("last_match"), START_NS)
        records += fetched(session, venue) if eager else []
    records += session.receive(venue.trade(), START_NS)
    for _ in range(len(events) + 1):
        records += fetched(session, venue)
    assert ids(records) == list(range(1, venue.last + 1))
    assert not [record for record in records if isinstance(record, DeadLetter)]


def test_a_hole_longer_than_a_page_is_filled_page_by_page() -> None:
    venue, session = Venue(), Session(CoinbaseMatches, ["ETH-USD"])
    session.open()
    records = session.receive(venue.trade(), START_NS)
    venue.last += 2_500
    records += session.receive(venue.trade(), START_NS)
    sizes = []
    while more := fetched(session, venue):
        sizes.append(len(more))
        records += more
    assert sizes == [999, 999, 503]
    assert ids(records) == list(range(1, venue.last + 1))


def test_trades_that_the_venue_has_lost_show_as_a_jump_and_hold_nothing_back_for_ever() -> None:
    venue, session = Venue(lost=frozenset({3, 4})), Session(CoinbaseMatches, ["ETH-USD"])
    session.open()
    records = session.receive(venue.trade(), START_NS)
    venue.last += 4
    records += session.receive(venue.trade(), START_NS)
    for attempt in range(TRIES + 1):
        records += fetched(session, venue, START_NS + attempt * LAG_NS)
    assert ids(records) == [1, 2, 5, 6]


@pytest.mark.parametrize(("later_ns", "expected"), [(PATIENCE_NS, [1]), (PATIENCE_NS + 1, [1, 3])])
def test_a_venue_that_never_answers_is_waited_for_a_minute(later_ns: int, expected: list[int]) -> None:
    venue, session = Venue(), Session(CoinbaseMatches, ["ETH-USD"])
    session.open()
    records = session.receive(venue.trade(), START_NS)
    venue.trade()
    records += session.receive(venue.trade(), START_NS)
    records += session.feed.tick(START_NS + later_ns)
    assert ids(records) == expected


def test_each_connection_says_what_ended_the_one_before() -> None:
    venue, session = Venue(), Session(CoinbaseMatches, ["ETH-USD"])
    session.open()
    records = session.receive(venue.trade(), START_NS)
    session.close("stall")
    session.open()
    records += session.receive(venue.match("last_match"), START_NS)
    assert [record.cause for record in records if isinstance(record, Connect)] == ["start", "stall"]
    assert ids(records) == [1]
