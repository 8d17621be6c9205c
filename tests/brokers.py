"""The Kafka broker that tests run on: the best that this machine has, and its name.

Redpanda in a container where a Docker engine answers, else a local Apache Kafka where Java and Maven are, else
librdkafka's mock cluster, on which tests marked ``real_broker`` are skipped. ``TIDEMILL_TEST_BROKER`` forces one of
``redpanda``, ``kafka`` and ``mock``.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer

from infra.broker import full_name
from infra.errors import UserError
from infra.local import LocalKafka
from infra.settings import Settings
from schemas.catalogue import PARTITIONS, TOPICS

REDPANDA = "docker.redpanda.com/redpandadata/redpanda:v26.2.3"
FORCED = "TIDEMILL_TEST_BROKER"


@dataclass(frozen=True)
class TestBroker:
    """A running broker."""

    __test__ = False
    kind: str  # redpanda, kafka or mock
    name: str
    address: str
    stop: Callable[[], object]

    @property
    def real(self) -> bool:
        """Whether it keeps its records on a disk and can be killed."""
        return self.kind != "mock"

    def prepare(self, settings: Settings) -> None:
        """Make ``ensure_topics`` work: the mock cluster creates a topic only when it is asked about it."""
        if self.real:
            return
        if settings.partitions not in (None, PARTITIONS):
            pytest.skip(f"the mock cluster knows only topics of {PARTITIONS} partitions")
        producer = Producer({"bootstrap.servers": self.address})
        for topic in TOPICS:
            producer.list_topics(full_name(settings, topic), timeout=10.0)


def kinds() -> list[str]:
    """The brokers that this machine should be able to run, the best first."""
    forced = os.environ.get(FORCED)
    if forced:
        if forced not in START:
            raise pytest.UsageError(f"{FORCED}={forced}: expected one of {', '.join(START)}")
        return [forced]
    return [kind for kind, there in (("redpanda", docker_engine()), ("kafka", java_and_maven())) if there] + ["mock"]


def docker_engine() -> bool:
    """Whether a Docker engine answers."""
    import docker  # type: ignore[import-untyped]

    try:
        return bool(docker.from_env(timeout=5).ping())
    except Exception:  # whatever is wrong with it, there is none
        return False


def java_and_maven() -> bool:
    """Whether a local Kafka can be fetched and run."""
    return bool(shutil.which("java") and shutil.which("mvn"))


def start() -> TestBroker:
    """Start the best broker; one that does not come up is passed over, saying so, unless it was forced."""
    passed_over: list[str] = []
    wanted = kinds()
    for kind in wanted:
        try:
            found = START[kind]()
        except Exception as error:
            if kind == wanted[-1]:
                raise
            passed_over.append(f"{kind} did not start: {str(error).splitlines()[0]}")
            continue
        name = "; ".join([found.name, *passed_over])
        return TestBroker(found.kind, name, found.address, found.stop)
    raise UserError("no broker for the tests")


def _redpanda() -> TestBroker:
    from testcontainers.community.kafka import RedpandaContainer

    container = RedpandaContainer(REDPANDA).start()
    name = f"Redpanda in a container ({REDPANDA})"
    return TestBroker("redpanda", name, container.get_bootstrap_server(), container.stop)


def _kafka() -> TestBroker:
    folder = Path(tempfile.mkdtemp(prefix="tidemill-kafka-"))
    broker = LocalKafka(folder)
    broker.start()

    def stop() -> None:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)

    return TestBroker("kafka", f"Apache Kafka on this machine ({broker.address})", broker.address, stop)


def _mock() -> TestBroker:
    cluster = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 3})
    addresses = ",".join(f"{node.host}:{node.port}" for node in cluster.list_topics(timeout=10.0).brokers.values())
    return TestBroker(
        "mock", "librdkafka's mock cluster; tests that need a real broker are skipped", addresses, cluster.flush
    )


START = {"redpanda": _redpanda, "kafka": _kafka, "mock": _mock}
