"""What ``tidemill status`` says of the topics."""

import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from infra.broker import consumer_config, full_name
from infra.local import free_port
from infra.publisher import Publisher
from infra.settings import Settings, UserError, load_settings
from infra.topic_status import TopicStatus, topic_status
from schemas import Clock
from schemas.catalogue import TOPICS
from schemas.codec import Codec


def status_of(settings: Settings, topic: str) -> TopicStatus:
    return next(item for item in topic_status(settings) if item.topic == topic)


def test_a_topic_that_nobody_has_written_or_read(live: Settings) -> None:
    assert [item.topic for item in topic_status(live)] == list(TOPICS)
    assert status_of(live, "ticks") == TopicStatus("ticks", 4, 0, None, None)


def test_records_lag_and_age_are_those_of_the_log(live: Settings) -> None:
    with Publisher(live, Codec()) as publisher:
        for number in range(10):
            publisher.publish(Clock(event_ns=number))
    consumer = Consumer(consumer_config(live))
    consumer.commit(offsets=[TopicPartition(full_name(live, "ticks"), 0, 7)], asynchronous=False)
    consumer.close()
    found = status_of(live, "ticks")
    assert (found.records, found.lag) == (40, 33)
    assert found.last_ns is not None
    assert abs(time.time_ns() - found.last_ns) < 60 * 10**9


@pytest.mark.real_broker
def test_topics_that_are_missing_have_no_partitions(settings: Settings) -> None:
    assert {item.partitions for item in topic_status(settings)} == {0}


def test_a_broker_that_is_away_is_named() -> None:
    settings = load_settings(env_file=None, brokers=f"127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match=f"no Kafka broker answers at {settings.brokers}"):
        topic_status(settings)
