"""What a chain has made of a batch, as bytes ready to be written, each with its cause and its ordinal.

Live and replayed, a derived record's position is its cause's offset and its number among the records that this cause
has given on the same topic, counted from 0. Records of a topic stand in the order of their positions.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from processors.stage import Rejection
from schemas import DeadLetter
from schemas.batch import ordinals
from schemas.codec import Codec
from schemas.columns import Keys, Table
from schemas.letters import dead_letter

MILLISECOND = 1_000_000


class Encoded(NamedTuple):
    """The derived records of one topic."""

    topic: str
    values: list[bytes]
    keys: list[bytes]
    causes: list[int]  # index of each record's cause in the batch
    ordinals: list[int]


class Source(NamedTuple):
    """An input as Kafka holds it."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def encoded(tables: Iterable[Table], codec: Codec, keys: Keys) -> list[Encoded]:
    """The records of some tables, topic by topic."""
    groups: dict[str, list[Table]] = {}
    for table in tables:
        groups.setdefault(table.record.topic, []).append(table)
    return [_topic(topic, group, codec, keys) for topic, group in groups.items()]


def _topic(topic: str, group: list[Table], codec: Codec, keys: Keys) -> Encoded:
    values = [value for table in group for value in codec.encode_table(table, keys)]
    names = _names(group, keys)
    causes = group[0].cause if len(group) == 1 else np.concatenate([table.cause for table in group])
    if len(group) > 1:
        order = np.argsort(causes, kind="stable")
        causes = causes[order]
        values = [values[index] for index in order.tolist()]
        names = [names[index] for index in order.tolist()]
    return Encoded(topic, values, names, causes.tolist(), ordinals(causes).tolist())


def _names(group: list[Table], keys: Keys) -> list[bytes]:
    known: dict[int, bytes] = {}
    found: list[bytes] = []
    for code in (code for table in group for code in table.key.tolist()):
        name = known.get(code)
        if name is None:
            name = known[code] = keys.names[code].encode()
        found.append(name)
    return found


def refused(unreadable: Sequence[tuple[int, str]], rejections: Sequence[Rejection]) -> list[tuple[int, str, str]]:
    """Cause, refuser and reason of all that a batch's codec and stages refused, in the order of the causes."""
    found = [(cause, "codec", reason) for cause, reason in unreadable]
    found += [(rejection.cause, rejection.by, rejection.reason) for rejection in rejections]
    return sorted(found, key=lambda item: item[0])


def dead_letters(
    refusals: Sequence[tuple[int, str, str]], topic: str, partition: int, source: Callable[[int], Source]
) -> list[tuple[int, int, DeadLetter]]:
    """Cause, ordinal and dead letter of each refusal; ``source`` gives the input of a cause."""
    counts = ordinals(np.array([cause for cause, _, _ in refusals], np.int64)).tolist()
    return [
        (cause, ordinal, _dead_letter(source(cause), topic, partition, by, reason))
        for (cause, by, reason), ordinal in zip(refusals, counts, strict=True)
    ]


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
