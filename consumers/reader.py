"""Records out of Kafka for a consumer of one's own: decoded, each once.

    for received in read(settings, codec(settings), JumpLoss, start="latest"):
        print(received.record)

Without a group a reader gets all partitions and remembers nothing. Readers of a group share the partitions; a record
counts as done when the next one is asked for, and after a crash the group goes on at the first record not known to be
done: at least once. What was seen is committed with the offset, so that a record which its writer repeated is dropped
even across a restart. A value that is not readable goes to the dead letters.
"""

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra import logs, metrics
from infra.broker import consumer_config, full_name, partition_counts
from infra.errors import UserError
from infra.publisher import Publisher
from infra.settings import Settings
from schemas import Record, Rejected
from schemas.codec import Codec
from schemas.letters import dead_letter
from schemas.position import Log, Position, Seen, Times, position_of, times_of

Kind = TypeVar("Kind", bound=Record)
Start = Literal["earliest", "latest"] | int  # an int: ns since the epoch, by the time of writing
MILLISECOND = 1_000_000
COMMIT_S = 1.0
BATCH = 1_000
LEADER_S = 10.0
log = logs.logger(__name__)


class Received(NamedTuple, Generic[Kind]):
    """A record, where it stood, and what it stems from."""

    record: Kind
    log: Log  # topic and partition
    offset: int
    position: Position  # the input that caused it, itself where it has no other cause
    times: Times | None


class Reader(Generic[Kind]):
    """Reads the records of some types; a context manager, for one thread.

    ``to_end`` ends at what was there when reading began. ``rejected`` counts values that were not readable.

    Raises:
        UserError: no broker answers, or a topic does not exist.

    """

    def __init__(
        self, settings: Settings, codec: Codec, records: Sequence[type[Kind]] | type[Kind], *,
        group: str | None = None, start: Start = "latest", to_end: bool = False,
    ) -> None:  # fmt: skip
        self.rejected = 0
        self._settings, self._codec = settings, codec
        self._types = (records,) if isinstance(records, type) else tuple(records)
        self._start, self._group = start, group
        self._seen = Seen()
        self._next: dict[Log, int] = {}  # first offset not fetched
        self._ends: dict[Log, int] = {}
        self._handed: list[Received[Kind]] = []  # not known to be done
        self._done: dict[Log, int] = {}  # first offset not done, where that is not committed yet
        self._memory = Seen()  # as _seen, of what is done
        self._committed_at = time.monotonic()
        self._publisher: Publisher | None = None
        topics = sorted({record.topic for record in self._types})
        counts = partition_counts(settings)
        missing = [full_name(settings, topic) for topic in topics if topic not in counts]
        if missing:
            raise UserError(f"no topic {', '.join(missing)} at {settings.brokers}: run tidemill topics")
        logs_read = [(topic, partition) for topic in topics for partition in range(counts[topic])]
        # Without a group nothing is joined and nothing committed, but librdkafka wants a name.
        config = consumer_config(settings, group or f"{settings.group}-reader", enable_partition_eof=to_end)
        self._consumer = Consumer(config)
        if to_end:
            self._ends = {at: self._watermarks(at)[1] for at in logs_read}
        if group is None:
            self._assign(self._consumer, [self._place(at, -1) for at in logs_read])
        else:
            names = [full_name(settings, topic) for topic in topics]
            self._consumer.subscribe(names, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose)

    def __enter__(self) -> "Reader[Kind]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def finished(self) -> bool:
        """Whether a reader ``to_end`` has come there."""
        return bool(self._ends) and all(self._next.get(at, -1) >= end for at, end in self._ends.items())

    def poll(self, timeout_s: float = 0.2) -> list[Received[Kind]]:
        """The next records; empty where none has come in time. With this call the records of the last one are done."""
        self._settle()
        if time.monotonic() - self._committed_at >= COMMIT_S:
            self._commit()
        for message in self._consumer.consume(BATCH, timeout_s):
            error = message.error()
            if error is None:
                self._handed += self._receive(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._next[self._at(message)] = message.offset() or 0
            elif error.fatal() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise UserError(f"{self._settings.brokers}: {error.str()}")
            else:
                log.warning("broker", error=error.str())  # librdkafka tries again by itself
        if self._publisher is not None:
            self._publisher.flush()
        return list(self._handed)

    def done(self, received: Received[Kind]) -> None:
        """Note that a record is done, before the others of its poll are."""
        self._done[received.log] = received.offset + 1
        self._memory.is_new(received.log, received.position)

    def commit(self) -> None:
        """Say that everything handed out is done, and have the broker keep that."""
        self._settle()
        self._commit()

    def close(self) -> None:
        """Leave; what is known to be done is committed."""
        try:
            self._commit()
        finally:
            self._consumer.close()

    def _settle(self) -> None:
        for received in self._handed:
            self.done(received)
        self._handed.clear()
        self._done |= self._next  # also past what was dropped or refused

    def _commit(self) -> None:
        self._committed_at = time.monotonic()
        if self._group is not None and self._done:
            places = [self._place(at, offset, self._remembered(at)) for at, offset in sorted(self._done.items())]
            self._consumer.commit(offsets=places, asynchronous=False)
        self._done.clear()

    def _receive(self, message: Message) -> Iterator[Received[Kind]]:
        at, offset = self._at(message), message.offset() or 0
        self._next[at] = offset + 1
        if at in self._ends and offset >= self._ends[at]:
            return
        try:
            headers: Any = message.headers()
            position, times = position_of(headers, at, offset), times_of(headers)
            record = self._codec.decode(message.value())
        except Rejected as refusal:
            self._refuse(message, at, offset, str(refusal))
            return
        if not self._seen.is_new(at, position):
            metrics.DUPLICATES.labels(at[0]).inc()
        elif isinstance(record, self._types):
            metrics.RECORDS.labels(at[0], "in").inc()
            yield Received(record, at, offset, position, times)

    def _at(self, message: Message) -> Log:
        return str(message.topic()).removeprefix(self._settings.topic_prefix), message.partition() or 0

    def _refuse(self, message: Message, at: Log, offset: int, reason: str) -> None:
        self.rejected += 1
        metrics.DEAD_LETTERS.labels(at[0], "codec").inc()
        log.warning("record refused", topic=at[0], partition=at[1], offset=offset, reason=reason)
        payload, key = message.value() or b"", message.key() or b""
        letter = dead_letter(
            at[0],
            "codec",
            reason,
            payload,
            message.timestamp()[1] * MILLISECOND,
            partition=at[1],
            offset=offset,
            key=key.encode() if isinstance(key, str) else key,
        )
        if self._publisher is None:
            self._publisher = Publisher(self._settings, self._codec)
        self._publisher.publish(letter, position=Position(*at, offset, 0))

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._group is not None:
            partitions = consumer.committed(partitions, timeout=10.0)
        for place in partitions:
            at = self._log(place)
            if place.offset >= 0:
                self._recall(at, place.metadata)
            else:
                place.offset = self._first(place, at)
            self._next[at] = place.offset
        consumer.assign(partitions)

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._commit()
        finally:
            self._lose(consumer, partitions)

    def _lose(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            at = self._log(place)
            self._seen.forget(at)
            self._memory.forget(at)
            self._next.pop(at, None)
            self._done.pop(at, None)
            self._handed = [received for received in self._handed if received.log != at]

    def _first(self, place: TopicPartition, at: Log) -> int:
        low, high = self._watermarks(at)
        if isinstance(self._start, str):
            return low if self._start == "earliest" else high
        wanted = TopicPartition(place.topic, place.partition, self._start // MILLISECOND)
        (found,) = self._consumer.offsets_for_times([wanted], timeout=10.0)
        return high if found.offset < 0 else int(found.offset)

    def _watermarks(self, at: Log) -> tuple[int, int]:
        until = time.monotonic() + LEADER_S
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(self._place(at, -1), timeout=LEADER_S)
            except KafkaException as error:  # also while a new topic has no leader yet
                if time.monotonic() > until:
                    raise UserError(f"{self._settings.brokers}: {at[0]}: {error.args[0].str()}") from None
                time.sleep(0.1)
            else:
                return int(low), int(high)

    def _place(self, at: Log, offset: int, metadata: str = "") -> TopicPartition:
        return TopicPartition(full_name(self._settings, at[0]), at[1], offset, metadata)

    def _log(self, place: TopicPartition) -> Log:
        return place.topic.removeprefix(self._settings.topic_prefix), place.partition

    def _remembered(self, at: Log) -> str:
        """What was seen of a log, for the metadata of its commit."""
        return msgspec.json.encode(self._memory.snapshot().get(f"{at[0]}:{at[1]}", {})).decode()

    def _recall(self, at: Log, metadata: str | None) -> None:
        for seen in (self._seen, self._memory) if metadata else ():
            known = seen.snapshot()
            known[f"{at[0]}:{at[1]}"] = msgspec.json.decode(metadata or "")
            seen.restore(known)


def read(
    settings: Settings, codec: Codec, records: Sequence[type[Kind]] | type[Kind], *,
    group: str | None = None, start: Start = "latest", to_end: bool = False,
) -> Iterator[Received[Kind]]:  # fmt: skip
    """The records of some types, one after the other, for ever or ``to_end``.

    Raises:
        UserError: no broker answers, or a topic does not exist.

    """
    with Reader(settings, codec, records, group=group, start=start, to_end=to_end) as reader:
        while not reader.finished:
            for received in reader.poll():
                yield received
                reader.done(received)
