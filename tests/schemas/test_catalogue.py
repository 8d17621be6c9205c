import pytest

from schemas import RECORDS, Clock, Connect, Heartbeat, Tick, Trade
from schemas.catalogue import TOPICS, topics
from schemas.generate import definitions


def with_kafka(**kafka: object) -> list[dict[str, object]]:
    schema = next(schema for schema in definitions() if schema["name"] == "Bucket")
    return [{**schema, "kafka": kafka}]


def test_every_record_rides_on_exactly_one_topic() -> None:
    riding = [record for topic in TOPICS.values() for record in topic.records]
    assert sorted(riding, key=str) == sorted(RECORDS.values(), key=str)
    assert all(record.topic == topic.name for topic in TOPICS.values() for record in topic.records)


def test_ticks_carries_all_that_a_feed_says() -> None:
    assert TOPICS["ticks"].records == (Clock, Connect, Heartbeat, Tick, Trade)
    assert TOPICS["ticks"].config() == {"cleanup.policy": "delete", "retention.ms": "604800000"}


def test_a_compacted_topic_is_kept_for_ever() -> None:
    assert TOPICS["checkpoints"].config() == {"cleanup.policy": "compact", "max.message.bytes": "8388608"}


def test_all_topics_have_as_many_partitions() -> None:
    assert {topic.partitions for topic in TOPICS.values()} == {4}


def test_what_the_schema_says_counts() -> None:
    topic = topics(with_kafka(partitions=12, retention_days=1, compact=True))["buckets"]
    assert topic.partitions == 12
    assert topic.config() == {"cleanup.policy": "compact", "retention.ms": "86400000"}


def test_nothing_said_means_a_week() -> None:
    assert topics(with_kafka())["buckets"].config() == {"cleanup.policy": "delete", "retention.ms": "604800000"}


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(ValueError, match=r"buckets has unknown kafka settings: \{'retention': 1\}"):
        topics(with_kafka(retention=1))


def test_two_schemas_of_a_topic_cannot_both_set_it() -> None:
    with pytest.raises(ValueError, match="buckets has kafka settings in 2 schemas"):
        topics([*with_kafka(partitions=1), *with_kafka(partitions=2)])
