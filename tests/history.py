"""Batches for sinks, made of records as if read from the broker."""

from collections.abc import Sequence

from schemas import Record
from schemas.batch import Batch, lineage
from schemas.columns import Keys, tables
from schemas.position import Position, Times
from tests.streams import MILLISECOND

LATEST_NS = 2**63 - 1


def batch(
    records: Sequence[Record], start: int = 0, partition: int = 0, positions: Sequence[Position] | None = None
) -> Batch:
    """Records of one topic at offsets from ``start`` on; their own causes unless told otherwise."""
    topic, keys, offsets = records[0].topic, Keys(), range(start, start + len(records))
    causes = positions or [Position(topic, partition, offset) for offset in offsets]
    times = [_times(record) for record in records]
    kafka_ns = [max(moment.produced_ns, 0) // MILLISECOND * MILLISECOND for moment in times]
    return Batch(topic, partition, keys, tables(enumerate(records), keys), lineage(offsets, causes, times, kafka_ns))


def _times(record: Record) -> Times:
    received_ns = getattr(record, "received_ns", record.event_ns)
    return Times(record.event_ns, received_ns, min(received_ns, LATEST_NS - MILLISECOND) + MILLISECOND)
