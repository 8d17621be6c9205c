"""Schemas may change, what was written with them stays readable.

fixtures/ holds for each id of history/ one record as it was written then: its bytes in hex and the values stated.
``python -m tests.schemas.test_history`` writes the files that are missing and touches no other.
"""

import io
import json
import pathlib
from typing import Any

import fastavro
import pytest
from fastavro.schema import to_parsing_canonical_form
from fastavro.utils import generate_one
from msgspec.structs import asdict

from schemas import RECORDS, generate, records
from schemas.codec import Codec, committed_ids
from schemas.columns import Keys
from schemas.generate import definitions, history
from schemas.wire import header

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
CURRENT = {schema["name"]: schema for schema in definitions()}
CODEC = Codec()
RUN_GENERATE = "run: python schemas/generate.py"
RUN_FIXTURES = "run: python -m tests.schemas.test_history"


def name_of(schema: dict[str, Any]) -> str:
    return str(schema["name"]).rpartition(".")[2]


def incompatibility(written: dict[str, Any], current: dict[str, Any]) -> str | None:
    """Why the current schema cannot read what an older one wrote; None where it can. Records hold primitives only."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, written, generate_one(written))
    body.seek(0)
    try:
        fastavro.schemaless_reader(body, written, current)
    except fastavro.read.SchemaResolutionError as error:
        return str(error)
    return None


def changed(record: str, **change: Any) -> dict[str, Any]:
    """A current schema with some attributes of its last field changed."""
    schema = CURRENT[record]
    return {**schema, "fields": [*schema["fields"][:-1], {**schema["fields"][-1], **change}]}


def with_field(name: str, field: dict[str, Any]) -> dict[str, Any]:
    return {**CURRENT[name], "fields": [*CURRENT[name]["fields"], field]}


def test_records_py_is_what_the_schemas_say() -> None:
    assert pathlib.Path(records.__file__).read_text() == generate.source(), RUN_GENERATE


def test_every_current_schema_has_a_number() -> None:
    assert generate.unnumbered() == [], RUN_GENERATE
    assert committed_ids(history()).keys() == RECORDS.keys(), RUN_GENERATE


def test_numbers_are_given_once_and_without_holes() -> None:
    assert list(history()) == list(range(1, len(history()) + 1))
    assert all(to_parsing_canonical_form(json.loads(form)) == form for form in history().values())


@pytest.mark.parametrize("number", history())
def test_the_current_schema_reads_every_older_one(number: int) -> None:
    written = json.loads(history()[number])
    assert incompatibility(written, CURRENT[name_of(written)]) is None


def test_a_new_field_with_a_default_is_compatible() -> None:
    assert incompatibility(CURRENT["Tick"], with_field("Tick", {"name": "new", "type": "long", "default": 0})) is None


def test_a_long_may_become_a_double() -> None:
    assert incompatibility(CURRENT["Tick"], changed("Tick", type="double")) is None


@pytest.mark.parametrize(
    "schema",
    [
        with_field("Tick", {"name": "new", "type": "long"}),
        changed("Tick", type="string"),
        changed("Tick", name="renamed"),
        changed("Bucket", type="boolean"),
    ],
    ids=["field without default", "other type", "renamed field", "long to boolean"],
)
def test_an_incompatible_change_is_noticed(schema: dict[str, Any]) -> None:
    assert incompatibility(CURRENT[schema["name"]], schema) is not None


@pytest.mark.parametrize("number", history())
def test_old_bytes_are_read_as_they_were_meant(number: int) -> None:
    path = FIXTURES / f"{number:04}.json"
    assert path.exists(), f"schema {number} has no fixture, {RUN_FIXTURES}"
    fixture = json.loads(path.read_text())
    data = bytes.fromhex(fixture["bytes"])
    keys = Keys()
    record = CODEC.decode(data)
    (table,), rejects = CODEC.decode_tables([data], keys)
    assert rejects == []
    assert list(table.records(keys)) == [record]
    assert type(record).__name__ == fixture["record"]
    for name, value in plain(asdict(record)).items():
        default = next(field.get("default") for field in CURRENT[fixture["record"]]["fields"] if field["name"] == name)
        assert value == fixture["values"].get(name, default), name


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values as JSON can hold them: bytes in hex."""
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


def sample(schema: dict[str, Any]) -> dict[str, Any]:
    """A value for each field, rising from field to field; where an ``order`` wants it, exchanged."""
    made: dict[str, Any] = {}
    for index, field in enumerate(schema["fields"], 1):
        made[field["name"]] = {
            "string": f"{field['name']}:é{index}",
            "bytes": bytes([0, index, 255, 0]),
            "long": index * 10**17 + index,
            "double": index + 0.1,
            "boolean": True,
        }[field["type"]]
    order = CURRENT[name_of(schema)].get("order", [])
    for low, high in order * len(order):
        made[low], made[high] = sorted([made[low], made[high]])
    return made


def write_missing() -> None:
    for number, form in history().items():
        path, schema = FIXTURES / f"{number:04}.json", json.loads(form)
        if not path.exists():
            values, body = sample(schema), io.BytesIO()
            fastavro.schemaless_writer(body, fastavro.parse_schema(schema), values)
            data = header(number) + body.getvalue()
            fixture = {"record": name_of(schema), "bytes": data.hex(), "values": plain(values)}
            path.write_text(json.dumps(fixture, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write_missing()
