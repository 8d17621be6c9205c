"""Kafka: how clients are configured, and the topics of the catalogue.

Inside records, positions and headers a topic has its own name; ``full_name`` puts the prefix before it at the broker.
"""

import logging
import os
import time
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from infra.errors import UserError
from infra.settings import Settings
from schemas.catalogue import TOPICS, Topic

LARGEST_MESSAGE = 16 << 20  # bytes that a client takes or sends; each topic has a limit of its own below it
CLIENT_MEMORY = 64 << 10  # kibibytes of records that a client keeps, fetched or to be sent


def full_name(settings: Settings, topic: str) -> str:
    """A topic's name at the broker."""
    return settings.topic_prefix + topic


def partitions(settings: Settings, topic: str) -> int:
    """How many partitions a topic of the catalogue has."""
    return settings.partitions or TOPICS[topic].partitions


def client_config(settings: Settings) -> dict[str, Any]:
    """What every librdkafka client needs: the brokers and the login."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.brokers,
        "client.id": f"tidemill-{os.getpid()}",
        "security.protocol": settings.security_protocol,
        "log.connection.close": False,
        "logger": logging.getLogger("kafka"),
        "reconnect.backoff.max.ms": 1_000,
    }
    if settings.ssl_ca_location is not None:
        config["ssl.ca.location"] = str(settings.ssl_ca_location)
    if settings.sasl_password is not None and settings.security_protocol.startswith("SASL"):
        config |= {
            "sasl.mechanism": settings.sasl_mechanism,
            "sasl.username": settings.sasl_username,
            "sasl.password": settings.sasl_password.get_secret_value(),
        }
    return config


def consumer_config(settings: Settings, group: str | None = None, **more: Any) -> dict[str, Any]:
    """A consumer that starts at the oldest record and commits only what it is told to.

    ``more`` adds or replaces settings of librdkafka, with ``_`` for ``.``.
    """
    config = client_config(settings) | {
        "group.id": group or settings.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": False,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "range",
        "session.timeout.ms": settings.session_timeout_ms,
        "heartbeat.interval.ms": settings.session_timeout_ms // 3,
        "fetch.queue.backoff.ms": 5,  # the default of 1 s more than halves what one consumer reads
        "queued.max.messages.kbytes": CLIENT_MEMORY,
        "fetch.message.max.bytes": 1 << 20,
        "receive.message.max.bytes": 100_000_000,
    }
    if settings.worker_id:
        config["group.instance.id"] = f"{config['group.id']}-{settings.worker_id}"
    return config | {name.replace("_", "."): value for name, value in more.items()}


def producer_config(settings: Settings, **more: Any) -> dict[str, Any]:
    """An idempotent producer that puts keys where Java clients, aiokafka and Faust put them."""
    config = client_config(settings) | {
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 1,  # at less the requests cost more time than they save
        "queue.buffering.max.messages": 500_000,
        "queue.buffering.max.kbytes": 4 * CLIENT_MEMORY,
        "message.max.bytes": LARGEST_MESSAGE,
        "delivery.timeout.ms": 120_000,
    }
    return config | {name.replace("_", "."): value for name, value in more.items()}


def admin(settings: Settings) -> AdminClient:
    """A client for topics, groups and offsets."""
    return AdminClient(client_config(settings))


def partition_counts(settings: Settings, timeout_s: float = 10.0) -> dict[str, int]:
    """How many partitions each of our topics has at the broker; those that are not there are left out.

    Raises:
        UserError: no broker answers.

    """
    try:
        found = admin(settings).list_topics(timeout=timeout_s).topics
    except KafkaException as error:
        todo = "start one with tidemill up, or set TIDEMILL_BROKERS"
        raise UserError(f"no Kafka broker answers at {settings.brokers} ({error.args[0].str()}): {todo}") from None
    names = {full_name(settings, topic): topic for topic in TOPICS}
    return {names[name]: len(item.partitions) for name, item in found.items() if name in names and item.error is None}


def ensure_topics(settings: Settings, timeout_s: float = 30.0) -> list[str]:
    """Create the topics of the catalogue that are missing, wait until they are there, and name them.

    Raises:
        UserError: no broker answers, it refuses a topic, or a topic there has another number of partitions.

    """
    until = time.monotonic() + timeout_s
    present = partition_counts(settings, timeout_s)
    _check(settings, present)
    missing = [topic for name, topic in TOPICS.items() if name not in present]
    if missing:
        _create(settings, missing, timeout_s)
    while len(present) < len(TOPICS):
        if time.monotonic() > until:
            missed = ", ".join(sorted(set(TOPICS) - set(present)))
            raise UserError(f"topics still missing after {timeout_s:g} s: {missed}")
        time.sleep(0.05)
        present = partition_counts(settings, timeout_s)
    _check(settings, present)
    _await_leaders(settings, {topic.name: present[topic.name] for topic in missing}, until)
    return [topic.name for topic in missing]


def _await_leaders(settings: Settings, counts: dict[str, int], until: float) -> None:
    """Wait until every partition of some topics answers: a new one is in the metadata before its leader knows."""
    places = {
        TopicPartition(full_name(settings, topic), number): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for topic, count in counts.items()
        for number in range(count)
    }
    client = admin(settings)
    while places:
        answers = client.list_offsets(places, request_timeout=max(until - time.monotonic(), 1.0))
        failed = {place: future.exception() for place, future in answers.items() if future.exception() is not None}
        if failed and time.monotonic() > until:
            place, error = next(iter(failed.items()))
            raise UserError(f"{place.topic} {place.partition} does not answer: {error}")
        places = {place: places[place] for place in failed}
        if places:
            time.sleep(0.05)


def _check(settings: Settings, present: dict[str, int]) -> None:
    wrong = [
        f"topic {full_name(settings, name)} has {count} partitions, expected {partitions(settings, name)}"
        for name, count in present.items()
        if count != partitions(settings, name)
    ]
    if wrong:
        raise UserError("\n".join([*wrong, "set TIDEMILL_PARTITIONS, another TIDEMILL_TOPIC_PREFIX, or delete them"]))


def _create(settings: Settings, topics: list[Topic], timeout_s: float) -> None:
    client = admin(settings)  # has to outlive what it was asked
    asked = client.create_topics([_new(settings, topic) for topic in topics], operation_timeout=timeout_s)
    for name, result in asked.items():
        try:
            result.result(timeout_s)
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":  # another process was faster
                raise UserError(f"the broker refuses topic {name}: {error.args[0].str()}") from None


def _new(settings: Settings, topic: Topic) -> NewTopic:
    config = topic.config() | {"compression.type": "producer"}
    count = partitions(settings, topic.name)
    return NewTopic(full_name(settings, topic.name), count, settings.replication_factor, config=config)
