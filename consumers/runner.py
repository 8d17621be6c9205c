"""The loop of a sink: broker, ``write``, commit.

A sink has a consumer group of its own, so several sinks neither wait for nor hide one another. What was fetched is
written after so many records, bytes or seconds, then committed; killed between the two, it is fetched and written
again, which a sink makes harmless. Of the topics that a worker reads the worker tells the dead letters: told by two,
their positions would not rise, and readers would drop some.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumers.sink import Sink
from infra import logs, metrics
from infra.broker import consumer_config, full_name, partition_counts
from infra.decoding import Message, Refused, decode, key_and_value
from infra.errors import UserError
from infra.publisher import Publisher
from infra.settings import Settings
from schemas.batch import Batch, Fresh
from schemas.catalogue import TOPICS
from schemas.codec import Codec
from schemas.columns import Keys
from schemas.letters import dead_letter
from schemas.position import Log, Position

POLL_S = 0.1
FETCH = 10_000
log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """When what was fetched is written."""

    records: int = 50_000
    bytes: int = 64 << 20
    seconds: float = 1.0


@dataclass(slots=True)
class Fetched:
    """What waits to be written."""

    messages: dict[Log, list[Message]] = field(default_factory=dict)
    records: int = 0
    bytes: int = 0
    since_s: float = 0.0

    def add(self, at: Log, message: Message) -> None:
        """Take one more."""
        if not self.records:
            self.since_s = time.monotonic()
        self.messages.setdefault(at, []).append(message)
        self.records += 1
        self.bytes += len(message.value() or b"")

    def is_due(self, limits: Limits) -> bool:
        """Whether it is time to write."""
        late = time.monotonic() - self.since_s >= limits.seconds
        return self.records > 0 and (late or self.records >= limits.records or self.bytes >= limits.bytes)


class Runner:
    """Feeds one sink from all topics of the catalogue.

    ``judged`` are the topics whose dead letters are somebody else's to tell.

    Raises:
        UserError: no broker answers, or topics are missing.

    """

    def __init__(
        self,
        settings: Settings,
        codec: Codec,
        sink: Sink,
        judged: Collection[str] = (),
        limits: Limits | None = None,
    ) -> None:
        self._settings, self._codec, self._sink = settings, codec, sink
        self._judged, self._limits = frozenset(judged), limits or Limits()
        missing = sorted(full_name(settings, topic) for topic in TOPICS.keys() - partition_counts(settings).keys())
        if missing:
            raise UserError(f"no topic {', '.join(missing)} at {settings.brokers}: run tidemill topics")
        self._fetched = Fetched()
        self._fresh: dict[Log, Fresh] = {}
        self._publisher: Publisher | None = None
        self.written = 0  # records
        self._stopping = False
        self._consumer = Consumer(consumer_config(settings, f"{settings.group}-{sink.name}"))

    def run(self) -> None:
        """Go on until ``stop``; what was fetched by then is written and committed.

        Raises:
            Exception: whatever the sink or the broker's client raise; nothing of that batch is committed.

        """
        names = [full_name(self._settings, topic) for topic in TOPICS]
        self._consumer.subscribe(names, on_revoke=self._revoke, on_lost=self._lose)
        try:
            while not self._stopping:
                self._fetch()
                if self._fetched.is_due(self._limits):
                    self._write()
            self._write()
        finally:
            self._fetched = Fetched()  # leaving the group would write it
            self._consumer.close()
            self._sink.close()

    def stop(self) -> None:
        """Have ``run`` return soon; for another thread or a signal."""
        self._stopping = True

    def _fetch(self) -> None:
        messages: list[Message] = self._consumer.consume(min(FETCH, self._limits.records), POLL_S)
        for message in messages:
            error = message.error()
            if error is None:
                self._fetched.add(self._log(message.topic(), message.partition()), message)
            elif error.fatal() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise UserError(f"{self._settings.brokers}: {error.str()}")
            else:
                log.warning("broker", error=error.str())  # librdkafka tries again by itself

    def _write(self) -> None:
        """Write what was fetched, confirm its dead letters, commit."""
        fetched, self._fetched = self._fetched, Fetched()
        if not fetched.records:
            return
        self._sink.write([self._batch(at, messages) for at, messages in fetched.messages.items()])
        if self._publisher is not None:
            self._publisher.flush()
        self._commit({at: messages[-1].offset() + 1 for at, messages in fetched.messages.items()})
        self.written += fetched.records

    def _batch(self, at: Log, messages: list[Message]) -> Batch:
        batch, refused = decode(messages, *at, self._codec, Keys())
        for item in refused:
            self._refuse(at, messages[item[0]], item)
        fresh = self._fresh.setdefault(at, Fresh()).mask(batch.lineage)
        new = batch.only(fresh)
        self._measure(at, batch, len(batch) - len(new))
        return new

    def _measure(self, at: Log, batch: Batch, repeated: int) -> None:
        topic, partition = at
        metrics.RECORDS.labels(topic, "in").inc(len(batch))
        metrics.BATCH.labels(topic).observe(len(batch))
        if repeated:
            metrics.DUPLICATES.labels(topic).inc(repeated)
        age_s = (time.time_ns() - int(batch.lineage.kafka_ns[-1])) / 1e9
        metrics.HOP.labels(topic, "consumed").observe(max(age_s, 0.0))
        _, high = self._consumer.get_watermark_offsets(self._place(at), cached=True)
        metrics.LAG.labels(topic, str(partition)).set(max(high - int(batch.lineage.offset[-1]) - 1, 0))

    def _refuse(self, at: Log, message: Message, refused: Refused) -> None:
        metrics.DEAD_LETTERS.labels(at[0], "codec").inc()
        reason, offset = refused[1], message.offset()
        log.warning("record refused", sink=self._sink.name, topic=at[0], partition=at[1], offset=offset, reason=reason)
        if at[0] in self._judged:
            return
        key, value = key_and_value(message)
        letter = dead_letter(
            at[0],
            "codec",
            reason,
            value,
            message.timestamp()[1] * 1_000_000,
            partition=at[1],
            offset=offset,
            key=key,
        )
        if self._publisher is None:
            self._publisher = Publisher(self._settings, self._codec)
        self._publisher.publish(letter, partition=at[1], position=Position(*at, offset, 0))

    def _commit(self, offsets: dict[Log, int]) -> None:
        places = [self._place(at, offset) for at, offset in offsets.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:  # moved to another member: it fetches and writes them again
            log.warning("not committed", sink=self._sink.name, error=error.args[0].str())

    def _revoke(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._write()
        self._lose(consumer, partitions)

    def _lose(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            at = self._log(place.topic, place.partition)
            self._fresh.pop(at, None)
            lost = self._fetched.messages.pop(at, [])
            self._fetched.records -= len(lost)

    def _log(self, name: str, partition: int) -> Log:
        return name.removeprefix(self._settings.topic_prefix), partition

    def _place(self, at: Log, offset: int = -1001) -> TopicPartition:
        return TopicPartition(full_name(self._settings, at[0]), at[1], offset)
