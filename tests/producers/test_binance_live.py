"""The Binance feed in the shell, on a venue of this machine: nothing lost that it offers again, the rest in the ledger.

The ledger is the stage ``Gaps`` over the records that the shell gave.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable

import pytest

from processors.gaps import Gaps
from producers import conversation, rotation
from producers.backoff import Backoff
from producers.binance import Binance
from producers.binance_futures import BinanceFutures
from producers.transport import Transport
from schemas import Connect, DeadLetter, Depth, Funding, Gap, Heartbeat, Record, TakerVolume, Tick, Trade
from schemas.levels import unpacked
from tests.http_venue import Answer, HttpVenue
from tests.producers.binance_venue import FIRST_ID, Exchange
from tests.producers.running import set_clock
from tests.waiting import PATIENCE_S

SYMBOLS = ("ETHUSDT", "BTCUSDT")
QUICK = Backoff(base_s=0.02, cap_s=0.1, spacing_s=0.02)
Play = Callable[[Exchange, list[Record]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "LINGER_S", 0.15)
    monkeypatch.setattr(conversation, "TICK_S", 0.05)


def run(play: Play) -> tuple[list[Record], Exchange]:
    """What the shell gives of two symbols while ``play`` does things to the venue."""

    async def both() -> tuple[list[Record], Exchange]:
        records: list[Record] = []
        async with Exchange(SYMBOLS) as venue:
            transport = Transport(
                Binance,
                SYMBOLS,
                records.append,
                channels=["trade", "depth@100ms"],
                url=venue.url,
                fetch_url=venue.fetch_url,
                clock_interval_ns=0,
                backoff=QUICK,
            )
            running = asyncio.create_task(transport.run())
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await more(records)
                    await play(venue, records)
                    await more(records)
                    assert not running.done(), running.exception()
                    seen = list(records)
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
        return seen, venue

    return asyncio.run(both())


async def more(records: list[Record], count: int = 50) -> None:
    """Wait for more trades and diffs of each symbol."""

    def come() -> list[int]:
        return [
            sum(isinstance(record, kind) and record.key == f"binance:{symbol}" for record in records)
            for symbol in SYMBOLS
            for kind in (Trade, Depth)
        ]

    enough = [had + count for had in come()]
    while not all(has >= wanted for has, wanted in zip(come(), enough, strict=True)):
        await asyncio.sleep(0.01)


def ids(records: list[Record], symbol: str) -> list[int]:
    return [trade.trade_id for trade in records if isinstance(trade, Trade) and trade.key == f"binance:{symbol}"]


def ledger(records: list[Record], symbol: str) -> list[Gap]:
    stage = Gaps(f"binance:{symbol}")
    kinds = Tick, Trade, Heartbeat, Connect
    return [
        gap
        for record in records
        if isinstance(record, kinds) and record.key == stage.key
        for gap in stage.on_event(record)
    ]


def check_books(records: list[Record], symbol: str) -> list[str]:
    """Follow the book as the venue makes it; what began it anew."""
    causes: list[str] = []
    sizes: dict[int, int] = {}
    last = -1
    for depth in (record for record in records if isinstance(record, Depth) and record.key == f"binance:{symbol}"):
        if depth.kind == "connect":
            if last >= 0 or not causes:  # the shell says it when the connection ends, the feed when the next begins
                causes.append(depth.cause)
            last = -1
            continue
        if depth.kind == "snapshot":
            sizes = {}
        else:
            assert 0 <= last < depth.last_sequence
            assert depth.first_sequence <= last + 1
        last = depth.last_sequence
        scale = 10**depth.price_decimals
        sizes |= {price // scale: size // 10**depth.size_decimals for price, size in unpacked(depth.bids).tolist()}
        assert sizes == {100 + number % 5: number for number in range(max(last - 4, 1), last + 1)}
    return causes


def test_drops_and_gaps_lose_no_trade_and_every_book_begins_anew() -> None:
    async def play(venue: Exchange, records: list[Record]) -> None:
        for _ in range(3):
            venue.cut()
            await more(records)
        venue.muted = {venue.number + 5, *range(venue.number + 20, venue.number + 40)}
        await more(records, 100)

    records, venue = run(play)
    for symbol in SYMBOLS:
        seen = ids(records, symbol)
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert seen[0] <= FIRST_ID + 10
        gaps = ledger(records, symbol)
        assert [gap.cause for gap in gaps] == ["disconnect"] * 3
        assert all(gap.recovered and gap.missed == 0 for gap in gaps)
        assert check_books(records, symbol) == ["start", *["disconnect"] * 3, "sequence", "sequence"]
    assert not any(isinstance(record, DeadLetter) for record in records)
    assert set(venue.handshakes) == {"/stream?timeUnit=MICROSECOND"}


def test_what_the_venue_does_not_offer_again_stands_in_the_ledger() -> None:
    async def play(venue: Exchange, records: list[Record]) -> None:
        gone = range(venue.number + 10, venue.number + 20)
        venue.muted = set(gone)
        venue.lost = {FIRST_ID + number for number in gone if number % 10 < 7}
        await more(records, 200)

    records, venue = run(play)
    for symbol in SYMBOLS:
        seen = ids(records, symbol)
        assert seen == sorted(set(range(seen[0], seen[-1] + 1)) - venue.lost)
        gaps = ledger(records, symbol)
        missed = {number for gap in gaps for number in range(gap.expected, gap.seen)}
        assert missed == venue.lost
        assert sum(gap.missed for gap in gaps) == len(venue.lost)
        assert {gap.cause for gap in gaps} == {"missed"}


def test_a_shutdown_that_is_announced_is_no_gap() -> None:
    async def play(venue: Exchange, records: list[Record]) -> None:
        await venue.shut_down()

    records, venue = run(play)
    assert len(venue.handshakes) == 2
    for symbol in SYMBOLS:
        seen = ids(records, symbol)
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert ledger(records, symbol) == []
        assert check_books(records, symbol) == ["start"]
    assert sum(isinstance(record, Connect) for record in records) == len(SYMBOLS)


def test_what_futures_give_over_rest_only_needs_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    start_ms = 1_764_000_000_000
    set_clock(monkeypatch, start_ms // 1_000 + 60)
    volumes = [{"buyVol": "2", "sellVol": "1", "timestamp": start_ms - 300_000 * back} for back in (3, 2, 1, 0)]
    settled = [{"symbol": "BTCUSDT", "fundingTime": start_ms - 3_600_000, "fundingRate": "0.0001", "markPrice": "9"}]

    async def both() -> tuple[list[Record], list[str]]:
        records: list[Record] = []
        pages = {"/futures/data/takerlongshortRatio": volumes, "/fapi/v1/fundingRate": settled}
        script = {path: [Answer(503), Answer(body=json.dumps(rows).encode())] for path, rows in pages.items()}
        async with HttpVenue(script) as venue:
            transport = Transport(
                BinanceFutures,
                ["BTCUSDT"],
                records.append,
                channels=["funding", "taker_volume"],
                fetch_url=venue.url,
                clock_interval_ns=0,
                backoff=QUICK,
            )
            running = asyncio.create_task(transport.run())
            async with asyncio.timeout(PATIENCE_S):
                while sum(isinstance(record, Heartbeat) for record in records) < 2:
                    await asyncio.sleep(0.01)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            return records, venue.targets()

    records, targets = asyncio.run(both())
    ends = [record.event_ns // 1_000_000 for record in records if isinstance(record, TakerVolume)]
    assert ends == [start_ms - 300_000 * back for back in (2, 1, 0)]
    assert [record.rate for record in records if isinstance(record, Funding)] == [0.0001]
    assert sum(isinstance(record, Connect) for record in records) == 1
    assert len(targets) == 4
