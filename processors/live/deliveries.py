"""What a worker has written and the broker has confirmed.

Records are sent without waiting. A ``Mark`` counts those sent under it until all are confirmed, so that a checkpoint
can wait for what came before it while the records after it are already on their way.
"""

import asyncio
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from infra import metrics
from infra.broker import full_name, producer_config
from infra.publisher import PublishError
from infra.settings import Settings

WAITING = 100_000  # records on their way above which a worker takes no more input
POLL_S = 0.002  # between two looks at what has been confirmed, while something waits for it


class Mark:
    """Records sent together; ``sent`` is set by whoever sends, ``confirmed`` by the deliveries."""

    __slots__ = ("_deliveries", "confirmed", "sent")

    def __init__(self, deliveries: "Deliveries") -> None:
        self.sent = 0
        self.confirmed = 0
        self._deliveries = deliveries

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        """Count a record, or note why it is lost."""
        if error is None:
            self.confirmed += 1
        else:
            self._deliveries.fail(error, message)


class Deliveries:
    """One idempotent producer for all partitions of a worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Batches form by themselves while requests are on their way; waiting for more would only add latency.
        self._producer = Producer(producer_config(settings, linger_ms=0))
        self._failure: str | None = None

    def mark(self) -> Mark:
        """A count that starts at nothing."""
        return Mark(self)

    def name(self, topic: str) -> str:
        """The topic's name at the broker."""
        return full_name(self._settings, topic)

    def send(self, name: str, value: bytes, key: bytes, partition: int, headers: Any, mark: Mark) -> None:
        """Send a record to a topic by its name at the broker.

        Raises:
            PublishError: the record is too large.

        """
        while True:
            try:
                self._producer.produce(name, value, key, partition, mark.on_delivery, headers=headers)
                break
            except BufferError:
                self.poll(0.05)
            except KafkaException as error:
                raise PublishError(f"{name}: {error.args[0].str()}") from None
        mark.sent += 1

    def poll(self, timeout_s: float = 0.0) -> None:
        """Look at what has been confirmed.

        Raises:
            PublishError: a record has failed for good.

        """
        self._producer.poll(timeout_s)
        if self._failure is not None:
            raise PublishError(self._failure)

    async def room(self) -> None:
        """Wait until not too many records are on their way."""
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

    def close(self, timeout_s: float) -> None:
        """Wait a last time for what is on its way."""
        self._producer.flush(timeout_s)

    def fail(self, error: KafkaError, message: Message) -> None:
        """Note that a record has failed; the next look at the deliveries raises."""
        topic = str(message.topic())
        metrics.DELIVERY_FAILURES.labels(topic.removeprefix(self._settings.topic_prefix)).inc()
        if self._failure is None:
            self._failure = f"{topic}: {error.str()}"
