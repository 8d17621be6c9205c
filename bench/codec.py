"""What reading and writing a tick costs on one core: stock fastavro, our codec one at a time, our codec in columns."""

import statistics
import time
from collections.abc import Callable

from bench.plain import decode
from bench.workload import encoded, workload
from schemas.codec import Codec
from schemas.columns import Keys, tables

BATCH = 20_000


def main(ticks: int, runs: int) -> None:
    """Print ns a record, median of ``runs``."""
    records = workload(ticks).records
    values, codec, keys = encoded(records), Codec(), Keys()
    groups = [values[start : start + BATCH] for start in range(0, len(values), BATCH)]
    few = values[: len(values) // 10]
    columns = tables(enumerate(records), keys)
    work: dict[str, tuple[Callable[[], object], int]] = {
        "fastavro to a record": (lambda: [decode(value) for value in few], len(few)),
        "Codec.decode, with checks": (lambda: [codec.decode(value) for value in few], len(few)),
        "Codec.decode_tables": (lambda: [codec.decode_tables(group, keys) for group in groups], len(values)),
        "Codec.encode, with checks": (lambda: [codec.encode(record) for record in records[: len(few)]], len(few)),
        "Codec.encode_table": (lambda: [codec.encode_table(table, keys) for table in columns], len(values)),
    }
    print(f"\n{'codec':27}{'ns a record':>12}")
    for name, (function, count) in work.items():
        function()
        print(f"{name:27}{statistics.median(_seconds(function) for _ in range(runs)) / count * 1e9:12,.0f}")


def _seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
