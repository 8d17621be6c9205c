"""Listens on the topic ``resyncs`` for books of one feed that were found wrong.

From the end of the topic: what was asked before this process began, its first snapshots have answered. What is old or
asked too often is for the transport to say.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

from confluent_kafka import Consumer, TopicPartition

from infra import logs
from infra.broker import consumer_config, full_name, partitions
from infra.settings import Settings
from schemas import Rejected, Resync
from schemas.codec import Codec

POLL_S = 0.5
OPEN_S = 10.0

Ask = Callable[[str, int], object]
log = logs.logger(__name__)


@contextlib.contextmanager
def listening(settings: Settings, codec: Codec, feed: str, ask: Ask) -> Iterator[None]:
    """Within it, ``ask`` is called in a thread of its own with the instrument and event time of each."""
    consumer = Consumer(consumer_config(settings, f"{settings.group}-resync-{feed}"))
    stopped = threading.Event()
    reading = threading.Thread(target=_read, args=(consumer, codec, f"{feed}:", ask, stopped), daemon=True)
    try:
        consumer.assign([_end(consumer, settings, number) for number in range(partitions(settings, Resync.topic))])
        reading.start()
        yield
    finally:
        stopped.set()
        if reading.is_alive():
            reading.join()
        consumer.close()


def _end(consumer: Consumer, settings: Settings, number: int) -> TopicPartition:
    partition = TopicPartition(full_name(settings, Resync.topic), number)
    _, high = consumer.get_watermark_offsets(partition, timeout=OPEN_S)
    return TopicPartition(partition.topic, number, high)


def _read(consumer: Consumer, codec: Codec, prefix: str, ask: Ask, stopped: threading.Event) -> None:
    while not stopped.is_set():
        message = consumer.poll(POLL_S)
        if message is None:
            continue
        if (error := message.error()) is not None:
            log.warning("resyncs cannot be read", error=error.str())
            continue
        if not (message.key() or b"").startswith(prefix.encode()):
            continue
        try:
            record = codec.decode(message.value())
        except Rejected as refusal:
            log.warning("resync refused", reason=str(refusal))
            continue
        if isinstance(record, Resync):
            log.info("book found wrong", instrument=record.instrument, cause=record.cause, event_ns=record.event_ns)
            ask(record.instrument, record.event_ns)
