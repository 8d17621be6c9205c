"""The codec under a schema registry: whose ids it uses, what of others, and what of a registry that is away."""

import json
from collections.abc import Iterator

import pytest

from infra import registry
from infra.errors import UserError
from infra.local import free_port
from infra.registry import RegistryUnreachable
from infra.settings import Settings, load_settings
from schemas import RECORDS, Clock, Connect, Rejected
from schemas.codec import Codec
from schemas.columns import Keys
from schemas.wire import schema_id
from tests.infra.registry_server import Registry

CONNECT = Connect(instrument="coinbase:ETH-USD", event_ns=5, feed="coinbase", cause="start")


@pytest.fixture
def server() -> Iterator[Registry]:
    with Registry(first_id=500) as running:
        yield running


@pytest.fixture
def settings(server: Registry) -> Settings:
    return load_settings(env_file=None, schema_registry_url=server.url, topic_prefix="dev.")


def test_without_a_registry_the_committed_ids_hold() -> None:
    data = registry.codec(load_settings(env_file=None)).encode(CONNECT)
    assert data == Codec().encode(CONNECT)


def test_every_record_is_registered_under_its_topic_and_name(server: Registry, settings: Settings) -> None:
    registry.codec(settings)
    expected = {f"dev.{record.topic}-tidemill.{record.__name__}" for record in RECORDS.values()}
    assert set(server.subjects) == expected
    assert server.compatibility == dict.fromkeys(expected, "BACKWARD")


def test_records_carry_the_ids_of_the_registry_and_are_read_by_them(server: Registry, settings: Settings) -> None:
    codec = registry.codec(settings)
    data = codec.encode(CONNECT)
    assert [schema_id(data)] == server.subjects["dev.ticks-tidemill.Connect"]
    assert codec.decode(data) == CONNECT


def test_a_second_process_gets_the_same_ids(server: Registry, settings: Settings) -> None:
    first = registry.codec(settings).encode(CONNECT)
    assert registry.codec(settings).encode(CONNECT) == first
    assert all(len(versions) == 1 for versions in server.subjects.values())


def test_an_id_met_later_is_asked_for_once_and_read(server: Registry, settings: Settings) -> None:
    codec = registry.codec(settings)
    newer = json.loads(server.schemas[server.subjects["dev.ticks-tidemill.Clock"][0]])
    newer["fields"].append({"name": "zone", "type": "string", "default": ""})
    server.schemas[9_000] = json.dumps(newer)
    data = b"\0" + (9_000).to_bytes(4, "big") + b"\x02" + b"\x06abc"
    tables, rejects = codec.decode_tables([data, data], Keys())
    assert ([len(table) for table in tables], rejects) == ([2], [])
    assert codec.decode(data) == Clock(event_ns=1)
    assert server.asked.count("GET /schemas/ids/9000") == 1


def test_an_id_that_nobody_knows_is_refused_and_asked_for_again_only_after_a_while(server: Registry) -> None:
    now = [0.0]
    client = registry._client(load_settings(env_file=None, schema_registry_url=server.url))
    codec = Codec(lookup=registry.Lookup(client, lambda: now[0]))
    data = b"\0" + (9_000).to_bytes(4, "big") + b"\x02"
    for _ in range(3):
        with pytest.raises(Rejected, match="unknown schema id 9000"):
            codec.decode(data)
    assert server.asked == ["GET /schemas/ids/9000"]
    server.schemas[9_000] = registry.schema_text(
        {"namespace": "tidemill", "name": "Clock", "fields": [{"name": "event_ns", "type": "long"}]}
    )
    now[0] += registry.ASK_AGAIN_S
    assert codec.decode(data) == Clock(event_ns=1)


def test_a_schema_of_someone_else_is_refused(server: Registry, settings: Settings) -> None:
    codec = registry.codec(settings)
    server.schemas[9_000] = '"string"'
    with pytest.raises(Rejected, match="unknown schema id 9000"):
        codec.decode(b"\0" + (9_000).to_bytes(4, "big") + b"\x02a")


def test_an_incompatible_schema_is_refused_at_start_by_name(server: Registry, settings: Settings) -> None:
    older = {
        "type": "record",
        "namespace": "tidemill",
        "name": "Clock",
        "fields": [{"name": "event_ns", "type": "string"}],
    }
    server.schemas[1] = json.dumps(older)
    server.subjects["dev.ticks-tidemill.Clock"] = [1]
    with pytest.raises(UserError, match=r"refuses dev\.ticks-tidemill\.Clock: .*incompatible"):
        registry.codec(settings)


def test_a_registry_that_stumbles_is_asked_again(server: Registry, settings: Settings) -> None:
    server.failing = 3
    assert registry.codec(settings).decode(registry.codec(settings).encode(CONNECT)) == CONNECT


def test_a_registry_that_is_away_is_named_at_start_and_condemns_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "TIMEOUT_S", 0.3)
    settings = load_settings(env_file=None, schema_registry_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match="no schema registry answers"):
        registry.codec(settings)
    codec = Codec(lookup=registry.Lookup(registry._client(settings)))
    with pytest.raises(RegistryUnreachable):
        codec.decode(b"\0" + (9_000).to_bytes(4, "big") + b"\x02")
