"""What reaches the broker through the publisher, and what it does when something cannot."""

import time
from collections.abc import Iterator
from typing import cast

import pytest
from confluent_kafka import Consumer, Message

from infra.broker import consumer_config, ensure_topics, full_name, partitions
from infra.local import LocalKafka, free_port
from infra.publisher import Publisher, PublishError
from infra.settings import Settings, load_settings
from schemas import Clock, Connect
from schemas.codec import Codec
from schemas.position import POSITION_HEADER, Headers, Position, Times, header_value, position_of, times_of
from tests.waiting import PATIENCE_S

CONNECT = Connect(instrument="coinbase:ETH-USD", event_ns=5, feed="coinbase", cause="start")


def read(settings: Settings, topic: str, count: int) -> list[Message]:
    consumer = Consumer(consumer_config(settings))
    consumer.subscribe([full_name(settings, topic)])
    try:
        return list(_take(consumer, count))
    finally:
        consumer.close()


def _take(consumer: Consumer, count: int) -> Iterator[Message]:
    end = time.monotonic() + PATIENCE_S
    while count:
        for message in consumer.consume(count, 0.5):
            assert message.error() is None
            count -= 1
            yield message
        assert time.monotonic() < end, f"{count} records have not come"


def headers(message: Message) -> Headers:
    return cast(Headers, message.headers())


def test_a_record_arrives_with_key_position_and_times(live: Settings) -> None:
    with Publisher(live, Codec()) as publisher:
        publisher.publish(CONNECT, partition=1, position=Position("ticks", 1, 44, 2), times=(3, 4))
    (message,) = read(live, "ticks", 1)
    assert Codec().decode(message.value()) == CONNECT
    assert (message.key(), message.partition()) == (b"coinbase:ETH-USD", 1)
    assert position_of(headers(message), ("ticks", 1), 0) == Position("ticks", 1, 44, 2)
    times = times_of(headers(message))
    assert times is not None
    assert times[:2] == (3, 4)
    assert abs(time.time_ns() - times.produced_ns) < 60 * 10**9


def test_the_lineage_of_a_cause_is_passed_on_unchanged(live: Settings) -> None:
    with Publisher(live, Codec()) as publisher:
        publisher.publish(CONNECT, times=Times(1, 2, 3))
    (message,) = read(live, "ticks", 1)
    assert times_of(headers(message)) == Times(1, 2, 3)
    assert header_value(headers(message), POSITION_HEADER) is None


def test_a_record_for_every_key_goes_into_every_partition(live: Settings) -> None:
    with Publisher(live, Codec()) as publisher:
        publisher.publish(Clock(event_ns=9))
    messages = read(live, "ticks", partitions(live, "ticks"))
    assert {message.partition() for message in messages} == set(range(partitions(live, "ticks")))


def test_every_record_is_confirmed_and_counted_when_the_memory_is_too_small_for_them(live: Settings) -> None:
    publisher = Publisher(live, Codec(), queue_buffering_max_messages=100)
    for number in range(5_000):
        publisher.publish_raw("ticks", b"%d" % number, b"key")
    publisher.flush()
    assert (publisher.sent, publisher.acked, publisher.errors) == (5_000, 5_000, [])
    assert [int(message.value() or b"") for message in read(live, "ticks", 5_000)] == list(range(5_000))


def test_a_record_that_no_broker_takes_is_raised_and_stays_raised() -> None:
    settings = load_settings(env_file=None, brokers=f"127.0.0.1:{free_port()}")
    publisher = Publisher(settings, Codec(), delivery_timeout_ms=300, retry_backoff_ms=50)
    publisher.publish(CONNECT)
    with pytest.raises(PublishError, match="1 of 1 records failed"):
        publisher.flush()
    with pytest.raises(PublishError, match="1 of 1 records failed"):
        publisher.publish(CONNECT)
    assert publisher.acked == 0


def test_what_is_not_confirmed_in_time_is_raised() -> None:
    settings = load_settings(env_file=None, brokers=f"127.0.0.1:{free_port()}")
    publisher = Publisher(settings, Codec())
    publisher.publish(CONNECT)
    with pytest.raises(PublishError, match="1 of 1 records not confirmed"):
        publisher.flush(0.1)


def test_a_record_too_large_for_the_client_is_refused_and_the_next_goes_through(live: Settings) -> None:
    with Publisher(live, Codec()) as publisher:
        with pytest.raises(PublishError, match="too large"):
            publisher.publish_raw("ticks", bytes(20 << 20), b"key")
        publisher.publish(CONNECT)
    assert publisher.acked == 1


def test_records_handed_over_while_the_broker_is_killed_arrive_once_and_in_order(private_broker: LocalKafka) -> None:
    settings = load_settings(env_file=None, brokers=private_broker.address)
    ensure_topics(settings)
    publisher = Publisher(settings, Codec())
    for number in range(3_000):
        if number == 1_000:
            publisher.flush()
            private_broker.kill()
        publisher.publish_raw("ticks", b"%d" % number, b"key", 0)
    private_broker.start()
    publisher.flush()
    assert [int(message.value() or b"") for message in read(settings, "ticks", 3_000)] == list(range(3_000))
