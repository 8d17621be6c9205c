"""Why an archive lacks offsets of a log, by what Kafka has at them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from infra.archive_file import Wanted
from infra.archive_rows import lineage_of, listing, rows
from infra.broker import consumer_config, full_name
from infra.decoding import Message, decode
from infra.settings import Settings
from schemas.batch import LINEAGE, Fresh
from schemas.catalogue import TOPICS
from schemas.codec import Codec
from schemas.columns import Keys
from schemas.position import Log

GONE = "gone from Kafka"
NOTHING = "compacted or empty in Kafka"
UNREADABLE = "unreadable"
REPEATED = "repeats of their writer"
LACKING = "in Kafka and not in the archive"
BEFORE = 50_000  # offsets before a hole in which what it repeats is looked for
TIMEOUT_S = 10.0


class Explainer:
    """Asks a broker about holes; to be closed."""

    def __init__(self, settings: Settings, codec: Codec, root: Path) -> None:
        self._settings, self._codec, self._root = settings, codec, root
        own = settings.model_copy(update={"worker_id": ""})
        self._consumer = Consumer(consumer_config(own, f"{settings.group}-verify", enable_partition_eof=True))

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def why(self, log: Log, first: int, last: int) -> Counter[str]:
        """For how many of the offsets from ``first`` to ``last`` which of the reasons holds.

        Raises:
            KafkaException: the broker does not answer.

        """
        place = TopicPartition(full_name(self._settings, log[0]), log[1])
        low, high = self._consumer.get_watermark_offsets(place, TIMEOUT_S)
        begin, end = max(first, low), min(last + 1, high)
        found: Counter[str] = Counter({GONE: last - first + 1 - max(end - begin, 0)})
        fresh = self._before(log, first)
        for messages in self._messages(place, begin, end):
            batch, refused = decode(messages, *log, self._codec, Keys())
            new = fresh.mask(batch.lineage)
            new[[row for row, _ in refused]] = False
            found[UNREADABLE] += len(refused)
            found[LACKING] += int(new.sum())
            found[REPEATED] += len(batch) - len(refused) - int(new.sum())
        found[NOTHING] = last - first + 1 - found.total()
        return +found

    def _before(self, log: Log, first: int) -> Fresh:
        """What was seen of a log before an offset."""
        fresh = Fresh()
        for record in TOPICS[log[0]].records:
            if (self._root / record.table).is_dir():
                wanted = Wanted(record.table, frozenset(LINEAGE), after=first - 1 - BEFORE, until=first - 1)
                for frame in rows(listing(self._root, wanted, log[1]), wanted):
                    fresh.mask(lineage_of(frame.filter(frame["_offset"] < first)))
        return fresh

    def _messages(self, place: TopicPartition, begin: int, end: int) -> Iterator[list[Message]]:
        if begin >= end:
            return
        self._consumer.assign([TopicPartition(place.topic, place.partition, begin)])
        reached = begin
        while reached < end:
            kept: list[Any] = []
            for message in self._consumer.consume(1_000, TIMEOUT_S):
                error: Any = message.error()
                if error is None and (message.offset() or 0) < end:
                    kept.append(message)
                elif error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                reached = (message.offset() or 0) + 1 if error is None else end
            if kept:
                yield kept
