"""Redpanda and ClickHouse in containers, where a Docker engine is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import registry
from infra.broker import ensure_topics, partition_counts
from infra.publisher import Publisher
from infra.settings import load_settings
from schemas import Clock
from schemas.catalogue import TOPICS
from tests import brokers

CLICKHOUSE = "clickhouse/clickhouse-server:25.8"


@pytest.fixture(autouse=True)
def _engine() -> None:
    if not brokers.docker_engine():
        pytest.skip("needs a Docker engine")


@pytest.fixture
def redpanda() -> Iterator[tuple[str, str]]:
    from testcontainers.community.kafka import RedpandaContainer

    with RedpandaContainer(brokers.REDPANDA) as container:
        yield container.get_bootstrap_server(), container.get_schema_registry_address()


def test_redpanda_takes_the_topics_the_schemas_and_records(redpanda: tuple[str, str]) -> None:
    settings = load_settings(env_file=None, brokers=redpanda[0], schema_registry_url=redpanda[1])
    assert ensure_topics(settings) == list(TOPICS)
    with Publisher(settings, registry.codec(settings)) as publisher:
        publisher.publish(Clock(event_ns=1))
    assert publisher.acked == partition_counts(settings)["ticks"]


def test_clickhouse_answers_the_client_of_the_history(tmp_path: Path) -> None:
    import clickhouse_connect
    from testcontainers.community.clickhouse import ClickHouseContainer

    with ClickHouseContainer(CLICKHOUSE, username="tidemill", password="canary", dbname="tidemill") as container:
        port = int(container.get_exposed_port(8123))
        host = container.get_container_host_ip()
        client = clickhouse_connect.get_client(
            host=host, port=port, username="tidemill", password="canary", database="tidemill"
        )
        assert client.command("SELECT currentDatabase()") == "tidemill"
