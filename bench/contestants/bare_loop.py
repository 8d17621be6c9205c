"""A bare confluent-kafka loop with our decode, arithmetic and encode: no Faust, no state kept, no lineage headers.

At least once: once a second the outputs are flushed and then the offsets committed.
"""

import time
from collections import defaultdict

from confluent_kafka import Consumer, Producer

from bench.task import CHECKPOINT_S, Task, consumer_config, producer_config
from bench.warm import warm
from bench.workload import CHAIN
from processors.chain import BatchChain
from schemas.codec import Codec

BATCH = 20_000


class Loop:
    """Consume, transform, produce."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.codec = Codec()
        self.chains: defaultdict[int, BatchChain] = defaultdict(lambda: BatchChain(CHAIN))
        self.producer = Producer(producer_config(task))
        self.consumer = Consumer(consumer_config(task))
        self.consumer.subscribe([task.source])

    def run(self) -> None:
        """Go on for ever."""
        committed = time.monotonic()
        while True:
            messages = self.consumer.consume(BATCH, 0.02)
            if messages:
                self.task.begin()
            values: defaultdict[int, list[bytes | None]] = defaultdict(list)
            for message in messages:
                values[message.partition() or 0].append(message.value())
            for partition, batch in values.items():
                self.transform(partition, batch)
            if time.monotonic() > committed + CHECKPOINT_S:
                self.producer.flush()
                self.consumer.commit(asynchronous=True)
                committed = time.monotonic()

    def transform(self, partition: int, values: list[bytes | None]) -> None:
        """Take the values of a partition."""
        chain = self.chains[partition]
        tables, rejects = self.codec.decode_tables(values, chain.keys)
        if rejects:
            raise ValueError(rejects[0])
        derived, _ = chain.on_batch(tables)
        for table in derived:
            keys = [chain.keys.names[code] for code in table.key.tolist()]
            made = self.codec.encode_table(table, chain.keys).to_list()
            self.produce(self.task.topic(table.record.topic), partition, keys, made)

    def produce(self, topic: str, partition: int, keys: list[str], values: list[bytes]) -> None:
        """Hand records to the producer, waiting where its queue is full."""
        produce = self.producer.produce
        for key, value in zip(keys, values, strict=True):
            try:
                produce(topic, value, key, partition)
            except BufferError:
                self.producer.poll(0.1)
                produce(topic, value, key, partition)
        self.producer.poll(0)


if __name__ == "__main__":
    warm()
    Loop(Task.given()).run()
