"""The sink as it runs, between a real broker and ClickHouse, killed while records come in: each is kept once."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumers.clickhouse import ClickHouse
from infra.broker import consumer_config, full_name
from infra.clickhouse import connect, query
from infra.publisher import Publisher
from infra.settings import Settings
from schemas.catalogue import PARTITIONS
from schemas.codec import Codec
from schemas.position import Position
from tests.data import ROOT
from tests.faults.sink_writer import bucket, bucket_at, tick
from tests.waiting import PATIENCE_S, until

SEED = 20_251_126
KILLS = 5
AT_ONCE, PAUSE_S = 100, 0.1  # records of each topic


@contextmanager
def sink(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """``tidemill sink``; a fixed member of its group, so that it need not wait for the dead one's session to end."""
    given = {
        "TIDEMILL_BROKERS": settings.brokers,
        "TIDEMILL_TOPIC_PREFIX": settings.topic_prefix,
        "TIDEMILL_GROUP": settings.group,
        "TIDEMILL_WORKER_ID": "one",
        "TIDEMILL_DATA_DIR": str(settings.data_dir),
    }
    command = [sys.executable, "-m", "consumers"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | given, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


class Source(threading.Thread):
    """Publishes all the time: ticks, and the buckets of a worker that repeats itself (tests/faults/sink_writer.py)."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings, self._over = settings, threading.Event()
        self.published = 0  # of each topic

    def run(self) -> None:
        with Publisher(self._settings, Codec()) as publisher:
            while not self._over.wait(PAUSE_S):
                for offset in range(self.published, self.published + AT_ONCE):
                    number = bucket_at(offset)
                    publisher.publish(tick(offset))
                    publisher.publish(bucket(number), position=Position("ticks", 0, number))
                self.published += AT_ONCE

    def stop(self) -> int:
        """End; how many records each topic has."""
        self._over.set()
        self.join(PATIENCE_S)
        return self.published


def committed(settings: Settings) -> int:
    """How many records of the two topics the sink has committed; 0 while the broker cannot tell."""
    own = settings.model_copy(update={"worker_id": ""})
    consumer = Consumer(consumer_config(own, f"{settings.group}-{ClickHouse.name}"))
    topics = [full_name(settings, topic) for topic in ("ticks", "buckets")]
    places = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
    try:
        return sum(max(place.offset, 0) for place in consumer.committed(places, timeout=60.0))
    except KafkaException:  # the group's coordinator is not there yet
        return 0
    finally:
        consumer.close()


def wait_for(settings: Settings, records: int) -> int:
    """Wait until so many records are committed; how many are."""
    reached = 0

    def come() -> bool:
        nonlocal reached
        reached = committed(settings)
        return reached >= records

    until(come, lambda: f"{reached} of {records} records committed")
    return reached


@pytest.mark.real_broker
def test_a_sink_killed_while_records_come_in_keeps_each_once(live: Settings) -> None:
    rng, reached = random.Random(SEED), 0
    source = Source(live)
    source.start()
    for _ in range(KILLS):
        with sink(live) as process:
            reached = wait_for(live, reached + 1)
            time.sleep(rng.uniform(0.0, 1.5))
            process.send_signal(signal.SIGKILL)
    total = source.stop()
    with sink(live) as process:
        wait_for(live, 2 * total)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    client = connect(live)
    ticks = query(client, "SELECT trade_id, price FROM ticks FINAL ORDER BY trade_id").rows()
    buckets = query(client, "SELECT ticks FROM buckets FINAL ORDER BY ticks")["ticks"].to_list()
    client.close()
    print(f"{KILLS} kills, {total} records of each of two topics")
    assert ticks == [(number, tick(number).price) for number in range(total)]
    assert buckets == sorted({bucket_at(offset) for offset in range(total)})
