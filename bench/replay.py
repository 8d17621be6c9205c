"""Replay in process on one core: the columnar path from the archive, and the path through ``on_event``.

    python -m bench.replay

Processor time of all threads is counted, not the clock, so that a busy machine shows the same.
Chain buckets, emas, jump_losses over a temporary archive of seeded ticks of four instruments, a clock every 100 ms.
The busy market has some 100 ticks a second and instrument, 16 to a bucket; the even one 5 to a bucket, as that of the
race has (bench/workload.py); the quiet one 7 a second, so that nearly each closes a bucket.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
from numpy.typing import NDArray

from infra import archive as files
from processors.buckets import Buckets
from processors.emas import Emas
from processors.jump_losses import JumpLosses
from processors.replay.replay import Replay, needs
from processors.replay.sources import archive
from processors.stage import stages
from processors.wiring import StageType, plan
from schemas import Clock, Tick
from schemas.batch import LINEAGE

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
CHAIN: list[StageType] = [Buckets, Emas, JumpLosses]
TICKS = 2_000_000
BLOCK = 250_000  # ticks in a file
EVENTS = 300_000  # ticks for the slow path
START_NS = 1_764_072_000_000_000_000
REPEATS = 3
MARKETS = {"busy": 400.0, "even": 125.0, "quiet": 30.0}  # ticks a second over all instruments
COLUMNAR, ON_EVENT = 1_000_000, 150_000  # ticks/s that are wanted


def build(root: Path, count: int, rate: float) -> None:
    """An archive of so many ticks, ``rate`` a second over four instruments, and of clocks."""
    chance = np.random.default_rng(5)
    event_ns, mid, offset = START_NS, 3_000.0, 0
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        times = event_ns + np.cumsum(chance.exponential(1e9 / rate, size).astype(np.int64) + 1)
        mids = mid * np.exp(np.cumsum(chance.normal(0.0, 2e-5, size)))
        clocks = np.arange(event_ns // 10**8 + 1, times[-1] // 10**8 + 1) * 10**8
        moments = np.concatenate([times, clocks])
        order = np.argsort(moments, kind="stable")
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(offset, offset + len(order))
        day = "2025-11-25"
        files.write(root, Tick.table, 0, day, ticks(times, mids, places[:size], first, chance))
        files.write(root, Clock.table, 0, day, pl.DataFrame({"event_ns": clocks} | lineage(places[size:], clocks)))
        event_ns, mid, offset = int(times[-1]), float(mids[-1]), offset + len(order)


def ticks(
    times: np.ndarray, mids: np.ndarray, places: np.ndarray, first: int, chance: np.random.Generator
) -> pl.DataFrame:
    """Rows of the table ``ticks``."""
    size = len(times)
    names = pl.Series([f"bench:{name}-USD" for name in ("ETH", "BTC", "SOL", "XRP")])
    fields = {
        "instrument": names.gather(chance.integers(0, 4, size)),
        "event_ns": times,
        "received_ns": times + 15_000_000,
        "bid": np.round(mids, 2),
        "ask": np.round(mids, 2) + 0.01,
        "bid_size": chance.exponential(1.0, size),
        "ask_size": chance.exponential(1.0, size),
        "price": np.round(mids, 2),
        "size": chance.exponential(0.1, size),
        "side": pl.Series(["buy", "sell"]).gather(chance.integers(0, 2, size)),
        "sequence": np.arange(first, first + size),
        "trade_id": np.zeros(size, np.int64),
    }
    return pl.DataFrame(fields | lineage(places, times))


def lineage(places: Ints, times: Ints) -> dict[str, object]:
    """Lineage columns of raw records, each its own cause."""
    values = {name: np.zeros(len(places), np.int64) for name in LINEAGE}
    values |= {"_offset": places, "_cause_offset": places, "_kafka_ns": times, "_produced_ns": times}
    return {**values, "_cause_topic": pl.repeat("ticks", len(places), eager=True)}


def measure(root: Path, chain: Sequence[StageType], events: bool, most: int) -> tuple[float, int]:
    """Ticks a second of processor time, of all threads together, and the number of derived records, made and placed."""
    machine = Replay(chain, events=events)
    wanted = None if events else needs(plan(chain)["ticks"])
    count = derived = 0
    began = time.process_time()
    for run in archive.runs(root, "ticks", wanted):
        derived += sum(map(len, machine.take(run)))
        count += sum(len(table) for table in run.batch.tables if table.record is Tick)
        if count >= most:
            break
    return count / (time.process_time() - began), derived


def typical(root: Path, chain: Sequence[StageType], events: bool, most: int) -> float:
    """The median of some repeats, after one that compiles and warms the files."""
    measure(root, chain, events, BLOCK)
    return median(measure(root, chain, events, most)[0] for _ in range(REPEATS))


def figures(count: int = TICKS) -> Iterator[tuple[str, float]]:
    """Name and ticks a second of each path over each market."""
    for market, rate in MARKETS.items():
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            build(root, count, rate)
            yield f"{market}: columns", typical(root, CHAIN, False, count)
            yield f"{market}: columns, every stage", typical(root, stages(), False, count)
            yield f"{market}: on_event", typical(root, CHAIN, True, min(count, EVENTS))


def main(count: int = TICKS) -> bool:
    """Print the figures; whether the even market's reach what is wanted."""
    found = dict(figures(count))
    for name, rate in found.items():
        slow = found[f"{name.partition(':')[0]}: on_event"]
        print(f"{name:30} {rate:12,.0f} ticks/s   {rate / slow:5.1f} x on_event")
    reached = [
        _verdict("columns", found["even: columns"], COLUMNAR),
        _verdict("on_event", found["even: on_event"], ON_EVENT),
    ]
    return all(reached)


def _verdict(path: str, rate: float, wanted: float) -> bool:
    print(f"wanted of the even market by {path}: {wanted:,} {'reached' if rate >= wanted else 'MISSED'}")
    return rate >= wanted


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
