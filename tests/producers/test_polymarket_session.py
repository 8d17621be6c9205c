"""Polymarket's feed in the shell, against a venue on this machine: listing, subscription, a wrong book, a lost link."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from producers.polymarket import Polymarket
from producers.polymarket_windows import Series
from producers.polymarket_wire import Level, RestBook, digest
from producers.transport import Transport
from schemas import Connect, Depth, Gap, Heartbeat, Market, Record
from tests.http_venue import Answer, HttpVenue
from tests.loopback import Drop, Loopback, Pause, Script
from tests.producers.running import QUICK, running, set_clock

SYMBOL = "eth-updown-1d"
NOW_S = 1_780_000_000  # four hours after the window's beginning
WINDOW = Series("eth", "1d").window(NOW_S)
NOW_MS = NOW_S * 1000


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, NOW_S)


def iso(at_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


LISTING = json.dumps(
    [
        {
            "markets": [
                {
                    "slug": WINDOW.slug,
                    "conditionId": "0x1",
                    "clobTokenIds": '["11","22"]',
                    "outcomes": '["Up","Down"]',
                    "eventStartTime": iso(WINDOW.start_s),
                    "endDate": iso(WINDOW.end_s),
                    "acceptingOrders": True,
                    "orderMinSize": 5,
                }
            ]
        }
    ]
).encode()


def book(size: str = "10", at_ms: int = NOW_MS) -> dict[str, Any]:
    """A book of token 11 whose hash is that of one with 10 at its bid."""
    whole = RestBook("0x1", "11", str(at_ms), "", [Level("0.4", "10")], [], "5", "0.01", False, "0.5")
    return json.loads(json.dumps({name: getattr(whole, name) for name in ("market", "asset_id", "timestamp")})) | {
        "hash": digest(whole),
        "bids": [{"price": "0.4", "size": size}],
        "asks": [],
        "min_order_size": "5",
        "tick_size": "0.01",
        "neg_risk": False,
        "last_trade_price": "0.5",
    }


def sent(message: dict[str, Any]) -> str:
    return json.dumps(
        {"event_type": "book"} | {key: message[key] for key in message if key not in ("min_order_size", "neg_risk")}
    )


def change(size: str, at_ms: int) -> str:
    entry = {"asset_id": "11", "price": "0.41", "size": size, "side": "BUY", "best_bid": "0.41", "best_ask": "1"}
    return json.dumps({"event_type": "price_change", "price_changes": [entry], "timestamp": str(at_ms)})


def run(script: Script, answers: dict[str, list[Answer]], until: Callable[[list[Record]], bool]) -> Any:
    async def session() -> Any:
        records: list[Record] = []
        async with Loopback(script) as sockets, HttpVenue(answers) as pages:
            transport = Transport(
                Polymarket,
                [SYMBOL],
                records.append,
                url=sockets.url,
                fetch_url=pages.url,
                clock_interval_ns=0,
                backoff=QUICK,
            )
            async with running(transport, lambda: until(records)):
                return list(records), sockets.requests, pages.requests

    return asyncio.run(session())


def depths(records: list[Record]) -> list[tuple[str, bool]]:
    return [
        (record.kind, record.verified)
        for record in records
        if isinstance(record, Depth) and record.instrument == "polymarket:11"
    ]


def test_a_wrong_book_is_dropped_fetched_and_brought_up_to_date() -> None:
    script = [[sent(book("9")), change("7", NOW_MS + 1), Pause(0.3), change("8", NOW_MS + 2)]]
    answers = {
        "/events": [Answer(503), Answer(body=LISTING)],
        "/book": [Answer(404), Answer(body=json.dumps(book()).encode(), wait_s=0.05)],
    }
    records, requests, pages = run(script, answers, lambda found: depths(found)[-2:] == [("delta", False)] * 2)
    assert depths(records) == [
        ("connect", False),
        ("connect", False),
        ("snapshot", True),
        ("delta", False),
        ("delta", False),
    ]
    assert json.loads(requests[0][0])["assets_ids"] == ["11", "22"]
    assert [type(record) for record in records[:2]] == [Connect, Heartbeat]
    assert {record.base for record in records if isinstance(record, Market)} == {"Up", "Down"}
    assert {page.headers["user-agent"].partition("/")[0] for page in pages} == {"Mozilla"}
    assert not any(isinstance(record, Gap) for record in records)


def test_a_lost_connection_finds_its_markets_and_books_again() -> None:
    script = [[sent(book()), Drop()], [sent(book())]]
    records, requests, _ = run(
        script,
        {"/events": [Answer(body=LISTING)]},
        lambda found: depths(found).count(("snapshot", True)) == 2,
    )
    assert [json.loads(frames[0])["assets_ids"] for frames in requests] == [["11", "22"]] * 2
    causes = [
        record.cause for record in records if isinstance(record, Connect) and record.instrument == "polymarket:11"
    ]
    assert causes == ["start", "disconnect"]
    kinds = [kind for kind, _ in depths(records)]
    assert kinds[0] == "connect"
    assert kinds[-2:] == ["connect", "snapshot"]
