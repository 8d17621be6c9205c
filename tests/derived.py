"""A raw stream and all that a chain derives from it, as batches for sinks."""

from collections import Counter
from collections.abc import Iterable, Sequence

from processors.chain import EventChain
from processors.stage import stages
from processors.wiring import plan
from schemas import DeadLetter, Record
from schemas.batch import Batch
from schemas.position import Position
from tests.history import batch

Caused = tuple[Record, Position]


def caused(records: Sequence[Record], start: int = 0, partition: int = 0) -> dict[str, list[Caused]]:
    """What the stages derive from raw records, refusals included: topic to records with their positions."""
    chain = EventChain(plan(stages())["ticks"])
    found: dict[str, list[Caused]] = {}
    for offset, record in enumerate(records, start):
        derived, refused = chain.on_event(record)
        letters = [_letter(record, offset, partition, rejection.by, rejection.reason) for rejection in refused]
        ordinals: Counter[str] = Counter()
        for item in (*derived, *letters):
            position = Position("ticks", partition, offset, ordinals[item.topic])
            found.setdefault(item.topic, []).append((item, position))
            ordinals[item.topic] += 1
    return found


def batches(records: Iterable[Record], start: int = 0) -> list[Batch]:
    """A raw stream's batch and one for each topic derived from it."""
    raw = list(records)
    derived = caused(raw, start)
    return [batch(raw, start)] + [
        batch([record for record, _ in rows], positions=[position for _, position in rows]) for rows in derived.values()
    ]


def _letter(record: Record, offset: int, partition: int, by: str, reason: str) -> DeadLetter:
    return DeadLetter(
        source="ticks",
        event_ns=record.event_ns,
        partition=partition,
        offset=offset,
        by=by,
        reason=reason,
        record_key=record.key.encode(),
        payload=b"\x00\x01\xff",
        size=3,
        attempts=0,
    )
