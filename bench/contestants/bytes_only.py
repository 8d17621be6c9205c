"""The limit: fetch the values and look at nothing but their lengths; no decode, no outputs."""

import time

from confluent_kafka import Consumer

from bench.task import Task, consumer_config


def main() -> None:
    """Read the topic once."""
    task = Task.given()
    consumer = Consumer(consumer_config(task))
    consumer.subscribe([task.source])
    left, size = task.records, 0
    while left:
        messages = consumer.consume(20_000, 0.05)
        if messages:
            task.begin()
        for message in messages:
            size += len(message.value() or b"")
        left -= len(messages)
    task.ended.write_text(str(time.time_ns()))
    consumer.close()


if __name__ == "__main__":
    main()
