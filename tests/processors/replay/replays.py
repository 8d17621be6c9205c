"""What tests of replays share: streams as runs, and all that a replay made as rows."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from processors.replay.replay import Replay
from processors.replay.runs import Run, run_of
from processors.stage import stages
from schemas import Record
from schemas.batch import Batch
from schemas.columns import Keys

Rows = dict[str, list[tuple[Any, ...]]]


def cut(records: Sequence[Record], chance: random.Random, partition: int = 0, most: int = 400) -> list[Run]:
    """Records of one partition as runs of random lengths."""
    runs, first, keys = [], 0, Keys()
    while first < len(records):
        count = chance.randint(1, most)
        runs.append(run_of(records[first : first + count], "ticks", partition, first, keys))
        first += count
    return runs


def whole(records: Sequence[Record], partition: int = 0) -> Run:
    """Records of one partition as one run."""
    return run_of(records, "ticks", partition, 0, Keys())


def replayed(runs: Iterable[Run], events: bool = False, options: dict[str, Any] | None = None) -> Rows:
    """Every derived record with its lineage by topic and partition, in log order."""
    return rows(Replay(stages(), options, events).over(runs))


def rows(batches: Iterable[Batch]) -> Rows:
    made: Rows = {}
    for batch in batches:
        for table in batch.tables:
            place = f"{table.record.table} {batch.partition}"
            made.setdefault(place, []).extend(batch.frame(table).rows())
    return made
