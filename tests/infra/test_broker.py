"""Topics of the catalogue at a broker, and how clients are configured."""

from collections.abc import Callable

import pytest
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]

from infra.broker import admin, consumer_config, ensure_topics, full_name, partition_counts, partitions, producer_config
from infra.errors import UserError
from infra.local import free_port
from infra.settings import Settings, load_settings
from schemas.catalogue import TOPICS


@pytest.mark.real_broker
def test_creates_every_topic_of_the_catalogue_once(settings: Settings) -> None:
    assert ensure_topics(settings) == list(TOPICS)
    assert ensure_topics(settings) == []
    assert partition_counts(settings) == {name: topic.partitions for name, topic in TOPICS.items()}


@pytest.mark.real_broker
def test_topics_are_kept_as_the_catalogue_says(live: Settings) -> None:
    resources = {full_name(live, name): topic for name, topic in TOPICS.items()}
    client = admin(live)
    asked = client.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name) for name in resources])
    for resource, result in asked.items():
        told = {name: entry.value for name, entry in result.result().items()}
        wanted = resources[resource.name].config()
        assert {name: told[name] for name in wanted} == wanted


@pytest.mark.real_broker
def test_a_topic_with_another_partition_count_is_refused_by_name(make_topics: Callable[..., Settings]) -> None:
    made = make_topics(partitions=2)
    with pytest.raises(UserError, match=rf"{made.topic_prefix}ticks has 2 partitions, expected 3"):
        ensure_topics(made.model_copy(update={"partitions": 3}))


def test_a_broker_that_does_not_answer_is_named() -> None:
    settings = load_settings(env_file=None, brokers=f"127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match=f"no Kafka broker answers at {settings.brokers} .*tidemill up"):
        ensure_topics(settings, timeout_s=1.0)


def test_partitions_of_the_settings_replace_those_of_the_catalogue() -> None:
    assert partitions(load_settings(env_file=None), "ticks") == TOPICS["ticks"].partitions
    assert partitions(load_settings(env_file=None, partitions=7), "ticks") == 7


def test_a_login_reaches_every_client() -> None:
    settings = load_settings(
        env_file=None,
        security_protocol="SASL_SSL",
        sasl_username="worker",
        sasl_password="pass",
        ssl_ca_location="ca.pem",
    )
    for config in (consumer_config(settings), producer_config(settings)):
        assert config["sasl.password"] == "pass"
        assert (config["security.protocol"], config["ssl.ca.location"]) == ("SASL_SSL", "ca.pem")


def test_a_named_worker_is_a_static_member_of_each_group() -> None:
    settings = load_settings(env_file=None, worker_id="one")
    assert consumer_config(settings, "sink", fetch_wait_max_ms=7)["group.instance.id"] == "sink-one"
    assert "group.instance.id" not in consumer_config(load_settings(env_file=None))
