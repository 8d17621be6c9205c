"""The broker of a benchmark, its topics, and reading back what came out."""

from collections.abc import Iterator

from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from bench.task import DERIVED
from bench.workload import Workload, encoded
from infra.broker import admin, consumer_config, ensure_topics, full_name, partitions
from infra.publisher import Publisher
from infra.settings import Settings, load_settings
from schemas import EVERY_KEY
from schemas.codec import Codec
from schemas.position import TIMES_HEADER, Times

Ends = dict[tuple[str, int], int]


class Arena:
    """The topics of one workload under a prefix of their own; every run appends to the derived ones."""

    def __init__(self, brokers: str, prefix: str, work: Workload) -> None:
        self.settings: Settings = load_settings(env_file=None, brokers=brokers, topic_prefix=prefix)
        self.work = work
        self.expected = work.expected()
        self.outputs = sum(len(values) for keys in self.expected.values() for values in keys.values())
        ensure_topics(self.settings)
        _stamp_on_append(self.settings)
        self.records = _publish(self.settings, work)
        self._reader = Consumer(consumer_config(self.settings, "bench-reader"))

    def ends(self) -> Ends:
        """Where each partition of the derived topics ends now."""
        parts = [(name, number) for name in DERIVED for number in range(partitions(self.settings, name))]
        return {part: self._reader.get_watermark_offsets(self._place(*part), timeout=10.0)[1] for part in parts}

    def appended(self, since: Ends) -> int:
        """How many derived records there are beyond ``since``."""
        return sum(end - since[part] for part, end in self.ends().items())

    def outputs_since(self, since: Ends) -> Iterator[tuple[str, Message]]:
        """Topic and message of each derived record beyond ``since``; those of a partition in its order."""
        prefix, left = len(self.settings.topic_prefix), self.appended(since)
        self._reader.assign([self._place(*part, offset) for part, offset in since.items()])
        while left > 0:
            for message in self._reader.consume(min(left, 10_000), 0.5):
                left -= 1
                yield str(message.topic())[prefix:], message
        self._reader.unassign()

    def _place(self, name: str, number: int, offset: int = 0) -> TopicPartition:
        return TopicPartition(full_name(self.settings, name), number, offset)


def _stamp_on_append(settings: Settings) -> None:
    """Have the broker itself say when it appended a derived record."""
    entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
    topics = [
        ConfigResource(ResourceType.TOPIC, full_name(settings, name), incremental_configs=[entry]) for name in DERIVED
    ]
    client = admin(settings)
    for change in client.incremental_alter_configs(topics).values():
        change.result(10.0)


def _publish(settings: Settings, work: Workload) -> int:
    """Write the workload, uncompressed so that every client can read it; gives the number of records in the log."""
    with Publisher(settings, Codec(), compression_type="none") as publisher:
        for record, value in zip(work.records, encoded(work.records), strict=True):
            every = range(partitions(settings, record.topic)) if record.key == EVERY_KEY else (None,)
            received_ns = getattr(record, "received_ns", record.event_ns)
            times = Times(record.event_ns, received_ns, received_ns).header()  # as a feed writes them
            for partition in every:
                publisher.publish_raw(record.topic, value, record.key.encode(), partition, [(TIMES_HEADER, times)])
    return publisher.sent
