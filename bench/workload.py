"""The work: a seeded market of 100 instruments as records of the topic ``ticks``, and what has to come out of it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from processors.buckets import Buckets
from processors.chain import EventChain
from processors.emas import Emas
from processors.jump_losses import JumpLosses
from schemas import Clock, Record, Tick
from schemas.codec import Codec
from schemas.columns import Keys, tables

CHAIN = [Buckets, Emas, JumpLosses]
INSTRUMENTS = 100
TICKS_PER_BUCKET = 5.0
WIDTH_NS = 160_000_000
CLOCK_NS = 100_000_000
START_NS = 1_764_028_800_000_000_000  # 2025-11-25


class Workload(NamedTuple):
    """Some ticks with clocks among them, in log order, and the right outputs."""

    ticks: int
    records: list[Record]

    def expected(self) -> dict[str, dict[bytes, list[bytes]]]:
        """For each derived topic and key the values that must stand there, in order."""
        chain = EventChain(CHAIN)
        derived = [record for event in self.records for record in chain.on_event(event)[0]]
        found: dict[str, dict[bytes, list[bytes]]] = {}
        for record, value in zip(derived, encoded(derived), strict=True):
            found.setdefault(record.topic, {}).setdefault(record.key.encode(), []).append(value)
        return found


def encoded(records: list[Record]) -> list[bytes]:
    """The bytes of each record."""
    codec, keys = Codec(), Keys()
    values: list[bytes] = [b""] * len(records)
    for table in tables(enumerate(records), keys):
        for place, value in zip(table.cause.tolist(), codec.encode_table(table, keys).to_list(), strict=True):
            values[place] = value
    return values


def workload(ticks: int, seed: int = 1) -> Workload:
    """A market of ``ticks`` ticks, each instrument's last one closing its last full bucket."""
    return Workload(ticks, list(_with_clocks(_ticks(ticks, seed))))


def _with_clocks(ticks: Iterator[Tick]) -> Iterator[Record]:
    """A clock every 100 ms; none after the last round of ticks, so that ticks alone close the same buckets."""
    now = START_NS + CLOCK_NS
    held: list[Tick] = []
    for tick in ticks:
        held.append(tick)
        if len(held) > INSTRUMENTS:
            first = held.pop(0)
            while first.event_ns >= now:
                yield Clock(event_ns=now)
                now += CLOCK_NS
            yield first
    yield from held


def _ticks(count: int, seed: int) -> Iterator[Tick]:
    random = np.random.default_rng(seed)
    spacing = WIDTH_NS / TICKS_PER_BUCKET / INSTRUMENTS
    times = START_NS + np.sort(random.uniform(0.0, spacing * count, count)).astype(np.int64)
    codes = random.integers(0, INSTRUMENTS, count)
    codes[-INSTRUMENTS:] = np.arange(INSTRUMENTS)
    times[-INSTRUMENTS:] = times[-1] + 2 * WIDTH_NS
    received = times + random.integers(500_000, 4_000_000, count)
    mids = np.empty(count)
    for code in range(INSTRUMENTS):
        rows = np.flatnonzero(codes == code)
        mids[rows] = (10.0 + 30.0 * code) * np.exp(np.cumsum(random.normal(0.0, 1e-4, len(rows))))
    bids = np.round(mids * 0.9999, 2)
    asks = np.round(mids * 1.0001, 2) + 0.01
    sizes = np.round(random.exponential(2.0, (3, count)), 6)
    sides = random.integers(0, 2, count)
    names = [f"bench:I{code:03}-USD" for code in range(INSTRUMENTS)]
    trades = [0] * INSTRUMENTS
    columns = (codes, times, received, bids, asks, sides, *sizes)
    for sequence, row in enumerate(zip(*(column.tolist() for column in columns), strict=True), 1):
        code, event_ns, received_ns, bid, ask, side, bid_size, ask_size, size = row
        trades[code] += 1
        yield Tick(
            names[code], event_ns, received_ns, bid, ask, bid_size, ask_size, ask if side else bid, size,
            "buy" if side else "sell", sequence, trades[code],
        )  # fmt: skip
