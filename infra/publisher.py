"""The one way into Kafka: an idempotent producer that drops nothing and is silent about nothing.

A record is handed over at once and confirmed later. When the client's memory is full, ``publish`` waits. When a record
has failed for good, the next ``publish``, ``poll`` or ``flush`` raises, and the process should end: what it had read is
not yet committed, so that a fresh one does it again.
"""

import time
from types import TracebackType
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from infra import metrics
from infra.broker import full_name, partitions, producer_config
from infra.settings import Settings
from schemas import EVERY_KEY, Record
from schemas.codec import Codec
from schemas.position import POSITION_HEADER, TIMES_HEADER, Position, Times

POLL_EVERY = 512  # records between two looks at what has been confirmed
ERRORS_KEPT = 100

Headers = list[tuple[str, bytes]]


class PublishError(Exception):
    """A record has not reached the broker."""


class Publisher:
    """Publishes records with their key, position and lineage times.

    ``sent`` counts the records handed over, ``acked`` those confirmed, ``errors`` tells the first failures.
    """

    def __init__(self, settings: Settings, codec: Codec, **more: Any) -> None:
        self._settings = settings
        self._codec = codec
        self._producer = Producer(producer_config(settings, delivery_report_only_error=True, **more))
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._failed = 0
        self._on_delivery = self._failure  # one bound method for all records
        self.sent = 0
        self.errors: list[str] = []

    @property
    def acked(self) -> int:
        """Records that the broker has confirmed, or a few less: what the client still has to tell us counts as none."""
        return max(self.sent - len(self._producer) - self._failed, 0)

    def publish(
        self,
        record: Record,
        *,
        partition: int | None = None,
        position: Position | None = None,
        times: tuple[int, int] | Times | None = None,
    ) -> None:
        """Publish a record into the partition of its key, or into ``partition``; ``*`` goes into every one.

        ``position`` names the input that caused it. ``times`` are the exchange and received times of its cause, in ns,
        and the time now is added as that of its writing; ``Times`` are passed on as they are. Without them the
        record's own.

        Raises:
            PublishError: this record is too large, or an earlier one has failed.

        """
        if times is None:
            times = record.event_ns, getattr(record, "received_ns", record.event_ns)
        whole = times if len(times) == 3 else (*times, time.time_ns())
        headers = [(TIMES_HEADER, b"%d %d %d" % whole)]
        if position is not None:
            headers.append((POSITION_HEADER, position.header()))
        value, key = self._codec.encode(record), record.key
        if partition is None and key == EVERY_KEY:
            for each in range(partitions(self._settings, record.topic)):
                self.publish_raw(record.topic, value, key.encode(), each, headers)
        else:
            self.publish_raw(record.topic, value, key.encode(), partition, headers)

    def publish_raw(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> None:
        """Publish bytes; ``topic`` without prefix.

        Raises:
            PublishError: this record is too large, or an earlier one has failed.

        """
        if self._failed:
            self._raise()
        name = self._names.get(topic) or self._name(topic)
        target = -1 if partition is None else partition
        marked = cast(Any, headers or [])
        while True:
            try:
                self._producer.produce(name, value, key, target, on_delivery=self._on_delivery, headers=marked)
                break
            except BufferError:
                self.poll(0.05)
            except KafkaException as error:
                raise PublishError(f"{name}: {error.args[0].str()}") from None
        self.sent += 1
        self._counts[topic] += 1
        if self.sent % POLL_EVERY == 0:
            self.poll()

    def poll(self, timeout_s: float = 0.0) -> None:
        """Look at what has been confirmed; a process that publishes rarely calls it about once a second.

        Raises:
            PublishError: a record has failed.

        """
        self._producer.poll(timeout_s)
        for topic, count in self._counts.items():
            if count:
                metrics.RECORDS.labels(topic, "out").inc(count)
                self._counts[topic] = 0
        if self._failed:
            self._raise()

    def flush(self, timeout_s: float = 60.0) -> None:
        """Wait until every record is confirmed.

        Raises:
            PublishError: a record has failed, or some are not confirmed in time.

        """
        left = self._producer.flush(timeout_s)
        self.poll()
        if left:
            raise PublishError(f"{left} of {self.sent} records not confirmed within {timeout_s:g} s")

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()

    def _name(self, topic: str) -> str:
        self._counts[topic] = 0
        name = self._names[topic] = full_name(self._settings, topic)
        return name

    def _failure(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        self._failed += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(f"{message.topic()}: {error.str()}")
        metrics.DELIVERY_FAILURES.labels(str(message.topic()).removeprefix(self._settings.topic_prefix)).inc()

    def _raise(self) -> None:
        raise PublishError(f"{self._failed} of {self.sent} records failed, first {self.errors[0]}")
