"""What a worker has written and the broker has confirmed.

Records are sent without waiting. A ``Mark`` counts those sent under it until all are confirmed, so that a checkpoint
can wait for what came before it while the records after it are already on their way.
"""

import asyncio
import itertools
import weakref
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaException

from infra import metrics
from infra.broker import full_name, producer_config
from infra.publisher import PublishError
from infra.settings import Settings
from processors.live.encoding import Encoded, Lineage, Rows
from processors.live.librdkafka import BatchProducer, Segments
from schemas.position import POSITION_HEADER, TIMES_HEADER

UNREAD = 1_000  # records sent above which it is worth reading what has been confirmed
WAITING = 100_000  # records on their way above which a worker takes no more input
POLL_S = 0.002  # between two looks at what has been confirmed, while something waits for it


class Mark:
    """Records sent together: how many, and how many of them the broker has confirmed."""

    __slots__ = ("__weakref__", "confirmed", "number", "sent")

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent = 0
        self.confirmed = 0


class Deliveries:
    """One idempotent producer for all partitions of a worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Batches form by themselves while requests are on their way; waiting for more would only add latency.
        self._producer = BatchProducer(producer_config(settings, linger_ms=0), (POSITION_HEADER, TIMES_HEADER))
        self._numbers = itertools.count()
        self._marks: weakref.WeakValueDictionary[int, Mark] = weakref.WeakValueDictionary()
        self._failure: str | None = None

    def mark(self) -> Mark:
        """A count that starts at nothing."""
        mark = Mark(next(self._numbers))
        self._marks[mark.number] = mark
        return mark

    def send(self, derived: Encoded, partition: int, lineage: Lineage, mark: Mark) -> None:
        """Send derived records, each with the values of its headers, to a partition of their topics.

        Raises:
            PublishError: a record is too large, or an earlier one has failed for good.

        """
        send = self._producer.send_rows if isinstance(derived, Rows) else self._producer.send_columns
        self._send(send, derived.segments, partition, mark, [derived.values, derived.keys, *lineage])

    def send_one(self, topic: str, partition: int, key: bytes, value: bytes, mark: Mark) -> None:
        """Send a record that has no headers.

        Raises:
            PublishError: it is too large, or an earlier one has failed for good.

        """
        self._send(self._producer.send_rows, [(topic, 1)], partition, mark, [[value], [key]])

    def _send(self, send: Callable[..., int], segments: Segments, partition: int, mark: Mark, parts: Any) -> None:
        names = [(full_name(self._settings, topic), count) for topic, count in segments]
        count, taken = sum(count for _, count in segments), 0
        while True:
            try:
                taken = send(names, partition, mark.number, parts, taken)
            except KafkaException as error:
                raise PublishError(f"{', '.join(name for name, _ in names)}: {error.args[0].str()}") from None
            if taken == count:
                break
            self.poll(0.05)
        mark.sent += count

    def poll(self, timeout_s: float = 0.0) -> None:
        """Look at what has been confirmed.

        Raises:
            PublishError: a record has failed for good.

        """
        reports = self._producer.reports(timeout_s)
        for number, count in reports.confirmed.items():
            mark = self._marks.get(number)
            if mark is not None:
                mark.confirmed += count
        for topic, error in reports.failed:
            metrics.DELIVERY_FAILURES.labels(topic.removeprefix(self._settings.topic_prefix)).inc()
            self._failure = self._failure or f"{topic}: {error.str()}"
        if self._failure is not None:
            raise PublishError(self._failure)

    async def room(self) -> None:
        """Wait until not too many records are on their way."""
        if len(self._producer) > UNREAD:
            self.poll()
        while len(self._producer) > WAITING:
            self.poll()
            await asyncio.sleep(POLL_S)

    async def confirmed(self, mark: Mark) -> None:
        """Wait until all records of a mark are confirmed.

        Raises:
            PublishError: a record has failed for good.

        """
        self.poll()
        while mark.confirmed < mark.sent:
            await asyncio.sleep(POLL_S)
            self.poll()

    def close(self) -> None:
        """Drop what is still on its way, and end."""
        self._producer.close()
