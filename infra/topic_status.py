"""How each topic fares at the broker: its records, the lag of our group, when its last record was written."""

import time
from collections.abc import Iterator

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from infra.broker import consumer_config, full_name, partition_counts
from infra.errors import UserError
from infra.settings import Settings
from schemas.catalogue import TOPICS

TIMEOUT_S = 10.0
PASSING = {"NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR"}


class TopicStatus(msgspec.Struct, frozen=True):
    """One topic; 0 partitions: it does not exist."""

    topic: str
    partitions: int
    records: int  # between the first and the last offset that the broker has
    lag: int | None  # records that our group has not committed; None where it has committed none
    last_ns: int | None  # when the newest record was written; None where there is none


def topic_status(settings: Settings) -> list[TopicStatus]:
    """Every topic of the catalogue.

    Raises:
        UserError: no broker answers.

    """
    counts = partition_counts(settings)
    outside = settings.model_copy(update={"worker_id": ""})  # asks about the group and never joins it
    consumer = Consumer(consumer_config(outside))
    try:
        return [_patiently(settings, consumer, topic, counts.get(topic, 0)) for topic in TOPICS]
    except KafkaException as error:
        raise UserError(f"the broker at {settings.brokers} does not answer: {error.args[0].str()}") from None
    finally:
        consumer.close()


def _patiently(settings: Settings, consumer: Consumer, topic: str, count: int) -> TopicStatus:
    """A topic's status, asked for again while the broker that has just come up finds its partitions."""
    until = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return _status(settings, consumer, topic, count)
        except KafkaException as error:
            if (not error.args[0].retriable() and error.args[0].name() not in PASSING) or time.monotonic() > until:
                raise
            time.sleep(0.1)


def _status(settings: Settings, consumer: Consumer, topic: str, count: int) -> TopicStatus:
    name = full_name(settings, topic)
    ends = [consumer.get_watermark_offsets(TopicPartition(name, each), TIMEOUT_S) for each in range(count)]
    committed = _committed(consumer, name, count)
    places = [(low, high, place) for (low, high), place in zip(ends, committed, strict=True)]
    known = [high - max(low, place) for low, high, place in places if place is not None]
    unread = sum(high - low for low, high, place in places if place is None)
    return TopicStatus(
        topic=topic,
        partitions=count,
        records=sum(high - low for low, high in ends),
        lag=sum(known) + unread if known else None,
        last_ns=max(_last(consumer, name, ends), default=None),
    )


def _last(consumer: Consumer, name: str, ends: list[tuple[int, int]]) -> Iterator[int]:
    """The time of the last record of each partition that has one."""
    wanted = [TopicPartition(name, each, high - 1) for each, (low, high) in enumerate(ends) if high > low]
    if not wanted:
        return
    consumer.assign(wanted)
    waiting = {place.partition for place in wanted}
    while waiting:
        messages: list[Message] = consumer.consume(len(waiting), TIMEOUT_S / 5)
        if not messages:
            break  # the last offsets may hold no record: compacted away, or a transaction's marker
        for message in messages:
            if message.error() is None:
                waiting.discard(message.partition())
                yield message.timestamp()[1] * 1_000_000
    consumer.unassign()


def _committed(consumer: Consumer, name: str, count: int) -> list[int | None]:
    """Where our group would go on in each partition; None where it has committed nothing."""
    if count == 0:
        return []
    found = consumer.committed([TopicPartition(name, each) for each in range(count)], TIMEOUT_S)
    return [item.offset if item.offset >= 0 else None for item in found]
