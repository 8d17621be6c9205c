"""Feeds in the shell against a venue here that drops and skips: what it offers again comes, the rest is told.

Times are today's, for feeds refuse what lies more than a day from its receipt.
"""

import asyncio
import contextlib
import itertools
import json
import pathlib
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from processors.gaps import Gaps
from producers.coinbase_matches import CoinbaseMatches
from producers.deribit import Deribit
from producers.extended import Extended
from producers.feed import Feed
from producers.frames import Recorder
from producers.frames import records as played
from producers.hyperliquid import Hyperliquid
from producers.transport import Transport
from schemas import Bar, Clock, Connect, Depth, Gap, Heartbeat, IndexValue, Record, Tick, Trade
from tests.http_venue import Answer, HttpVenue, Request
from tests.loopback import Close, Drop, Loopback, Script
from tests.producers.running import QUICK, running

NOW_S = int(time.time())
MINUTE = NOW_S // 60
COIN = "xyz:GOLD"
Answers = Mapping[str, Sequence[Answer | Callable[[Request], Answer]]]
Requests = list[list[str | bytes]]  # what was sent on each connection


def run(
    make: type[Feed],
    symbol: str,
    script: Script,
    answers: Answers,
    until: Callable[[list[Record], Requests], bool],
    channels: Sequence[str] = (),
    *,
    waits: bool = True,
    keep: pathlib.Path | None = None,
) -> tuple[list[Record], Requests]:
    """Records of a feed, in order, and what clients sent on each connection; ``keep`` is where to record it."""

    async def session() -> tuple[list[Record], Requests]:
        records: list[Record] = []
        async with Loopback(script, waits=waits) as sockets, HttpVenue(answers) as pages:
            settings: dict[str, Any] = {"url": sockets.url, "fetch_url": pages.url, "clock_interval_ns": 0}
            recorder = kept.enter_context(Recorder(keep)) if keep else None
            transport = Transport(
                make, [symbol], records.append, channels=channels, backoff=QUICK, recorder=recorder, **settings
            )
            async with running(transport, lambda: until(records, sockets.requests)):
                return list(records), sockets.requests

    with contextlib.ExitStack() as kept:
        return asyncio.run(session())


def moment(number: int) -> str:
    """When a trade of this number happened: a second for each."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW_S - 100 + number))


def deal(number: int) -> dict[str, Any]:
    return {"trade_id": number, "time": moment(number), "price": "10", "size": "1", "side": "sell"}


def match(number: int, kind: str = "match") -> str:
    return json.dumps({"type": kind, "product_id": "ETH-USD"} | deal(number))


def heartbeat(last: int, at: int) -> str:
    beat = {"type": "heartbeat", "sequence": 9, "last_trade_id": last, "product_id": "ETH-USD", "time": moment(at)}
    return json.dumps(beat)


def ids(records: list[Record]) -> list[int]:
    return [record.trade_id for record in records if isinstance(record, Trade)]


def ledger(records: list[Record]) -> list[Gap]:
    stage = Gaps("coinbase_matches:ETH-USD")
    rows: list[Gap] = []
    for record in records:
        if isinstance(record, Tick | Heartbeat | Connect | Clock | Trade):
            rows += stage.on_event(record)
    return rows


def test_trades_missed_over_drops_and_jumps_come_in_order_and_the_ledger_lists_those_the_venue_has_lost(
    tmp_path: pathlib.Path,
) -> None:
    lost = {50, 51}

    def page(request: Request) -> Answer:
        query = {name: int(text) for name, text in urllib.parse.parse_qsl(urllib.parse.urlsplit(request.target).query)}
        numbers = [number for number in range(query["after"] - 1, 0, -1) if number not in lost]
        return Answer(body=json.dumps([deal(number) for number in numbers[: query["limit"]]]).encode())

    script: Script = [
        [match(10, "last_match"), match(11), match(12), Drop(match(13))],
        [match(40, "last_match"), match(41), match(45), heartbeat(47, 47), heartbeat(47, 48), Close()],
        [match(60, "last_match"), heartbeat(60, 60), match(61), heartbeat(61, 62), heartbeat(61, 63)],
    ]
    pages: list[Answer | Callable[[Request], Answer]] = [
        Answer(503),
        Answer(429, headers={"Retry-After": "0"}),
        Answer(body=b"[{", cut=1),
        page,
    ]
    records, _ = run(
        CoinbaseMatches,
        "ETH-USD",
        script,
        {"/products/ETH-USD/trades": pages},
        lambda found, _: ids(found)[-1:] == [61],
        keep=tmp_path / "trades.jsonl",
    )
    assert ids(records) == [number for number in range(10, 62) if number not in lost]
    assert [record.cause for record in records if isinstance(record, Connect)] == ["start", "disconnect", "disconnect"]
    missed = [(row.expected, row.seen, row.missed) for row in ledger(records) if row.missed]
    assert missed == [(50, 52, 2)]
    again = list(played(tmp_path / "trades.jsonl", CoinbaseMatches, ["ETH-USD"]))
    assert again[: len(records)] == records


def candle(minute: int) -> dict[str, Any]:
    start = minute * 60_000
    numbers = {"o": "1", "h": "2", "l": "1", "c": "2", "v": "3"}
    return {"t": start, "T": start + 59_999, "s": COIN, "i": "1m", "n": 4} | numbers


def sent(minute: int) -> str:
    return json.dumps({"channel": "candle", "data": candle(minute)})


def ends(records: list[Record]) -> list[int]:
    return [record.event_ns // 60_000_000_000 for record in records if isinstance(record, Bar)]


def test_minutes_missed_over_a_drop_are_fetched_by_post(tmp_path: pathlib.Path) -> None:
    def candles(request: Request) -> Answer:
        wanted = json.loads(request.body)["req"]
        assert (request.method, wanted["coin"], wanted["interval"]) == ("POST", COIN, "1m")
        minutes = range(-(-wanted["startTime"] // 60_000), wanted["endTime"] // 60_000 + 1)
        return Answer(body=json.dumps([candle(minute) for minute in minutes]).encode())

    script: Script = [
        [sent(MINUTE - 20), sent(MINUTE - 19), sent(MINUTE - 18), Drop()],
        [sent(MINUTE - 9), sent(MINUTE - 8)],
    ]
    answers: Answers = {"/info": [Answer(500), candles]}
    records, requests = run(
        Hyperliquid,
        COIN,
        script,
        answers,
        lambda found, _: ends(found)[-1:] == [MINUTE - 8],
        ["candle"],
        keep=tmp_path / "minutes.jsonl",
    )
    assert ends(records) == list(range(MINUTE - 19, MINUTE - 7))
    assert all(json.loads(sent[0])["subscription"]["coin"] == COIN for sent in requests)
    assert list(played(tmp_path / "minutes.jsonl", Hyperliquid, [COIN]))[: len(records)] == records


def test_a_test_request_is_answered_on_the_socket() -> None:
    data = {"timestamp": NOW_S * 1000, "volatility": 50.5, "index_name": "btc_usd"}
    value = {"method": "subscription", "params": {"channel": "deribit_volatility_index.btc_usd", "data": data}}
    asked = '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'

    def tested(found: list[Record], requests: Requests) -> bool:
        return any("public/test" in str(frame) for sent in requests for frame in sent)

    channels = ["deribit_volatility_index"]
    records, requests = run(Deribit, "btc_usd", [[asked, json.dumps(value)]], {}, tested, channels)
    methods = [json.loads(frame)["method"] for frame in requests[0]]
    assert methods == ["public/set_heartbeat", "public/subscribe", "public/test"]
    assert [record.value for record in records if isinstance(record, IndexValue)] in ([], [50.5])


def levels(kind: str, sequence: int) -> str:
    data = {"m": "BTC-USD", "b": [{"p": "9", "q": "1", "c": "1"}], "a": []}
    return json.dumps({"type": kind, "ts": NOW_S * 1000, "seq": sequence, "data": data})


def test_a_book_that_skips_a_message_begins_anew_on_another_connection() -> None:
    script = [[levels("SNAPSHOT", 1), levels("DELTA", 2), levels("DELTA", 4)], [levels("SNAPSHOT", 1)]]

    def kinds(found: list[Record]) -> list[str]:
        """In their order, repeats as one: the end of a connection is told when it comes and when the next begins."""
        told = [f"{record.kind} {record.cause}".strip() for record in found if isinstance(record, Depth)]
        return [kind for kind, _ in itertools.groupby(told)]

    records, _ = run(
        Extended, "BTC-USD", script, {}, lambda found, _: len(kinds(found)) >= 5, ["orderbooks"], waits=False
    )
    assert kinds(records) == ["connect start", "snapshot", "delta", "connect sequence", "snapshot"]
    assert [record.cause for record in records if isinstance(record, Connect)] == ["start", "sequence"]
