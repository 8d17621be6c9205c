"""A bare confluent-kafka loop for latency: one record at a time through our stages, in one thread, no state kept.

What it derives goes out at once, with lineage headers as our worker writes them. It commits and recovers nothing.
"""

from collections import defaultdict

from confluent_kafka import Consumer, Producer

from infra.broker import consumer_config, full_name, producer_config
from infra.settings import load_settings
from processors.chain import EventChain
from processors.stage import stages
from processors.wiring import plan
from schemas.codec import Codec
from schemas.position import POSITION_HEADER, TIMES_HEADER, Position, header_value

POLL_EVERY = 500  # records between two looks at what has been confirmed


def run() -> None:
    """Go on for ever."""
    settings, codec, given = load_settings(env_file=None), Codec(), plan(stages())["ticks"]
    consumer = Consumer(consumer_config(settings, "bare-events"))
    producer = Producer(producer_config(settings, linger_ms=0))
    consumer.subscribe([full_name(settings, "ticks")])
    chains: defaultdict[int, EventChain] = defaultdict(lambda: EventChain(given))
    count = 0
    while True:
        message = consumer.poll(0.1)
        if message is None or message.error() is not None:
            continue
        partition, count = message.partition() or 0, count + 1
        derived, _ = chains[partition].on_event(codec.decode(message.value()))
        if derived:
            times = header_value(message.headers(), TIMES_HEADER)  # type: ignore[arg-type]
            position = Position("ticks", partition, message.offset() or 0).header()
        for record in derived:
            headers = [(POSITION_HEADER, position), (TIMES_HEADER, times)]
            producer.produce(
                full_name(settings, record.topic), codec.encode(record), record.key.encode(), partition, headers=headers
            )
        if count % POLL_EVERY == 0:
            producer.poll(0)


if __name__ == "__main__":
    run()
