import pathlib

import pytest

import schemas
from schemas import RECORDS
from schemas.generate import definitions
from schemas.position import POSITION_HEADER, TIMES_HEADER, Position

TEXT = (pathlib.Path(schemas.__file__).parent / "FIELDS.md").read_text()


@pytest.mark.parametrize("record", RECORDS.values(), ids=lambda record: record.__name__)
def test_each_record_has_its_line(record: type[schemas.Record]) -> None:
    key = "`*`" if record.key_field == schemas.EVERY_KEY else record.key_field
    assert f"| {record.__name__} | {record.topic} | {key} | " in TEXT


def test_no_record_is_described_that_is_not_there() -> None:
    section = TEXT.partition("## Records")[2].partition("## Headers")[0]
    assert section.count("\n| ") == 1 + len(RECORDS)


@pytest.mark.parametrize("ending", ["_ns", "_ms"])
def test_each_time_is_explained(ending: str) -> None:
    names = {field["name"] for schema in definitions() for field in schema["fields"]}
    assert [name for name in sorted(names) if name.endswith(ending) and f"`{name}`" not in TEXT] == []


def test_the_headers_are_named() -> None:
    assert f"`{POSITION_HEADER}` | `{Position('ticks', 0, 123, 1).header().decode()}`" in TEXT
    assert f"`{TIMES_HEADER}`" in TEXT
