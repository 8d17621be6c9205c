"""Fetched Kafka messages of one partition as a batch, and what of them could not be read."""

from collections.abc import Sequence
from typing import Any

from schemas import Rejected
from schemas.batch import Batch, lineage
from schemas.codec import Codec
from schemas.columns import Keys
from schemas.position import Position, Times, position_of, times_of

MILLISECOND = 1_000_000
Refused = tuple[int, str]  # index of the message and the reason
Message = Any  # a confluent_kafka.Message, whose methods are typed as if it were an error, too


def decode(
    messages: Sequence[Message], topic: str, partition: int, codec: Codec, keys: Keys
) -> tuple[Batch, list[Refused]]:
    """The messages as a batch, and those that could not be read.

    A message whose headers are unreadable is refused too: what it stems from is unknown.
    """
    positions: list[Position] = []
    times: list[Times | None] = []
    refused: list[Refused] = []
    values: list[bytes | None] = []
    for index, message in enumerate(messages):
        own = Position(topic, partition, message.offset())
        value, position, time = message.value(), own, None
        try:
            if headers := message.headers():
                position, time = position_of(headers, own[:2], own.offset), times_of(headers)
        except Rejected as error:
            refused.append((index, str(error)))
            value, position = None, own
        values.append(value)
        positions.append(position)
        times.append(time)
    marked = {index for index, _ in refused}
    tables, unread = codec.decode_tables(values, keys)
    refused += [item for item in unread if item[0] not in marked]
    stamps = [message.timestamp()[1] * MILLISECOND for message in messages]
    run = lineage([message.offset() for message in messages], positions, times, stamps)
    return Batch(topic, partition, keys, tables, run), sorted(refused)


def key_and_value(message: Message) -> tuple[bytes, bytes]:
    """The bytes of a message; empty where it has none."""
    return _bytes(message.key()), _bytes(message.value())


def _bytes(data: str | bytes | None) -> bytes:
    return data.encode() if isinstance(data, str) else data or b""
