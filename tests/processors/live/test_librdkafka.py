"""The producer of many records: what it is given arrives, whichever way, and what fails is told."""

import time
from collections import Counter
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException

from infra.broker import full_name, producer_config
from infra.settings import Settings
from processors.live.librdkafka import BatchProducer, Reports
from schemas.pieces import Pieces
from tests.live import read
from tests.waiting import PATIENCE_S

HEADERS = ("tidemill-position", "tidemill-times")
COUNT = 300


@pytest.fixture
def producing(live: Settings) -> Callable[..., BatchProducer]:
    def make(**more: object) -> BatchProducer:
        return BatchProducer(producer_config(live, **more), HEADERS)

    return make


def told(producer: BatchProducer, count: int) -> Reports:
    """What has become of so many records."""
    found, end = Reports(Counter(), []), time.monotonic() + PATIENCE_S
    while sum(found.confirmed.values()) + len(found.failed) < count:
        assert time.monotonic() < end, found
        some = producer.reports(0.1)
        found.confirmed.update(some.confirmed)
        found.failed.extend(some.failed)
    return found


def parts(count: int, size: int = 20) -> list[list[bytes]]:
    values = [b"%d" % number + b"v" * (number % size) for number in range(count)]
    keys = [b"" if number % 7 == 0 else b"k%d" % number for number in range(count)]
    return [values, keys, [b"ticks:0:%d:0" % number for number in range(count)], [b"1 2 3"] * count]


@pytest.mark.parametrize("columns", [False, True])
def test_records_arrive_in_order_with_all_they_have(
    live: Settings, producing: Callable[..., BatchProducer], columns: bool
) -> None:
    producer, given = producing(), parts(COUNT)
    segments = [(full_name(live, "buckets"), COUNT - 100), (full_name(live, "emas"), 100)]
    if columns:
        pieces = [Pieces.of(column) for column in given]
        assert producer.send_columns(segments, 1, 7, pieces) == COUNT
    else:
        assert producer.send_rows(segments, 1, 7, given) == COUNT
    assert told(producer, COUNT) == Reports(Counter({7: COUNT}), [])
    assert len(producer) == 0
    found = [message for topic in ("buckets", "emas") for message in read(live, topic)[1]]
    assert [message.value() for message in found] == given[0]
    assert [message.key() or b"" for message in found] == given[1]
    headers = [[(HEADERS[0], position), (HEADERS[1], times)] for position, times in zip(*given[2:], strict=True)]
    assert [message.headers() for message in found] == headers
    producer.close()


def test_both_ways_keep_one_order_and_marks_apart(live: Settings, producing: Callable[..., BatchProducer]) -> None:
    producer, given = producing(), parts(30)
    topic = full_name(live, "buckets")
    for mark in range(3):
        some = [column[mark * 10 : mark * 10 + 10] for column in given]
        if mark == 1:
            producer.send_columns([(topic, 10)], 0, mark, [Pieces.of(column) for column in some])
        else:
            producer.send_rows([(topic, 10)], 0, mark, some)
    assert told(producer, 30).confirmed == {0: 10, 1: 10, 2: 10}
    assert [message.value() for message in read(live, "buckets")[0]] == given[0]
    producer.close()


def test_records_without_headers(live: Settings, producing: Callable[..., BatchProducer]) -> None:
    producer = producing()
    assert producer.send_rows([(full_name(live, "checkpoints"), 1)], 0, 3, [[b"state"], [b"chain"]]) == 1
    assert told(producer, 1).confirmed == {3: 1}
    (message,) = read(live, "checkpoints")[0]
    assert (message.key(), message.value(), message.headers()) == (b"chain", b"state", None)
    producer.close()


@pytest.mark.parametrize("columns", [False, True])
def test_a_full_memory_takes_a_part_and_the_rest_later(
    live: Settings, producing: Callable[..., BatchProducer], columns: bool
) -> None:
    producer = producing(queue_buffering_max_messages=50, linger_ms=20)
    given: list[list[bytes]] = parts(COUNT)
    pieces = [Pieces.of(column) for column in given]
    segments = [(full_name(live, "buckets"), COUNT)]
    taken, turns, done = 0, 0, 0
    while taken < COUNT:
        if columns:
            taken = producer.send_columns(segments, 0, 1, pieces, taken)
        else:
            taken = producer.send_rows(segments, 0, 1, given, taken)
        turns += 1
        done += producer.reports(0.1).confirmed[1]
        assert turns < 1_000
    assert turns > 1
    told(producer, COUNT - done)
    assert [message.value() for message in read(live, "buckets")[0]] == given[0]
    producer.close()


@pytest.mark.parametrize("columns", [False, True])
def test_a_record_that_is_too_large_is_refused_and_those_before_it_are_sent(
    live: Settings, producing: Callable[..., BatchProducer], columns: bool
) -> None:
    producer, given = producing(message_max_bytes=1_000), parts(3)
    given[0][2] = b"x" * 2_000
    segments = [(full_name(live, "buckets"), 3)]
    send: Callable[..., int] = producer.send_columns if columns else producer.send_rows
    with pytest.raises(KafkaException) as caught:
        send(segments, 0, 1, [Pieces.of(column) for column in given] if columns else given)
    assert caught.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert told(producer, 2).confirmed == {1: 2}
    producer.close()


def test_what_the_broker_never_takes_is_told_with_its_topic(
    live: Settings, producing: Callable[..., BatchProducer]
) -> None:
    producer, topic = producing(), full_name(live, "buckets")
    producer.send_rows([(topic, 1)], 999, 1, parts(1))
    ((failed, error),) = told(producer, 1).failed
    assert (failed, error.code()) == (topic, KafkaError._UNKNOWN_PARTITION)
    producer.close()


def test_a_setting_that_librdkafka_does_not_know_is_named(producing: Callable[..., BatchProducer]) -> None:
    with pytest.raises(ValueError, match=r"no\.such\.setting"):
        producing(no_such_setting=1)
