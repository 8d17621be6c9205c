"""Runs out of Kafka: the partitions of a topic from offset to offset, ending at what was there at the start.

Reads without a group and commits nothing. A derived record that its writer has repeated is dropped by its position.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from infra.broker import consumer_config, full_name, partition_counts
from infra.decoding import Message, decode, key_and_value
from infra.errors import UserError
from infra.settings import Settings
from processors.replay.runs import Raw, Run, Unreadable
from schemas.batch import Fresh
from schemas.codec import Codec
from schemas.columns import Keys

RECORDS = 20_000  # fetched at a time
ONE_KBYTES = 8_192  # fetched ahead where each partition has a consumer of its own
POLL_S = 0.5
TIMEOUT_S = 10.0
RETRY_S = 0.1
MARGIN_MS = 60_000  # by which our clock may run behind a venue's

Offsets = Mapping[int, tuple[int, int | None]]  # first and, where given, end offset of each partition


class Reading:
    """The stretch of each partition that is to be read, or of the ``only`` one.

    Raises:
        UserError: no broker answers, the topic does not exist, or the stretch is not there.

    """

    def __init__(
        self,
        settings: Settings,
        codec: Codec,
        topic: str,
        offsets: Offsets | None = None,
        start_ns: int | None = None,
        only: int | None = None,
    ) -> None:
        self.topic, self._codec = topic, codec
        counts = partition_counts(settings)
        if topic not in counts:
            raise UserError(f"no topic {full_name(settings, topic)} at {settings.brokers}")
        more = {} if only is None else {"queued_max_messages_kbytes": ONE_KBYTES}
        config = consumer_config(settings, f"{settings.group}-replay", enable_partition_eof=True, **more)
        self._consumer = Consumer(config)
        self._name = full_name(settings, topic)
        given = offsets or {}
        for partition in given:
            if partition >= counts[topic]:
                raise UserError(f"--offsets: topic {topic} has no partition {partition}, only {counts[topic]}")
        firsts = self._at(start_ns, counts[topic])
        wanted = sorted(given) if given else range(counts[topic])
        if only is not None:
            wanted = [partition for partition in wanted if partition == only]
        self.stretches = {partition: self._stretch(partition, given, firsts) for partition in wanted}

    @property
    def total(self) -> int:
        """Offsets between the first and the end, over all partitions."""
        return sum(end - first for first, end in self.stretches.values())

    def runs(self, progress: Callable[[int], None] | None = None) -> Iterator[Run]:
        """Everything, in log order within each partition; ``progress`` is told how many records came."""
        left = {partition: end for partition, (first, end) in self.stretches.items() if first < end}
        begin = [TopicPartition(self._name, partition, self.stretches[partition][0]) for partition in left]
        keys = {partition: Keys() for partition in left}
        fresh = {partition: Fresh() for partition in left}
        try:
            self._consumer.assign(begin)
            while left:
                fetched = self._fetch(left)
                for partition, messages in fetched.items():
                    run = self._run(partition, messages, keys[partition])
                    yield run.only(fresh[partition].mask(run.batch.lineage))
                if progress is not None:
                    progress(sum(map(len, fetched.values())))
        finally:
            self._consumer.close()

    def _fetch(self, left: dict[int, int]) -> dict[int, list[Message]]:
        """Messages by partition; partitions that have come to their end are taken from ``left``."""
        fetched: dict[int, list[Message]] = {}
        ended: set[int] = set()
        messages: list[Message] = self._consumer.consume(RECORDS, POLL_S)
        for message in messages:
            partition = message.partition()
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                ended.add(partition)
            elif error is not None:
                raise KafkaException(error)
            elif partition in left and message.offset() < left[partition]:
                fetched.setdefault(partition, []).append(message)
        for place in self._consumer.position([TopicPartition(self._name, partition) for partition in left]):
            if place.offset >= left[place.partition] or place.partition in ended:
                del left[place.partition]
        return fetched

    def _run(self, partition: int, messages: Sequence[Message], keys: Keys) -> Run:
        batch, refused = decode(messages, self.topic, partition, self._codec, keys)
        return Run(
            batch,
            lambda indexes: [Raw(*key_and_value(messages[index])) for index in indexes],
            [Unreadable(*item) for item in refused],
        )

    def _at(self, start_ns: int | None, count: int) -> dict[int, int]:
        """The first offsets that may hold something from ``start_ns`` on; nothing where the log ends before it."""
        if start_ns is None:
            return {}
        start_ms = max(start_ns // 1_000_000 - MARGIN_MS, 0)
        asked = [TopicPartition(self._name, partition, start_ms) for partition in range(count)]
        return {found.partition: found.offset for found in self._consumer.offsets_for_times(asked, TIMEOUT_S)}

    def _stretch(self, partition: int, given: Offsets, firsts: Mapping[int, int]) -> tuple[int, int]:
        low, high = self._watermarks(partition)
        first, end = given.get(partition, (firsts.get(partition, low), None))
        if first < 0:  # nothing that late
            first = high
        if partition in given and not low <= first <= high:
            raise UserError(f"--offsets: {self.topic} {partition} holds {low} to {high}, not {first}")
        return max(first, low), min(high if end is None else end, high)

    def _watermarks(self, partition: int) -> tuple[int, int]:
        """First offset and end of a partition; waits for a leader, which a new or a moved one has not at once."""
        until_s = time.monotonic() + TIMEOUT_S
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(TopicPartition(self._name, partition), TIMEOUT_S)
                return int(low), int(high)
            except KafkaException as error:
                if time.monotonic() > until_s:
                    raise UserError(f"{self._name} {partition} cannot be read: {error.args[0].str()}") from None
                time.sleep(RETRY_S)
