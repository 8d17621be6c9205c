"""Feeds without a websocket in the shell: Pyth's stream of events and its fallback, and the sky, which has no venue."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence

import pytest
from pydantic import SecretStr

from infra.errors import UserError
from producers.esof import GRID_NS, Esof
from producers.feed import Feed
from producers.keys import Keys
from producers.pyth import IDS, Pyth
from producers.transport import Transport
from schemas import Connect, Ephemeris, IndexValue, Record
from tests.http_venue import Answer, Events, HttpVenue
from tests.producers.running import QUICK, running

KEYS = Keys({"pyth_key": SecretStr("abc")})
BTC = "Crypto.BTC/USD"


def update(price: int) -> str:
    fields = {"price": str(price), "conf": "1", "expo": 0, "publish_time": int(time.time())}
    return json.dumps({"binary": {}, "parsed": [{"id": IDS[BTC], "price": fields}]})


def run(
    make: type[Feed],
    symbol: str,
    until: Callable[[list[Record]], bool],
    script: dict[str, Sequence[Answer | Events]],
    channels: Sequence[str] = (),
) -> tuple[list[Record], HttpVenue]:
    async def session() -> tuple[list[Record], HttpVenue]:
        records: list[Record] = []
        async with HttpVenue(script) as venue:
            transport = Transport(
                make,
                [symbol],
                records.append,
                channels=channels,
                keys=KEYS,
                url=venue.url if make.url and not channels else "",
                fetch_url=venue.url,
                clock_interval_ns=0,
                backoff=QUICK,
            )
            async with running(transport, lambda: until(records)):
                return list(records), venue

    return asyncio.run(session())


def values(records: list[Record]) -> list[float]:
    return [record.value for record in records if isinstance(record, IndexValue)]


def test_pyths_stream_is_read_with_the_key_and_taken_up_again_when_it_ends() -> None:
    event = "data:{}\n\n"
    script: dict[str, Sequence[Answer | Events]] = {
        "/v2/updates/price/stream": [
            Events([event.format(update(2)), ":keep-alive\n\n", event.format(update(3))]),
            Events([event.format(update(4)), 5.0]),
        ],
        "/v2/updates/price/latest": [Answer(404)],
    }
    records, venue = run(Pyth, BTC, lambda found: 4.0 in values(found), script)
    assert values(records) == [2.0, 3.0, 4.0]
    assert [record.cause for record in records if isinstance(record, Connect)] == ["start", "disconnect"]
    assert {request.headers["authorization"] for request in venue.requests} == {"Bearer abc"}
    streams = [request.target for request in venue.requests if "/stream" in request.target]
    assert set(streams) == {f"/v2/updates/price/stream?ids[]={IDS[BTC]}&parsed=true"}


def test_pyths_prices_are_fetched_where_there_is_no_stream() -> None:
    script: dict[str, Sequence[Answer | Events]] = {
        "/v2/updates/price/latest": [Answer(body=update(5).encode()), Answer(503), Answer(body=update(6).encode())]
    }
    records, _ = run(Pyth, BTC, lambda found: 6.0 in values(found), script, channels=["latest"])
    assert values(records) == [5.0, 6.0]


def test_pyth_without_its_key_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(UserError, match="TIDEMILL_PYTH_KEY"):
        Transport(Pyth, [BTC], lambda record: None)
    with pytest.raises(UserError, match="pyth knows no 'BTC'"):
        Transport(Pyth, ["BTC"], lambda record: None, keys=KEYS)


def test_the_sky_is_given_without_a_venue() -> None:
    now_ns = time.time_ns()
    records, venue = run(Esof, "EARTH", lambda found: any(isinstance(record, Ephemeris) for record in found), {})
    (sky,) = [record for record in records if isinstance(record, Ephemeris)]
    assert now_ns - GRID_NS < sky.event_ns <= time.time_ns()
    assert venue.requests == []
