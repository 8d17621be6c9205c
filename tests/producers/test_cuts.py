"""Frames cut out of a recording, over a real socket and through reconnects, are exactly what the gap ledger tells."""

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import Callable

import pytest

from processors.gaps import Gaps
from producers import frames
from producers.backoff import Backoff
from producers.coinbase import Coinbase
from producers.simulator import timestamp
from producers.transport import Transport
from schemas import Clock, Connect, DeadLetter, Gap, Heartbeat, Record, Tick
from tests.data import recording
from tests.loopback import Action, Drop, Loopback
from tests.producers import venue
from tests.waiting import PATIENCE_S

RECORDING = "coinbase/eth_usd_ticker_2025-11-25.jsonl.zst"
LENGTH = 600
Row = tuple[str, int, int, int, bool]  # cause, expected, seen, missed, recovered
DROPPED, SKIPPED, REPEATED = "disconnect", "missed", "repeated"


def written() -> list[str]:
    return [venue.ticker(trade_id) for trade_id in range(1, LENGTH + 1)]


def recorded() -> list[str]:
    """The first stretch of the recording without a gap of the recorder's own."""
    stretch: list[str] = []
    last = 0
    for frame, _ in frames.read(recording(RECORDING), Coinbase()):
        assert isinstance(frame, bytes)
        trade_id = json.loads(frame)["trade_id"]
        if trade_id != last + 1:
            stretch = []
        stretch.append(frame.decode())
        last = trade_id
        if len(stretch) == LENGTH:
            return stretch
    raise AssertionError(f"the recording has no {LENGTH} trades in a row")


def now(frame: str) -> str:
    """The frame as if it were sent now: the feed refuses one whose time is years away."""
    return json.dumps(json.loads(frame) | {"time": timestamp(time.time_ns())})


def trade_id(frame: str) -> int:
    return int(json.loads(frame)["trade_id"])


def cut(stretch: list[str], seed: int) -> tuple[list[list[Action]], list[Row], int]:
    """A script that leaves out or repeats frames at eight places, the ledger it must give, and how many it repeats."""
    chance = random.Random(seed)
    ids = [trade_id(frame) for frame in stretch]
    places = sorted(chance.sample(range(20, LENGTH - 20, 20), 8))
    script: list[list[Action]] = [[venue.subscriptions("ETH-USD")]]
    rows: list[Row] = []
    repeats = at = 0
    for number, place in enumerate(places):
        script[-1] += map(now, stretch[at:place])
        kind = (DROPPED, SKIPPED, REPEATED)[number % 3]
        lost = 0 if kind == REPEATED else chance.randrange(0 if kind == DROPPED else 1, 15)
        at = place + lost
        if kind != SKIPPED:
            script[-1].append(Drop(now(stretch[place])))
            script.append([venue.subscriptions("ETH-USD")])
            rows.append((DROPPED, ids[place], ids[at], lost, lost == 0))
        else:
            rows.append((SKIPPED, ids[place], ids[at], lost, False))
        if kind == REPEATED:
            script[-1] += map(now, stretch[place - 5 : place])
            repeats += 5
    script[-1] += map(now, stretch[at:])
    return script, rows, repeats


async def played(script: list[list[Action]], last: int) -> list[Record]:
    records: list[Record] = []
    done = asyncio.Event()

    def emit(record: Record) -> None:
        records.append(record)
        if isinstance(record, Tick) and record.trade_id == last:
            done.set()

    async with Loopback(script) as loopback:
        quick = Backoff(base_s=0.01, cap_s=0.01, spacing_s=0.0)
        transport = Transport(Coinbase, ["ETH-USD"], emit, url=loopback.url, backoff=quick)
        running = asyncio.create_task(transport.run())
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    return records


@pytest.mark.parametrize("source", [written, recorded])
@pytest.mark.parametrize("seed", range(3))
def test_the_ledger_tells_the_cuts_and_nothing_else(source: Callable[[], list[str]], seed: int) -> None:
    stretch = source()
    script, expected, repeats = cut(stretch, seed)
    records = asyncio.run(played(script, trade_id(stretch[-1])))
    stage = Gaps("coinbase:ETH-USD")
    taken = [record for record in records if isinstance(record, Tick | Heartbeat | Connect | Clock)]
    ledger = list(itertools.chain.from_iterable(stage.on_event(record) for record in taken))
    assert [(gap.cause, gap.expected, gap.seen, gap.missed, gap.recovered) for gap in ledger] == expected
    assert any(isinstance(record, Clock) for record in records)
    assert all(isinstance(gap, Gap) and 0 < gap.from_ns <= gap.to_ns for gap in ledger)
    assert [record.reason.split(":")[0] for record in records if isinstance(record, DeadLetter)] == [
        "repeated"
    ] * repeats
