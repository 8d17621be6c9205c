"""The history's tables: one for each record type, made from its class and its topic's settings.

A table holds every field of the record, then where the row comes from, then times to look at:

- ``_partition`` and ``_offset``, the row's place in its own topic; ``_cause_topic``, ``_cause_partition``,
  ``_cause_offset`` and ``_cause_ordinal``, the position of its cause; ``_exchange_ns``, ``_received_ns`` and
  ``_produced_ns`` of its cause (0 where the writer told none); ``_kafka_ns``, the timestamp of its own log;
  ``_stored_ns``, when it was written here;
- ``time``, the event time as DateTime64(9) and what queries filter on; a ``..._time`` for each other ``..._ns``.

A record that is delivered again, maybe at another offset, has the same key, event time and cause. That is the sorting
key of a ReplacingMergeTree, so one row stays, at the latest when parts merge: read ``FROM table FINAL``, which knows no
repeats at any time.
Partitions are months of event time, counted modulo 24, so that times years away make no more than 24 of them.
Rows go when they have been stored for as long as Kafka keeps the topic (a replayed day is old, and should stay); those
of a back-fill (infra/archive_backfill.py) stay for good.

Left out: the state in ``checkpoints``, large and of use to a worker only.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from infra.archive_backfill import LOG as BACKFILLED
from infra.clickhouse import Client, query
from infra.errors import UserError
from schemas import RECORDS, Record
from schemas.catalogue import DAY_MS, RETENTION_DAYS, TOPICS
from schemas.record import EVERY_KEY

LEFT_OUT = {"checkpoints": frozenset({"state"})}
FEW_VALUES = frozenset({"by", "cause", "feed", "side"})  # besides keys
TYPES: dict[Any, str] = {str: "String", bytes: "String", int: "Int64", float: "Float64", bool: "Bool"}
TEXT = "LowCardinality(String)"
RISING = "CODEC(Delta, LZ4)"
MOMENT = "DateTime64(9, 'UTC')"
CAUSE = ("_cause_topic", "_cause_partition", "_cause_offset", "_cause_ordinal")
LINEAGE = ("_partition", "_offset", *CAUSE, "_exchange_ns", "_received_ns", "_produced_ns", "_kafka_ns")
PARTITION = "toRelativeMonthNum(time) % 24"


class Column(NamedTuple):
    """A column: its name, its type, and what else its definition says."""

    name: str
    type: str
    more: str = ""

    def definition(self) -> str:
        """The column in a CREATE or ALTER."""
        return f"`{self.name}` {self.type} {self.more}".rstrip()


def columns(record: type[Record]) -> list[Column]:
    """The columns of a record's table."""
    fields = list(_fields(record))
    lineage = [Column(name, TEXT) if name == "_cause_topic" else Column(name, "Int64", RISING) for name in LINEAGE]
    stored = Column("_stored_ns", "Int64", f"DEFAULT toUnixTimestamp64Nano(now64(9)) {RISING}")
    time = Column("time", MOMENT, f"MATERIALIZED fromUnixTimestamp64Nano(event_ns, 'UTC') {RISING}")
    made = [*fields, *lineage, stored, time]
    return made + [
        Column(_time_of(column.name), MOMENT, f"ALIAS fromUnixTimestamp64Nano(`{column.name}`, 'UTC')")
        for column in made
        if column.name.endswith("_ns") and column.name != "event_ns"
    ]


def inserted(record: type[Record]) -> list[str]:
    """The columns that a writer gives."""
    return [*(column.name for column in _fields(record)), *LINEAGE]


def sorting_key(record: type[Record]) -> str:
    """What makes two rows the same record."""
    key = () if record.key_field == EVERY_KEY else (record.key_field,)
    return ", ".join((*key, "time", *CAUSE))


def create(record: type[Record]) -> str:
    """The statement that makes a record's table."""
    body = ",\n    ".join(column.definition() for column in columns(record))
    return (
        f"CREATE TABLE IF NOT EXISTS {record.table} (\n    {body}\n)\n"
        f"ENGINE = ReplacingMergeTree\nPARTITION BY {PARTITION}\nORDER BY ({sorting_key(record)})\n{ttl(record)}"
    )


def ttl(record: type[Record]) -> str:
    """When rows go."""
    kept_ms = TOPICS[record.topic].retention_ms or RETENTION_DAYS * DAY_MS
    live = f"NOT startsWith(_cause_topic, '{BACKFILLED}')"
    return f"TTL toDateTime(intDiv(_stored_ns, 1000000000)) + toIntervalSecond({kept_ms // 1000}) WHERE {live}"


def ensure_tables(client: Client) -> None:
    """Create what is missing: tables, columns of fields that came later, a changed time to live.

    Raises:
        UserError: a table there has a column of another type, or another sorting key.

    """
    here = "database = currentDatabase()"
    types: dict[str, dict[str, str]] = {}
    for table, name, kind in query(client, f"SELECT table, name, type FROM system.columns WHERE {here}").rows():
        types.setdefault(table, {})[name] = kind
    tables = query(client, f"SELECT name, sorting_key, engine_full FROM system.tables WHERE {here}").rows()
    engines = {name: (key, engine) for name, key, engine in tables}
    for table, record in RECORDS.items():
        if table in types:
            _evolve(client, record, types[table], *engines[table])
        else:
            client.command(create(record))


def _evolve(client: Client, record: type[Record], types: dict[str, str], key: str, engine: str) -> None:
    for column in columns(record):
        if column.name not in types:
            client.command(f"ALTER TABLE {record.table} ADD COLUMN {column.definition()}")
        elif types[column.name] != column.type:
            raise UserError(
                f"column {column.name} of table {record.table} in the history is {types[column.name]}, and the schema "
                f"makes it {column.type}: rename the table or drop it; a type is never changed in place"
            )
    if key != sorting_key(record):
        wanted = sorting_key(record)
        raise UserError(f"table {record.table} in the history is sorted by {key}, not {wanted}: rename it or drop it")
    if ttl(record) not in engine:
        client.command(f"ALTER TABLE {record.table} MODIFY {ttl(record)}")


def _fields(record: type[Record]) -> Iterator[Column]:
    for field in msgspec.structs.fields(record):
        if field.name == "time" or field.name.startswith("_"):
            raise ValueError(f"field {field.name} of {record.__name__} has a name that the history needs")
        if field.name in LEFT_OUT.get(record.table, ()):
            continue
        few = field.name == record.key_field or field.name in FEW_VALUES
        default = "" if field.default is msgspec.NODEFAULT else f"DEFAULT {_literal(field.default)}"
        more = f"{default} {RISING}" if field.name.endswith("_ns") else default
        yield Column(field.name, TEXT if few and field.type is str else TYPES[field.type], more.strip())


def _literal(value: Any) -> str:
    if isinstance(value, bytes):
        return f"unhex('{value.hex()}')"
    if isinstance(value, str):
        return f"unhex('{value.encode().hex()}')"
    return repr(value).lower()


def _time_of(name: str) -> str:
    return f"{name.removesuffix('_ns')}_time"
