"""Checkpoints: the state of a partition's stages and the offset it stands for, on the compacted topic ``checkpoints``.

The rules that make a worker lose nothing:

- A checkpoint is written when every record derived up to its offset is confirmed, and inputs are acknowledged when the
  checkpoint is confirmed.
- Of a chain's checkpoints the one with the highest offset counts, whoever wrote last: each is right for its offset.
- State is worth something only under the options it was made with.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

import confluent_kafka
import msgspec
from confluent_kafka import KafkaException, Message, TopicPartition

from infra.broker import consumer_config, full_name, partitions
from infra.errors import UserError
from infra.settings import Settings
from schemas import Checkpoint, Rejected
from schemas.catalogue import TOPICS
from schemas.codec import Codec

TOPIC = Checkpoint.topic
TIMEOUT_S = 15.0
FIRST_LOOK = 16  # records at the end of a partition among which the newest checkpoint is looked for first


class CheckpointError(Exception):
    """A checkpoint that cannot be written or read."""


def chain_name(group: str, topic: str, partition: int) -> str:
    """The key of a chain's checkpoints.

    >>> chain_name("tidemill", "ticks", 3)
    'tidemill:ticks:3'
    """
    return f"{group}:{topic}:{partition}"


def place(settings: Settings, partition: int) -> int:
    """The partition of the topic that holds the checkpoints of an input partition."""
    return partition % partitions(settings, TOPIC)


def packed(state: Mapping[str, Any]) -> bytes:
    """State as bytes."""
    return msgspec.msgpack.encode(state)


def unpacked(checkpoint: Checkpoint) -> dict[str, Any]:
    """The state in a checkpoint."""
    return msgspec.msgpack.decode(checkpoint.state, type=dict[str, Any])


def encoded(checkpoint: Checkpoint, codec: Codec) -> bytes:
    """The bytes of a checkpoint.

    Raises:
        CheckpointError: it is larger than the topic takes.

    """
    data = codec.encode(checkpoint)
    most = TOPICS[TOPIC].max_message_bytes
    if most is not None and len(data) > most - 1_024:  # the broker counts what it puts around a record
        raise CheckpointError(
            f"the state of {checkpoint.chain} has {len(data)} bytes, and {TOPIC} takes {most}: spread its keys over "
            "more partitions, or give the stages options that keep less"
        )
    return data


def options_text(options: Mapping[str, Any]) -> str:
    """The options of stages as JSON."""
    return json.dumps({name: dataclasses.asdict(each) for name, each in options.items()}, sort_keys=True)


def check_options(checkpoint: Checkpoint, options: Mapping[str, Any]) -> list[str]:
    """Compare the options of a checkpoint with those wanted; the stages that have no state in it yet.

    Raises:
        UserError: an option has changed.

    """
    before: dict[str, dict[str, Any]] = json.loads(checkpoint.options)
    now: dict[str, dict[str, Any]] = json.loads(options_text(options))
    changed = [
        f"stages.{stage}.{name} was {before[stage][name]!r} and is {value!r}"
        for stage, fields in now.items()
        if stage in before
        for name, value in fields.items()
        if name in before[stage] and before[stage][name] != value
    ]
    if changed:
        raise UserError(
            f"the state of {checkpoint.chain} was made with other options: {'; '.join(changed)}. Set them back, or "
            "start the worker with --reset to drop the state and go on with none"
        )
    return [stage for stage in now if stage not in before]


def load(settings: Settings, codec: Codec, chains: Mapping[str, int]) -> dict[str, Checkpoint]:
    """The checkpoint that counts of each chain that has one; ``chains`` gives each one's input partition.

    Raises:
        KafkaException: the broker does not answer.
        CheckpointError: one cannot be read.

    """
    wanted: dict[int, set[str]] = {}
    for name, partition in chains.items():
        wanted.setdefault(place(settings, partition), set()).add(name)
    config = consumer_config(settings, f"{settings.group}.checkpoints", enable_partition_eof=True, fetch_wait_max_ms=10)
    config.pop("group.instance.id", None)
    client = confluent_kafka.Consumer(config)
    try:
        found: dict[str, Checkpoint] = {}
        for partition, names in wanted.items():
            found |= _newest(client, full_name(settings, TOPIC), partition, names, codec)
        return found
    finally:
        client.close()


def _newest(
    client: confluent_kafka.Consumer, topic: str, partition: int, names: set[str], codec: Codec
) -> dict[str, Checkpoint]:
    """Look at ever more of a partition's end until each chain is met or the beginning is reached."""
    low, high = client.get_watermark_offsets(TopicPartition(topic, partition), TIMEOUT_S)
    found: dict[str, Checkpoint] = {}
    start, look = high, FIRST_LOOK
    while start > low and not names <= found.keys():
        end, start, look = start, max(low, start - look), look * 8
        for message in _between(client, topic, partition, start, end):
            _take(message, names, codec, found)
    return found


def _between(client: confluent_kafka.Consumer, topic: str, partition: int, start: int, end: int) -> list[Message]:
    """The records of a range of offsets that compaction has left."""
    client.assign([TopicPartition(topic, partition, start)])
    found: list[Message] = []
    while True:
        message = client.poll(TIMEOUT_S)
        if message is None:
            raise CheckpointError(f"{topic} {partition} gives no record at {start} within {TIMEOUT_S:g} s")
        error = message.error()
        if error is not None and error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
            return found
        if error is not None:
            raise KafkaException(error)
        if (message.offset() or 0) >= end:
            return found
        found.append(message)
        if message.offset() == end - 1:
            return found


def _take(message: Message, names: Collection[str], codec: Codec, found: dict[str, Checkpoint]) -> None:
    key = (message.key() or b"").decode(errors="replace")
    if key not in names:
        return
    try:
        checkpoint = codec.decode(message.value())
    except Rejected as error:
        raise CheckpointError(f"the checkpoint of {key} at {message.offset()} cannot be read: {error}") from error
    if not isinstance(checkpoint, Checkpoint):
        raise CheckpointError(f"the checkpoint of {key} at {message.offset()} is a {type(checkpoint).__name__}")
    if key not in found or checkpoint.offset >= found[key].offset:
        found[key] = checkpoint
