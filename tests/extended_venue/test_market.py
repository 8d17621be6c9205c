"""The loopback venue itself: its market is the one that our feed reads, and its checks bite."""

import asyncio
import contextlib
from decimal import Decimal
from typing import Any

import pytest

from consumers.gateways.venue import Refused
from infra.errors import UserError
from producers.extended import Extended as Feed
from producers.transport import Transport
from schemas import Depth, Mark, Record, Trade
from schemas.levels import unpacked
from tests.consumers.gateways.running import ask, venue_client
from tests.extended_venue.account import MARKET
from tests.extended_venue.market import Player, generated, recorded, repeated
from tests.extended_venue.server import ExtendedVenue
from tests.waiting import until_true


def test_our_feed_follows_the_market_that_the_venue_plays() -> None:
    async def run() -> list[Record]:
        market, steps = generated(30.0)
        records: list[Record] = []
        async with ExtendedVenue(markets=[market]) as venue:
            base = venue.hosts.stream.partition("/stream")[0]
            transport = Transport(Feed, ["ETH-USD"], records.append, url=base, fetch_url=venue.url)
            following = asyncio.create_task(transport.run())
            await until_true(lambda: len(venue.public) == len(Feed.default_channels) and all(venue.public.values()))
            await Player(venue, "ETH-USD", steps, speed=20.0).run()
            await until_true(lambda: told(records, venue))
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        return records

    records = asyncio.run(run())
    assert sum(isinstance(record, Depth) and record.kind == "snapshot" for record in records) == 1


def told(records: list[Record], venue: ExtendedVenue) -> bool:
    """Whether the last that the venue has of its book, and all kinds of records, have come."""
    sides = books(records)
    best = (max(sides[0]), min(sides[1])) if all(sides) else None
    return best == venue.exchange.best["ETH-USD"] and {Depth, Mark, Trade} <= {type(record) for record in records}


def books(records: list[Record]) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
    """The book after all depths."""
    sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = {}, {}
    for depth in (record for record in records if isinstance(record, Depth)):
        for side, levels in zip(sides, (depth.bids, depth.asks), strict=True):
            if depth.kind == "snapshot":
                side.clear()
            for price, size in unpacked(levels).tolist():
                side[Decimal(price).scaleb(-depth.price_decimals)] = Decimal(size)
    return tuple({price: size for price, size in side.items() if size} for side in sides)  # type: ignore[return-value]


def test_a_recorded_market_goes_on_for_as_long_as_it_is_wanted() -> None:
    market, steps = recorded()
    assert market["tradingConfig"]["minPriceChange"] == "0.1"
    whole = list(repeated(steps, 3_600.0))
    assert whole[-1].at_s > 3_590.0
    assert [step.at_s for step in whole] == sorted(step.at_s for step in whole)
    assert sum(step.trade is not None for step in whole) > 6_000


SPOILT: dict[str, tuple[dict[str, Any], str]] = {
    "nonce": ({"nonce": "1"}, "1101"),
    "price": ({"price": "1990.1"}, "1125"),
    "size": ({"qty": "0.0005"}, "1121"),
    "least": ({"qty": "0.001"}, "1120"),
    "fee": ({"fee": "0.0001"}, "1123"),
    "cap": ({"price": "2200"}, "1141"),
    "expiry": ({"expiryEpochMillis": 1}, "1127"),
    "market": ({"market": "BTC-USD"}, "1001"),
    "side": ({"side": "SELL"}, "1101"),
    "id": ({"id": "other"}, ""),  # the id is not signed
}


@pytest.mark.parametrize("name", SPOILT)
def test_the_venue_refuses_an_order_that_is_not_as_it_was_signed_or_breaks_a_rule(name: str) -> None:
    change, code = SPOILT[name]

    async def run() -> None:
        async with ExtendedVenue() as venue:
            client = venue_client(venue, iter(range(1_000, 2_000)).__next__)
            await client.open()
            prepared = client.prepare(ask("id-1"))
            prepared.body.update(change)
            with pytest.raises(Refused, match=f"^{code} ") if code else contextlib.nullcontext():
                await client.place(prepared)
            again = client.prepare(ask("id-2"))
            await client.place(again)
            with pytest.raises(Refused, match="1130"):  # the same nonce
                await client.place(again)
            await client.close()

    asyncio.run(run())


def test_a_wrong_key_opens_nothing() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            client = venue_client(venue, lambda: 1)
            client._client._client.headers["X-Api-Key"] = "another"
            with pytest.raises(UserError, match="Unauthorized"):
                await client.open()
            await client.close()

    asyncio.run(run())
    assert MARKET["name"] == "ETH-USD"
