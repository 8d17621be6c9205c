"""What a chain made of a run, as batches for each topic, with positions, times and dead letters as a live run has them.

- A derived record has the position of its cause: topic, partition and offset of the input, and its number among the
  records of its topic that this input caused. It lies in the partition of the same number.
- Its times are those of the input: event and receipt (the event's where it has none), and when that was written.
- A record that the codec or a stage refused becomes a DeadLetter with the bytes of the input, numbered likewise.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from processors.replay.runs import Raw, Run, event_times
from processors.stage import Rejection
from schemas import DeadLetter
from schemas.batch import Batch, Lineage, ordinals
from schemas.columns import Keys, Table, tables
from schemas.letters import dead_letter
from schemas.pieces import Ints
from schemas.position import Log


def outputs(run: Run, derived: Sequence[Table], refused: Sequence[Rejection], keys: Keys, origin: Log) -> list[Batch]:
    """One batch for each topic, its causes standing in ``origin``; the offsets in their lineage count from 0."""
    letters = dead_letters(run, refused)
    made = [*derived, *tables(letters, keys)] if letters else derived
    topics: dict[str, list[Table]] = {}
    for table in made:
        topics.setdefault(table.record.topic, []).append(table)
    times = _times(run.batch) if topics else (np.empty(0, np.int64),) * 2
    return [_batch(run, topic, group, keys, times, origin) for topic, group in topics.items()]


def dead_letters(run: Run, refused: Sequence[Rejection]) -> list[tuple[int, DeadLetter]]:
    """What was refused with its reason and bytes, in log order, with the index of each in the run."""
    reasons = [Rejection(item.row, "codec", item.reason) for item in run.unreadable] + list(refused)
    reasons.sort(key=lambda reason: reason.cause)
    if not reasons:
        return []
    raws = run.raw([reason.cause for reason in reasons])
    return [(reason.cause, _letter(run, reason, raw)) for reason, raw in zip(reasons, raws, strict=True)]


def _letter(run: Run, reason: Rejection, raw: Raw) -> DeadLetter:
    (topic, partition), lineage = run.origin, run.batch.lineage
    return dead_letter(
        topic,
        reason.by,
        reason.reason,
        raw.value,
        int(lineage.kafka_ns[reason.cause]),
        partition=partition,
        offset=int(lineage.offset[reason.cause]),
        key=raw.key,
    )


def _times(batch: Batch) -> tuple[Ints, Ints]:
    """Event time and time of receipt of every record; what could not be read has only that of its log."""
    event_ns = event_times(batch)
    received_ns = event_ns.copy()
    for table in batch.tables:
        if "received_ns" in table.columns:
            received_ns[table.cause] = table.columns["received_ns"]
    return event_ns, received_ns


def _batch(run: Run, topic: str, group: list[Table], keys: Keys, times: tuple[Ints, Ints], log: Log) -> Batch:
    """The tables of a topic in one run; causes become indexes into it, rows standing in the order of their causes."""
    source = run.batch
    causes = np.concatenate([table.cause for table in group])
    order = np.argsort(causes, kind="stable")
    places = np.empty(len(causes), np.int64)
    places[order] = np.arange(len(causes))
    cause = causes[order]
    ends = np.cumsum([len(table) for table in group])
    placed = [
        Table(table.record, places[end - len(table) : end], table.key, table.columns)
        for table, end in zip(group, ends, strict=True)
    ]
    lineage = Lineage(
        offset=np.arange(len(cause)),
        cause_topic=pl.repeat(log[0], len(cause), dtype=pl.String, eager=True),
        cause_partition=np.full(len(cause), log[1], np.int64),
        cause_offset=source.lineage.offset[cause],
        cause_ordinal=ordinals(cause),
        exchange_ns=times[0][cause],
        received_ns=times[1][cause],
        produced_ns=source.lineage.produced_ns[cause],
        kafka_ns=source.lineage.kafka_ns[cause],
    )
    return Batch(topic, source.partition, keys, placed, lineage)
