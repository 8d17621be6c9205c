"""Topic ``merges``: the records of several topics in one order, as copies of their bytes.

- A copy has its original's key, value and partition number. Its headers are the original's, with the position of a
  record that was its own cause written out, and with the log that it was read from.
- The order within each log stays. Between logs it is the order of arrival, and once written it is the order for good:
  an executor that reads the copies decides the same in every replay.
- At least once: an offset is committed when the copies up to it are confirmed, so that a merger which was killed writes
  some again. Readers drop these, as within a log positions only rise (schemas.position).
- A ``Merge`` goes into each partition that a merger takes over, before the copies.
"""

import time
from collections.abc import Collection, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from infra import logs, metrics
from infra.broker import consumer_config, full_name, partition_counts
from infra.decoding import Message, key_and_value
from infra.errors import UserError
from infra.publisher import Publisher
from infra.settings import Settings
from schemas import EVERY_KEY, Merge
from schemas.catalogue import TOPICS
from schemas.codec import Codec
from schemas.position import LOG_HEADER, POSITION_HEADER, Log, Position, header_value

MERGED = Merge.topic
MARKET = ("ticks", "books", "volatilities", "marks", "fundings", "markets")
ORDERS = ("order_requests", "order_states", "fills", "net_positions", "equities", "controls", "intensities")
LASTING = frozenset({"markets", "controls"})  # what they said last still holds, however long ago that was
POLL_S = 0.1
FETCH = 1_000
COMMIT_S = 1.0
TIMEOUT_S = 10.0
log = logs.logger(__name__)


class Merger:
    """Copies records of some topics into the merged log.

    Mergers of a broker share a group, and so the partitions; they must be told the same topics and instruments, as a
    log's records may come from one of them alone. Where the group has nothing committed it begins with what comes from
    now on, in ``LASTING`` topics with all there is.

    Args:
        settings: of the process.
        codec: for the marks of a beginning.
        topics: what is copied.
        instruments: of these only, and what is for every key; of all where there are none.

    Raises:
        UserError: no broker answers, a topic is not there or cannot be merged, or has another number of partitions.

    """

    def __init__(
        self,
        settings: Settings,
        codec: Codec,
        topics: Collection[str] = (*MARKET, *ORDERS),
        instruments: Collection[str] = (),
    ) -> None:
        self._settings = settings
        self._topics, self._instruments = sorted(set(topics)), sorted(set(instruments))
        _check(settings, self._topics)
        self._keys = frozenset(key.encode() for key in (*self._instruments, EVERY_KEY)) if self._instruments else None
        self._publisher = Publisher(settings, codec, linger_ms=0)
        self._next: dict[Log, int] = {}  # first offset not copied, where that is not committed
        self._committed_s = time.monotonic()
        self._stopping = False
        self._consumer = Consumer(consumer_config(settings, f"{settings.group}-merge", fetch_min_bytes=1))

    def run(self) -> None:
        """Go on until ``stop``; what was copied by then is confirmed and committed.

        Raises:
            PublishError: a copy cannot be written.
            KafkaException: the broker's client cannot go on.

        """
        names = [full_name(self._settings, topic) for topic in self._topics]
        self._consumer.subscribe(names, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose)
        try:
            while not self._stopping:
                self._copy_all(self._fetched())
                if time.monotonic() - self._committed_s >= COMMIT_S:
                    self._commit()
            self._commit()
        finally:
            self._next.clear()  # leaving the group would commit it
            self._consumer.close()

    def stop(self) -> None:
        """Have ``run`` return soon; for another thread or a signal."""
        self._stopping = True

    def _fetched(self) -> list[Message]:
        """What is there, as soon as there is something: asked for many, the client would wait for them."""
        first = self._consumer.poll(POLL_S)
        return [] if first is None else [first, *self._consumer.consume(FETCH, 0)]

    def _copy_all(self, messages: Sequence[Message]) -> None:
        for message in messages:
            error = message.error()
            if error is None:
                self._copy(message)
            elif error.fatal() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise UserError(f"{self._settings.brokers}: {error.str()}")
            else:
                log.warning("broker", error=error.str())  # librdkafka tries again by itself
        if messages:
            self._publisher.poll()

    def _copy(self, message: Message) -> None:
        at, offset = self._log(message.topic(), message.partition()), message.offset()
        self._next[at] = offset + 1
        key, _ = key_and_value(message)
        if self._keys is not None and key not in self._keys:
            return
        headers = list(message.headers() or ())
        if header_value(headers, POSITION_HEADER) is None:
            headers.append((POSITION_HEADER, Position(*at, offset).header()))
        headers.append((LOG_HEADER, b"%s:%d" % (at[0].encode(), at[1])))
        self._publisher.publish_raw(MERGED, message.value(), message.key(), at[1], headers)
        metrics.RECORDS.labels(at[0], "in").inc()

    def _commit(self) -> None:
        """Wait until all copies are confirmed, and commit up to there."""
        self._committed_s = time.monotonic()
        self._publisher.flush()
        places = [self._place(at, offset) for at, offset in sorted(self._next.items())]
        self._measure(places)
        self._next.clear()
        if not places:
            return
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:  # moved to another merger: it copies them again
            log.warning("not committed", error=error.args[0].str())

    def _measure(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            if high >= 0:  # known once something has been fetched
                topic, partition = self._log(place.topic, place.partition)
                metrics.LAG.labels(topic, str(partition)).set(max(high - place.offset, 0))

    def _assign(self, consumer: Any, places: list[TopicPartition]) -> None:
        """Go on where the group was; where it never was, settle that now, or a crash would begin somewhere else."""
        found = consumer.committed(places, timeout=TIMEOUT_S)
        for place in found:
            if place.offset < 0:
                topic = self._log(place.topic, place.partition)[0]
                low, high = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
                place.offset = low if topic in LASTING else high
                self._next[topic, place.partition] = place.offset
        self._begin(sorted({place.partition for place in found}))
        consumer.assign(found)
        self._commit()
        log.info("partitions taken over", starts={f"{at.topic}:{at.partition}": at.offset for at in found})

    def _begin(self, partitions: Sequence[int]) -> None:
        merge = Merge(time.time_ns(), ",".join(self._topics), ",".join(self._instruments))
        for partition in partitions:
            self._publisher.publish(merge, partition=partition)

    def _revoke(self, consumer: Any, places: list[TopicPartition]) -> None:
        self._commit()

    def _lose(self, consumer: Any, places: list[TopicPartition]) -> None:
        for place in places:
            self._next.pop(self._log(place.topic, place.partition), None)

    def _log(self, name: str, partition: int) -> Log:
        return name.removeprefix(self._settings.topic_prefix), partition

    def _place(self, at: Log, offset: int) -> TopicPartition:
        return TopicPartition(full_name(self._settings, at[0]), at[1], offset)


def _check(settings: Settings, topics: Sequence[str]) -> None:
    """See that topics are there, have as many partitions as the merged log, and are none of its own."""
    for topic in topics:
        if topic not in TOPICS:
            raise UserError(f"no topic {topic!r}; there are {', '.join(TOPICS)}")
        if topic == MERGED:
            raise UserError(f"topic {MERGED} is what is written: it cannot be merged into itself")
    counts = partition_counts(settings)
    missing = [full_name(settings, topic) for topic in (*topics, MERGED) if topic not in counts]
    if missing:
        raise UserError(f"no topic {', '.join(missing)} at {settings.brokers}: run tidemill topics")
    for topic in topics:
        if counts[topic] != counts[MERGED]:
            raise UserError(f"topic {topic} has {counts[topic]} partitions, {MERGED} has {counts[MERGED]}")
