"""What a chain has made of a batch, as bytes ready to be written, each with its cause and its ordinal.

Live and replayed, a derived record's position is its cause's offset and its number among the records that this cause
has given on the same topic, counted from 0. Records of a topic stand in the order of their positions.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.stage import Rejection
from schemas import DeadLetter, Record
from schemas.batch import ordinals
from schemas.codec import Codec
from schemas.columns import Keys, Table
from schemas.letters import dead_letter
from schemas.pieces import Ints, Pieces
from schemas.position import Log, Position, position_headers

MILLISECOND = 1_000_000


class Origin(NamedTuple):
    """What a derived record says of the input that caused it."""

    offset: int
    times: bytes  # the header's value


class Rows(NamedTuple):
    """A few derived records, topic by topic: every step costs by the record, and little besides."""

    segments: list[tuple[str, int]]  # topics and how many records of each there are
    values: list[bytes]
    keys: list[bytes]
    causes: list[int]  # index of each record's cause in the batch
    ordinals: list[int]

    def lineage(self, log: Log, input_of: Callable[[int], Origin]) -> tuple[list[bytes], list[bytes]]:
        """Position and times of each record."""
        inputs = {cause: input_of(cause) for cause in dict.fromkeys(self.causes)}
        where = zip(self.causes, self.ordinals, strict=True)
        positions = [Position(*log, inputs[cause].offset, ordinal).header() for cause, ordinal in where]
        return positions, [inputs[cause].times for cause in self.causes]


class Columns(NamedTuple):
    """Many derived records, topic by topic: every step costs something, and little by the record."""

    segments: list[tuple[str, int]]
    values: Pieces
    keys: Pieces
    causes: Ints
    ordinals: Ints

    def lineage(self, log: Log, input_of: Callable[[int], Origin]) -> tuple[Pieces, Pieces]:
        """Position and times of each record."""
        present = np.bincount(self.causes) > 0
        inputs = [input_of(cause) for cause in np.flatnonzero(present).tolist()]
        rows = (np.cumsum(present) - 1)[self.causes]
        offsets = np.array([each.offset for each in inputs], np.int64)
        positions = position_headers(*log, offsets[rows], self.ordinals)
        return positions, Pieces.of([each.times for each in inputs]).take(rows)


Encoded = Rows | Columns
Lineage = tuple[Sequence[bytes], Sequence[bytes]] | tuple[Pieces, Pieces]  # positions and times, as ``lineage`` gives


class Source(NamedTuple):
    """An input as Kafka holds it."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def columns(tables: Iterable[Table], codec: Codec, keys: Keys) -> Columns:
    """The records of some tables."""
    groups: dict[str, list[Table]] = {}
    for table in tables:
        groups.setdefault(table.record.topic, []).append(table)
    values, codes, causes = zip(*(_ordered(group, codec, keys) for group in groups.values()), strict=True)
    return Columns(
        [(topic, len(each)) for topic, each in zip(groups, causes, strict=True)],
        Pieces.joined(values),
        keys.encoded().take(np.concatenate(codes)),
        np.concatenate(causes),
        np.concatenate([ordinals(each) for each in causes]),
    )


def _ordered(group: list[Table], codec: Codec, keys: Keys) -> tuple[Pieces, NDArray[np.int32], Ints]:
    """Values, keys and causes of a topic's tables in the order of the causes."""
    values = Pieces.joined([codec.encode_table(table, keys) for table in group])
    codes = np.concatenate([table.key for table in group])
    causes = np.concatenate([table.cause for table in group])
    if len(group) == 1:
        return values, codes, causes
    order = np.argsort(causes, kind="stable")
    return values.take(order), codes[order], causes[order]


def rows(records: Iterable[tuple[int, Record]], codec: Codec) -> Rows:
    """Some records, each with its cause, in the order of the causes."""
    topics: dict[str, list[tuple[int, Record]]] = {}
    for pair in records:
        topics.setdefault(pair[1].topic, []).append(pair)
    ordered = [pair for group in topics.values() for pair in group]
    counts: Counter[tuple[str, int]] = Counter()
    numbers: list[int] = []
    for cause, record in ordered:
        numbers.append(counts[record.topic, cause])
        counts[record.topic, cause] += 1
    return Rows(
        [(topic, len(group)) for topic, group in topics.items()],
        [codec.encode(record) for _, record in ordered],
        [record.key.encode() for _, record in ordered],
        [cause for cause, _ in ordered],
        numbers,
    )


def refused(unreadable: Sequence[tuple[int, str]], rejections: Sequence[Rejection]) -> list[tuple[int, str, str]]:
    """Cause, refuser and reason of all that a batch's codec and stages refused, in the order of the causes."""
    found = [(cause, "codec", reason) for cause, reason in unreadable]
    found += [(rejection.cause, rejection.by, rejection.reason) for rejection in rejections]
    return sorted(found, key=lambda item: item[0])


def dead_letters(
    refusals: Sequence[tuple[int, str, str]], topic: str, partition: int, source: Callable[[int], Source]
) -> list[tuple[int, DeadLetter]]:
    """Cause and dead letter of each refusal; ``source`` gives the input of a cause."""
    return [(cause, _dead_letter(source(cause), topic, partition, by, reason)) for cause, by, reason in refusals]


def _dead_letter(source: Source, topic: str, partition: int, by: str, reason: str) -> DeadLetter:
    return dead_letter(
        topic,
        by,
        reason,
        source.value or b"",
        max(source.timestamp_ms, 0) * MILLISECOND,
        partition=partition,
        offset=source.offset,
        key=source.key or b"",
    )
