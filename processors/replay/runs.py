"""A run: what a source of a replay gives at a time, a batch of one partition and what could not be read of it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas import DeadLetter, Record
from schemas.batch import Batch, lineage
from schemas.codec import Codec
from schemas.columns import Keys, tables
from schemas.pieces import Ints
from schemas.position import Log, Position, Times


class Raw(NamedTuple):
    """A record as its log holds it."""

    key: bytes
    value: bytes


class Unreadable(NamedTuple):
    """A record that the codec refused."""

    row: int  # in the batch
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """A batch for one chain.

    All runs of a partition share one ``batch.keys``. ``raw`` gives the bytes of some of the batch's records, for dead
    letters; ``letters`` are dead letters that a source has made itself, as a feed does of frames. ``log`` is where the
    records stand, where that is not the batch's own topic and partition: the positions of what they cause are in it.
    """

    batch: Batch
    raw: Callable[[Sequence[int]], list[Raw]]
    unreadable: Sequence[Unreadable] = ()
    letters: Sequence[DeadLetter] = ()
    log: Log | None = None

    @property
    def origin(self) -> Log:
        """The log that the records stand in."""
        return self.log or (self.batch.topic, self.batch.partition)

    def part(self, begin: int, end: int) -> "Run":
        """The records from index ``begin`` to before ``end``; letters go with the first part."""
        if (begin, end) == (0, len(self.batch)):
            return self
        refused = [Unreadable(item.row - begin, item.reason) for item in self.unreadable if begin <= item.row < end]
        return Run(
            self.batch.part(begin, end),
            lambda wanted: self.raw([index + begin for index in wanted]),
            refused,
            () if begin else self.letters,
            self.log,
        )

    def only(self, wanted: NDArray[np.bool_]) -> "Run":
        """The records that ``wanted`` is true for."""
        if wanted.all():
            return self
        kept = np.flatnonzero(wanted).tolist()
        places = {index: place for place, index in enumerate(kept)}
        refused = [Unreadable(places[item.row], item.reason) for item in self.unreadable if wanted[item.row]]
        return Run(
            self.batch.only(wanted),
            lambda indexes: self.raw([kept[index] for index in indexes]),
            refused,
            self.letters,
            self.log,
        )

    def records(self) -> Iterator[tuple[int, Record]]:
        """The readable records with their indexes, in log order."""
        rows: list[Record | None] = [None] * len(self.batch)
        for table in self.batch.tables:
            for index, record in zip(table.cause.tolist(), table.records(self.batch.keys), strict=True):
                rows[index] = record
        return ((index, record) for index, record in enumerate(rows) if record is not None)


def run_of(
    records: Sequence[Record], topic: str, partition: int, first: int, keys: Keys, letters: Sequence[DeadLetter] = ()
) -> Run:
    """Records as the run of a log that holds them from the offset ``first`` on, each written when it was received."""
    offsets = range(first, first + len(records))
    times = [(record.event_ns, getattr(record, "received_ns", record.event_ns)) for record in records]
    batch = Batch(
        topic,
        partition,
        keys,
        tables(enumerate(records), keys),
        lineage(
            offsets,
            [Position(topic, partition, offset) for offset in offsets],
            [Times(*pair, pair[1]) for pair in times],
            [received_ns for _, received_ns in times],
        ),
    )

    def raw(wanted: Sequence[int]) -> list[Raw]:
        codec = Codec()
        return [Raw(records[index].key.encode(), codec.encode(records[index])) for index in wanted]

    return Run(batch, raw, letters=letters)


def event_times(batch: Batch) -> Ints:
    """Event time of each record; the time of its log where it could not be read."""
    event_ns = batch.lineage.kafka_ns.copy()
    for table in batch.tables:
        event_ns[table.cause] = table.columns["event_ns"]
    return event_ns
