"""The topics: what each carries, and how Kafka is to keep it.

A topic's settings stand as ``kafka`` in one .avsc of it: ``retention_days`` (7), ``partitions`` (4), ``compact``
(false; keeps the newest record of each key for ever), ``max_message_bytes`` (the broker's default).
"""

from dataclasses import dataclass
from typing import Any

from schemas.generate import definitions
from schemas.record import Record
from schemas.records import RECORDS

PARTITIONS = 4
RETENTION_DAYS = 7
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic, whose name is without the prefix that a run may put before it."""

    name: str
    records: tuple[type[Record], ...]
    partitions: int
    retention_ms: int | None  # None: for ever
    compact: bool
    max_message_bytes: int | None  # None: the broker's default

    def config(self) -> dict[str, str]:
        """The topic's settings in Kafka's words."""
        settings = {"cleanup.policy": "compact" if self.compact else "delete"}
        if self.retention_ms is not None:
            settings["retention.ms"] = str(self.retention_ms)
        if self.max_message_bytes is not None:
            settings["max.message.bytes"] = str(self.max_message_bytes)
        return settings


def topics(schemas: list[dict[str, Any]]) -> dict[str, Topic]:
    """The topics of some schemas, as ``generate.definitions`` gives them, in name order."""
    names = sorted({schema["topic"] for schema in schemas})
    return {name: _topic(name, [schema for schema in schemas if schema["topic"] == name]) for name in names}


def _topic(name: str, schemas: list[dict[str, Any]]) -> Topic:
    settings = [schema["kafka"] for schema in schemas if "kafka" in schema]
    if len(settings) > 1:
        raise ValueError(f"topic {name} has kafka settings in {len(settings)} schemas: {settings}")
    kafka = dict(settings[0]) if settings else {}
    compact = kafka.pop("compact", False)
    days = kafka.pop("retention_days", None if compact else RETENTION_DAYS)
    topic = Topic(
        name=name,
        records=tuple(RECORDS[schema["table"]] for schema in schemas),
        partitions=kafka.pop("partitions", PARTITIONS),
        retention_ms=None if days is None else days * DAY_MS,
        compact=compact,
        max_message_bytes=kafka.pop("max_message_bytes", None),
    )
    if kafka:
        raise ValueError(f"topic {name} has unknown kafka settings: {kafka}")
    return topic


TOPICS = topics(definitions())
