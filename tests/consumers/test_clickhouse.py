"""The ClickHouse sink on the embedded database: what goes in comes out, once."""

import dataclasses
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fastavro
import numpy as np
import pytest

from consumers.clickhouse import ClickHouse
from infra.clickhouse import connect, query
from infra.errors import UserError
from infra.settings import Settings, load_settings
from infra.tables import LEFT_OUT, columns, create, ensure_tables, inserted, sorting_key
from schemas import RECORDS, Checkpoint, Clock, DeadLetter, Gap, Record, Tick
from schemas.batch import Batch, lineage
from schemas.catalogue import TOPICS
from schemas.codec import Codec
from schemas.columns import Keys
from schemas.generate import definitions
from schemas.position import Position
from tests.derived import batches
from tests.history import batch
from tests.streams import NOON, SECOND, quote, raw
from tests.waiting import PATIENCE_S

SERVER = "clickhouse/clickhouse-server:25.8"
EXTREMES = {
    int: (-(2**63), 2**63 - 1, -1, 0),
    float: (5e-324, 1.7976931348623157e308, -0.0, 0.1 + 0.2),
    str: ("", "coinbase:ETH-USD", "naïve 'quoted' \\ \t\n ☃", "a\0b"),
    bytes: (b"", bytes(range(256)), b"\x00", b"trailing\x00"),
    bool: (True, False, True, False),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(env_file=None, data_dir=tmp_path)


@pytest.fixture
def sink(settings: Settings) -> Iterator[ClickHouse]:
    opened = ClickHouse(settings)
    yield opened
    opened.close()


def count(sink: ClickHouse, table: str, final: bool = True) -> int:
    return int(query(sink.client, f"SELECT count() FROM {table} {'FINAL' if final else ''}").item())


def extreme_records(record: type[Record]) -> list[Record]:
    """Records whose fields hold the ends of their types."""
    types = record.__annotations__
    return [record(**{name: EXTREMES[types[name]][row] for name in record.__struct_fields__}) for row in range(4)]


@pytest.mark.parametrize("table", sorted(RECORDS))
def test_every_value_of_every_record_type_comes_out_as_it_went_in(sink: ClickHouse, table: str) -> None:
    record = RECORDS[table]
    given = extreme_records(record)
    sink.write([batch(given, start=7, partition=3)])
    names = [name for name in record.__struct_fields__ if name not in LEFT_OUT.get(table, ())]
    hexed = [f"hex(`{name}`)" if record.__annotations__[name] in (str, bytes) else f"`{name}`" for name in names]
    rows = query(sink.client, f"SELECT {', '.join(hexed)} FROM {table} FINAL ORDER BY _offset").rows()
    assert [_plain(row) for row in rows] == [_plain(_values(item, names)) for item in given]


def _values(record: Record, names: list[str]) -> tuple[object, ...]:
    values = (getattr(record, name) for name in names)
    texts = (value.encode() if isinstance(value, str) else value for value in values)
    return tuple(value.hex().upper() if isinstance(value, bytes) else value for value in texts)


def _plain(row: tuple[object, ...]) -> list[str]:
    return [value.hex() if isinstance(value, float) else str(value) for value in row]


def test_a_row_knows_its_place_its_cause_and_its_times(sink: ClickHouse) -> None:
    tick = quote("x:a", NOON + 1, received_ns=NOON + 5)
    sink.write([batch([tick], start=42, partition=2, positions=[Position("frames", 1, 9, 3)])])
    [row] = query(
        sink.client,
        "SELECT _partition, _offset, _cause_topic, _cause_partition, _cause_offset, _cause_ordinal, _exchange_ns, "
        "_received_ns, toUnixTimestamp64Nano(time), toUnixTimestamp64Nano(received_time), _stored_ns > _kafka_ns "
        "FROM ticks",
    ).rows()
    assert row == (2, 42, "frames", 1, 9, 3, NOON + 1, NOON + 5, NOON + 1, NOON + 5, 1)


def test_the_same_batches_twice_count_once(sink: ClickHouse) -> None:
    given = batches(raw(1, 3_000))
    sink.write(given)
    once = {table: count(sink, table) for table in RECORDS}
    sink.write(given)
    sink.write(given[:1])
    assert {table: count(sink, table) for table in RECORDS} == once
    assert sum(once[record.table] for record in TOPICS["ticks"].records) == 3_000
    assert all(once[table.record.table] for held in given for table in held.tables)
    assert count(sink, "ticks", final=False) > once["ticks"]


def test_merged_rows_are_one_without_final(sink: ClickHouse) -> None:
    given = batches(raw(2, 500))
    sink.write(given)
    sink.write(given)
    sink.client.command("OPTIMIZE TABLE ticks FINAL")
    assert count(sink, "ticks", final=False) == count(sink, "ticks")


def test_a_derived_record_delivered_again_at_another_offset_counts_once(sink: ClickHouse) -> None:
    first = batches(raw(3, 1_000))[1]
    moved = dataclasses.replace(first.lineage, offset=first.lineage.offset + 10_000)
    sink.write([first])
    sink.write([dataclasses.replace(first, lineage=moved)])
    assert count(sink, first.topic) == len(first)


def test_equal_records_with_different_causes_are_both_kept(sink: ClickHouse) -> None:
    sink.write([batch([Clock(NOON), Clock(NOON)])])
    sink.write([batch([Clock(NOON)], partition=1)])
    assert count(sink, "clocks") == 3


def test_no_nan_reaches_a_table(sink: ClickHouse) -> None:
    good, keys = quote("x:a", NOON), Keys()
    schema = next(schema for schema in definitions() if schema["table"] == "ticks")
    body = io.BytesIO()
    values = {name: getattr(good, name) for name in good.__struct_fields__}
    fastavro.schemaless_writer(body, schema, values | {"bid": float("nan")})
    encoded = Codec().encode(good)
    found, rejects = Codec().decode_tables([encoded, encoded[:5] + body.getvalue(), encoded], keys)
    where = lineage(range(3), [Position("ticks", 0, offset) for offset in range(3)], [None] * 3, [0] * 3)
    sink.write([Batch("ticks", 0, keys, found, where)])
    assert [index for index, _ in rejects] == [1]
    assert query(sink.client, "SELECT count(), countIf(isNaN(bid)) FROM ticks FINAL").rows() == [(2, 0)]


def test_times_years_away_make_no_more_than_24_partitions(sink: ClickHouse) -> None:
    rng = np.random.default_rng(4)
    sink.write([batch([Clock(int(moment)) for moment in rng.integers(-(2**63), 2**63 - 1, 3_000)])])
    sql = "SELECT uniq(partition), sum(rows) FROM system.parts WHERE active AND table = 'clocks'"
    partitions, rows = query(sink.client, sql).row(0)
    assert rows == 3_000
    assert partitions <= 24


def test_rows_go_when_stored_longer_than_kafka_keeps_the_topic(sink: ClickHouse) -> None:
    old = (NOON // SECOND - 8 * 86_400) * SECOND
    sink.write([batch([quote("x:a", old)])])  # an old event, stored now, stays
    frame = batch([quote("x:b", NOON)]).frame(batch([quote("x:b", NOON)]).tables[0]).select(inserted(Tick))
    frame = frame.with_columns(_stored_ns=old)
    sink.client.insert_arrow("ticks", frame.to_arrow())
    sink.client.command("OPTIMIZE TABLE ticks FINAL")
    assert query(sink.client, "SELECT instrument FROM ticks FINAL").rows() == [("x:a",)]


def test_checkpoints_are_kept_without_their_state(sink: ClickHouse) -> None:
    sink.write([batch([Checkpoint(chain="g:ticks:0", event_ns=NOON, offset=5, options="{}", state=bytes(10_000))])])
    assert query(sink.client, "SELECT chain, offset FROM checkpoints FINAL").rows() == [("g:ticks:0", 5)]
    assert "state" not in {column.name for column in columns(Checkpoint)}


def test_nothing_is_written_for_a_batch_without_rows(sink: ClickHouse) -> None:
    empty = lineage([], [], [], [])
    sink.write([Batch("ticks", 0, Keys(), [], empty)])
    assert count(sink, "ticks") == 0


def test_a_field_that_came_later_gets_its_column_and_old_rows_the_default(sink: ClickHouse) -> None:
    sink.client.command("ALTER TABLE gaps DROP COLUMN recovered")
    sink.client.command("ALTER TABLE gaps DROP COLUMN from_time")
    ensure_tables(sink.client)
    gap = Gap("x:a", NOON, "x", "missed", from_ns=1, to_ns=2, expected=3, seen=4, missed=1, recovered=True)
    sink.write([batch([gap])])
    rows = query(sink.client, "SELECT recovered, toUnixTimestamp64Nano(from_time) FROM gaps FINAL").rows()
    assert rows == [(True, 1)]


def test_a_default_of_the_schema_is_the_columns(sink: ClickHouse) -> None:
    class Later(Tick, frozen=True, gc=False):  # type: ignore[misc]
        note: str = "it's"
        weight: float = 1.5
        final: bool = True

    made = {column.name: column.definition() for column in columns(Later)}
    for name in ("note", "weight", "final"):
        sink.client.command(f"ALTER TABLE ticks ADD COLUMN {made[name]}")
    sink.write([batch([quote("x:a", NOON)])])
    assert query(sink.client, "SELECT note, weight, `final` FROM ticks").rows() == [("it's", 1.5, True)]


def test_a_column_of_another_type_is_refused_by_name(settings: Settings, sink: ClickHouse) -> None:
    sink.client.command("ALTER TABLE ticks MODIFY COLUMN sequence Float64")
    told = "column sequence of table ticks in the history is Float64, and the schema makes it Int64"
    with pytest.raises(UserError, match=told):
        ClickHouse(settings)


def test_a_table_sorted_otherwise_is_refused(settings: Settings, sink: ClickHouse) -> None:
    sink.client.command("DROP TABLE clocks")
    sink.client.command(create(Clock).replace(f"ORDER BY ({sorting_key(Clock)})", "ORDER BY (time, _cause_offset)"))
    with pytest.raises(UserError, match="table clocks in the history is sorted by"):
        ClickHouse(settings)


def test_a_changed_retention_changes_the_table(sink: ClickHouse) -> None:
    sql = "SELECT engine_full FROM system.tables WHERE name = 'ticks' AND database = currentDatabase()"
    before = query(sink.client, sql).item()
    sink.client.command("ALTER TABLE ticks MODIFY TTL toDateTime(intDiv(_stored_ns, 1000000000)) + toIntervalSecond(5)")
    ensure_tables(sink.client)
    assert query(sink.client, sql).item() == before


def test_rows_of_a_back_fill_outlive_those_of_a_live_run(sink: ClickHouse) -> None:
    for cause in ("ticks", "history:binance:BTCUSDT:trades"):
        columns = "(instrument, event_ns, _cause_topic, _stored_ns)"
        sink.client.command(f"INSERT INTO trades {columns} VALUES ('x:a', {NOON}, '{cause}', {NOON})")
    sink.client.command("OPTIMIZE TABLE trades FINAL")
    left = query(sink.client, "SELECT _cause_topic FROM trades FINAL")["_cause_topic"].to_list()
    assert left == ["history:binance:BTCUSDT:trades"]


def test_a_large_dead_letter_keeps_its_bytes(sink: ClickHouse) -> None:
    payload = np.random.default_rng(5).bytes(4 << 20)
    letter = DeadLetter(
        source="ticks", event_ns=NOON, partition=0, offset=1, by="codec", reason="too large", record_key=b"\xff",
        payload=payload, size=5 << 20, attempts=0,
    )  # fmt: skip
    sink.write([batch([letter])])
    assert query(sink.client, "SELECT hex(payload) FROM dead_letters FINAL").item() == payload.hex().upper()


def test_a_second_process_is_told_who_has_the_database(settings: Settings, sink: ClickHouse) -> None:
    code = (
        "from infra.clickhouse import connect; from infra.settings import load_settings; "
        f"connect(load_settings(env_file=None, data_dir={str(settings.data_dir)!r}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert "DB::Exception" not in told.stderr + told.stdout
    last = told.stderr.strip().splitlines()[-1]
    assert "UserError: cannot open the history in" in last
    assert "has it open, and only one process can" in last
    assert f"process {os.getpid()} " in last


def test_a_second_database_in_one_process_is_refused(tmp_path: Path, sink: ClickHouse) -> None:
    with pytest.raises(UserError, match="this process has another one open"):
        connect(load_settings(env_file=None, data_dir=tmp_path / "other"))


def test_the_same_database_can_be_opened_again_and_by_the_next_process(settings: Settings) -> None:
    for _ in range(2):
        sink = ClickHouse(settings)
        sink.write([batch([Clock(NOON)])])
        assert count(sink, "clocks") == 1
        sink.close()


def test_a_wrong_query_is_the_users_mistake(sink: ClickHouse) -> None:
    with pytest.raises(UserError, match=r"the history refuses a query: .*nowhere"):
        query(sink.client, "SELECT 1 FROM nowhere")


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"no ClickHouse for us at 127\.0\.0\.1:1"):
        connect(load_settings(env_file=None, clickhouse_dsn="http://127.0.0.1:1"))


def test_the_same_sink_writes_to_a_server() -> None:
    from tests import brokers

    if not brokers.docker_engine():
        pytest.skip("needs a Docker engine for a ClickHouse server")
    from testcontainers.community.clickhouse import ClickHouseContainer

    with ClickHouseContainer(SERVER, username="writer", password="secret", dbname="tidemill") as server:
        where = f"http://{server.get_container_host_ip()}:{server.get_exposed_port(8123)}/tidemill"
        login = {"clickhouse_user": "writer", "clickhouse_password": "secret"}
        sink = ClickHouse(load_settings(env_file=None, clickhouse_dsn=where, **login))
        given = batches(raw(6, 2_000))
        sink.write(given)
        sink.write(given)
        assert sum(count(sink, table) for table in ("ticks", "clocks", "heartbeats", "connects")) == 2_000
        sink.close()
