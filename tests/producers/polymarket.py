"""Frames and answers of Polymarket, made to order: one market over the window that begins at ``START_S``."""

import json
from typing import Any

from producers.feed import Feed
from producers.polymarket import Polymarket
from producers.polymarket_wire import Level, RestBook, digest
from schemas import Depth, Record

SECOND_NS = 1_000_000_000
START_S = 1_784_850_900  # 2026-07-23 19:55 in New York
NOW_NS = START_S * SECOND_NS
SYMBOL = "btc-updown-5m"
TOKENS = ("11", "22")


def market(start_s: int = START_S, **changes: Any) -> dict[str, Any]:
    ends = f"2026-07-24T00:{(start_s - START_S) // 60:02d}:00Z"
    return {
        "slug": f"{SYMBOL}-{start_s}",
        "conditionId": "0x1",
        "clobTokenIds": json.dumps(TOKENS),
        "outcomes": '["Up", "Down"]',
        "endDate": ends,
        "acceptingOrders": True,
        "orderMinSize": 5,
        "orderPriceMinTickSize": 0.01,
    } | changes


def body(*markets: dict[str, Any]) -> bytes:
    return json.dumps([{"markets": list(markets)}]).encode()


def subscribed(*symbols: str) -> Polymarket:
    feed = Polymarket()
    feed.subscribe(symbols or (SYMBOL,))
    return feed


def following(cause: str = "start") -> Polymarket:
    feed = Polymarket(cause)
    feed.subscribe([SYMBOL])
    list(feed.answer(f"open:{SYMBOL}", body(market()), NOW_NS))
    return feed


def book(token: str = TOKENS[0], at_ms: int = START_S * 1000, **more: Any) -> str:
    levels = {"bids": [{"price": "0.4", "size": "10"}], "asks": [{"price": "0.6", "size": "5"}]}
    return json.dumps(
        {"event_type": "book", "market": "0x1", "asset_id": token, "timestamp": str(at_ms)} | levels | more
    )


def rest_book(at_ms: int, **more: Any) -> bytes:
    whole = RestBook(
        "0x1", TOKENS[0], str(at_ms), "", [Level("0.4", "10")], [Level("0.6", "5")], "5", "0.01", False, "0.5"
    )
    answer = {name: getattr(whole, name) for name in whole.__struct_fields__ if name not in ("bids", "asks")}
    levels = {"bids": [{"price": "0.4", "size": "10"}], "asks": [{"price": "0.6", "size": "5"}]}
    return json.dumps(answer | levels | {"hash": digest(whole)} | more).encode()


def change(size: str, at_ms: int, token: str = TOKENS[0]) -> str:
    entry = {"asset_id": token, "price": "0.45", "size": size, "side": "BUY", "best_bid": "0.45", "best_ask": "0.6"}
    return json.dumps(
        {"event_type": "price_change", "market": "0x1", "price_changes": [entry], "timestamp": str(at_ms)}
    )


def kinds(records: list[Record]) -> list[str]:
    return [record.kind if isinstance(record, Depth) else type(record).__name__ for record in records]


def parse(feed: Feed, frame: str) -> list[Record]:
    return list(feed.parse(frame, NOW_NS))
