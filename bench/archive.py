"""The archive read back into columns on one core, beside what one would read the same files with instead.

    python -m bench.archive

Processor time of all threads is counted, not the clock, so that a busy machine shows the same. Ours gives batches of
all partitions merged by the time of writing, every row once, a row group at a time; the others give the rows of a
partition sorted by offset, all in memory at once, for that is how they sort: polars.scan_parquet and pyarrow.dataset,
and neither drops what two files hold. Each runs in a process of its own, one after the other; ratios are of rounds in
which both ran. Fresh files hold 10,000 rows of all keys; "by key" is the same archive put together.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import pyarrow.dataset

from bench.replay import lineage
from infra import archive as files
from infra.archive_compaction import compact
from processors.replay.merging import merged
from processors.replay.sources import archive
from schemas import Heartbeat, Record, Tick, Trade
from schemas.columns import Keys

ROWS = 1_000_000  # and as many times more as a mix says
FILE = 10_000  # rows in a fresh file, over all tables
PARTITIONS = 2
ROUNDS = 3
START_NS = 1_764_028_800_000_000_000
WANTED = 1_000_000  # records/s
ONE_CORE = {**os.environ, "POLARS_MAX_THREADS": "1"}  # threads that pass work to one another use up more than one does
MIXES: dict[str, tuple[tuple[type[Record], ...], int, int]] = {  # records, instruments, times the rows
    "ticks of 4 instruments": ((Tick,), 4, 1),
    "trades of 4 instruments": ((Trade,), 4, 1),
    "a mix of 400 instruments": ((Tick, Trade, Heartbeat), 400, 6),  # a quarter of an hour of the load that we promise
}


def build(root: Path, records: tuple[type[Record], ...], keys: int, count: int) -> None:
    """A day of so many rows, spread over the tables of some records at random."""
    chance = np.random.default_rng(11)
    for partition in range(PARTITIONS):
        names = pl.Series([f"simulator:S{number:03}-USD" for number in range(partition, keys, PARTITIONS)])
        now_ns = START_NS
        for first in range(0, count // PARTITIONS, FILE):
            offsets = np.arange(first, first + FILE)
            times = now_ns + np.cumsum(chance.integers(1, 20_000, FILE))
            now_ns = int(times[-1])
            kinds = chance.integers(0, len(records), FILE)
            for number, record in enumerate(records):
                own = np.flatnonzero(kinds == number)
                rows = _rows(record, names, offsets[own], times[own], chance)
                files.write(root, record.table, partition, "2025-11-25", rows)


def _rows(
    record: type[Record], names: pl.Series, offsets: np.ndarray, times: np.ndarray, chance: np.random.Generator
) -> pl.DataFrame:
    size = len(offsets)
    prices = np.round(3_000.0 + np.cumsum(chance.normal(0.0, 0.02, size)), 2)
    special: dict[str, Any] = {
        "instrument": names.gather(chance.integers(0, len(names), size)),
        "side": pl.Series(["buy", "sell"]).gather(chance.integers(0, 2, size)),
        "event_ns": times,
        "received_ns": times + 15_000_000,
    }
    fields: dict[str, Any] = {}
    for name in record.__struct_fields__:
        if name in special:
            fields[name] = special[name]
        elif name.endswith("id") or name == "sequence":
            fields[name] = offsets
        else:
            fields[name] = np.round(chance.exponential(1.0, size), 4) if "size" in name else prices
    return pl.DataFrame(fields | {"_partition": np.zeros(size, np.int64)} | lineage(offsets, times))


def ours(root: Path) -> Iterator[int]:
    """Rows of each step of the merged log."""
    logs = [archive.log(root, "ticks", partition, Keys()) for partition in archive.partitions(root, "ticks")]
    for step in merged(logs):
        yield sum(len(run.batch) for run in step.runs)


def polars(root: Path) -> Iterator[int]:
    """Rows of each table and partition."""
    for table in files.tables(root):
        for partition in range(PARTITIONS):
            frame = pl.scan_parquet(root / table / f"**/{partition}-*.parquet", hive_partitioning=False)
            yield len(frame.sort("_offset").collect())


def pyarrow_dataset(root: Path) -> Iterator[int]:
    """Rows of each table and partition."""
    for table in files.tables(root):
        for partition in range(PARTITIONS):
            paths = [str(path) for path in sorted((root / table).rglob(f"{partition}-*.parquet"))]
            found = pyarrow.dataset.dataset(paths, format="parquet").to_table(use_threads=False)
            yield found.sort_by("_offset").num_rows


READERS: dict[str, Callable[[Path], Iterator[int]]] = {"ours": ours, "polars": polars, "pyarrow": pyarrow_dataset}


def measure(name: str, root: Path) -> None:
    """Be one reader: read everything twice, print the second time's rate and the memory at its quarter and end."""
    sizes: list[int] = []
    for _ in range(2):
        count, sizes, began = 0, [], time.process_time()
        for size in READERS[name](root):
            count += size
            sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        seconds = time.process_time() - began
    print(json.dumps([count, count / seconds, sizes[len(sizes) // 4], sizes[-1]]))


def race(root: Path, rows: int, rounds: int) -> float:
    """Print a line for each reader; our records a second."""
    rates: dict[str, list[float]] = {name: [] for name in READERS}
    memory: dict[str, tuple[int, int]] = {}
    for _ in range(rounds):
        for name in READERS:
            call = [sys.executable, "-m", "bench.archive", name, str(root)]
            told = subprocess.run(call, check=True, capture_output=True, text=True, env=ONE_CORE).stdout
            count, rate, quarter, end = json.loads(told)
            if count != rows:
                raise ValueError(f"{name} gave {count} rows of {rows}")
            rates[name].append(rate)
            memory[name] = quarter, end
    for name, found in rates.items():
        ratio = median(own / other for own, other in zip(rates["ours"], found, strict=True))
        beside = "" if name == "ours" else f"   ours {ratio:4.2f} x"
        print(f"    {name:8} {median(found):12,.0f} records/s   {memory[name][0]} then {memory[name][1]} MB{beside}")
    return median(rates["ours"])


def main(count: int = ROWS, rounds: int = ROUNDS) -> bool:
    """Print the figures; whether ours are all as wanted."""
    slowest = float("inf")
    for mix, (records, keys, times) in MIXES.items():
        rows = count * times // (FILE * PARTITIONS) * FILE * PARTITIONS
        with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
            root = Path(folder)
            build(root, records, keys, rows)
            print(f"archive, {mix}: fresh files")
            slowest = min(slowest, race(root, rows, rounds))
            before = time.process_time()
            list(compact(root, "9999-12-31"))
            print(f"archive, {mix}: by key, put together at {rows / (time.process_time() - before):,.0f} records/s")
            slowest = min(slowest, race(root, rows, rounds))
    reached = slowest >= WANTED
    print(f"wanted: {WANTED:,} records/s {'reached' if reached else 'MISSED'}, the slowest {slowest:,.0f}")
    return reached


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], Path(sys.argv[2]))
    else:
        sys.exit(0 if main() else 1)
