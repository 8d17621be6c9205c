"""The columnar paths give, on every schema and for whatever values, what fastavro gives record by record."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import EVERY_KEY, RECORDS, Record, Rejected
from schemas.codec import Codec
from schemas.columns import Keys, Table, tables
from schemas.generate import definitions

CODEC = Codec()
DEFINITIONS = {schema["table"]: schema for schema in definitions()}
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([5e-324, 1.7976931348623157e308, 0.0, -0.0])
LONGS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1, 0, -1, 63, 64, -64, -65])
TEXT = st.text(max_size=20) | st.sampled_from(["", "coinbase:ETH-USD", "é" * 70, "\x00", "𝕫\U0010ffff"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "bytes": st.binary(max_size=200) | st.just(b"\x00\x00"),
    "boolean": st.booleans(),
    "long": LONGS,
    "double": FLOATS,
}


def valid(field: dict[str, str], key: str) -> st.SearchStrategy[Any]:
    values = VALUES[field["type"]]
    if field["name"] == key:
        return values.filter(lambda value: value != EVERY_KEY)
    if field.get("check") == "positive":
        return values.filter(lambda value: value > 0)
    if field.get("check") == "non-negative":
        return values.filter(lambda value: value >= 0)
    return values


def records_of(table: str) -> st.SearchStrategy[Record]:
    schema = DEFINITIONS[table]
    fields = {field["name"]: valid(field, schema["key"]) for field in schema["fields"]}

    def ordered(values: dict[str, Any]) -> Record:
        order = schema.get("order", [])
        for low, high in order * len(order):  # as often as a value may have to move
            values[low], values[high] = sorted([values[low], values[high]])
        return RECORDS[table](**values)

    return st.fixed_dictionaries(fields).map(ordered)


ANY_RECORD = st.one_of([records_of(table) for table in RECORDS])
EASY = settings(max_examples=60)


def judged(values: list[bytes | None]) -> tuple[list[tuple[int, Record]], list[tuple[int, str]]]:
    """What ``decode`` says of each value."""
    good: list[tuple[int, Record]] = []
    bad: list[tuple[int, str]] = []
    for index, value in enumerate(values):
        try:
            good.append((index, CODEC.decode(value)))
        except Rejected as error:
            bad.append((index, str(error)))
    return good, bad


def rows(found: list[Table], keys: Keys) -> list[tuple[int, Record]]:
    pairs = [pair for table in found for pair in zip(table.cause.tolist(), table.records(keys), strict=True)]
    return sorted(pairs, key=lambda pair: pair[0])


def shown(pairs: list[tuple[int, Record]]) -> str:
    """As text, for 0.0 equals -0.0."""
    return repr(pairs)


@pytest.mark.parametrize("table", RECORDS)
@EASY
@given(data=st.data())
def test_tables_are_encoded_and_decoded_as_records_are(table: str, data: st.DataObject) -> None:
    records = data.draw(st.lists(records_of(table), min_size=1, max_size=12))
    keys = Keys()
    single = [CODEC.encode(record) for record in records]
    (made,) = tables(enumerate(records), keys)
    assert CODEC.encode_table(made, keys).to_list() == single
    (found,), rejects = CODEC.decode_tables(single, keys)
    assert rejects == []
    assert shown(rows([found], keys)) == shown(list(enumerate(records)))
    assert CODEC.encode_table(found, keys).to_list() == single
    assert [CODEC.decode(value) for value in single] == records


@EASY
@given(values=st.lists(ANY_RECORD.map(CODEC.encode) | st.none() | st.binary(max_size=20), max_size=15), data=st.data())
def test_whatever_is_done_to_the_bytes_both_ways_say_the_same(values: list[bytes | None], data: st.DataObject) -> None:
    for index, value in enumerate(values):
        if value and data.draw(st.booleans()):
            values[index] = data.draw(damaged(value))
    keys = Keys()
    found, rejects = CODEC.decode_tables(values, keys)
    good, bad = judged(values)
    assert rejects == bad
    assert shown(rows(found, keys)) == shown(good)
    assert len({table.record for table in found}) == len(found)
    assert all((table.cause[1:] > table.cause[:-1]).all() for table in found)


def damaged(value: bytes) -> st.SearchStrategy[bytes]:
    """A value cut, lengthened, with a byte changed or with a double that no check lets pass."""
    place = st.integers(0, len(value) - 1)
    odd = st.sampled_from([float("nan"), float("inf"), -1.0, 0.0]).map(lambda number: struct.pack("<d", number))
    return st.one_of(
        place.map(lambda end: value[:end]),
        st.binary(min_size=1, max_size=9).map(lambda more: value + more),
        st.tuples(place, st.binary(min_size=1, max_size=1)).map(lambda at: value[: at[0]] + at[1] + value[at[0] + 1 :]),
        st.tuples(place, odd).map(lambda at: value[: at[0]] + at[1] + value[at[0] + 8 :]),
    )


@pytest.mark.parametrize("size", [1, 499, 500, 5_000])
def test_long_runs_are_read_like_short_ones(size: int) -> None:
    connect = RECORDS["connects"]
    records = [
        connect(
            instrument=f"a:{number % 7}", event_ns=number, feed="f" * (number % 300), cause="é" if number % 3 else ""
        )
        for number in range(size)
    ]
    keys = Keys()
    values = [CODEC.encode(record) for record in records]
    (table,), rejects = CODEC.decode_tables(values, keys)
    assert rejects == []
    assert list(table.records(keys)) == records
    assert CODEC.encode_table(table, keys).to_list() == values


def test_an_empty_run_gives_nothing() -> None:
    assert CODEC.decode_tables([], Keys()) == ([], [])


@EASY
@given(records=st.lists(ANY_RECORD, min_size=1, max_size=6))
def test_a_table_of_odd_column_types_is_encoded_like_its_records(records: list[Record]) -> None:
    keys = Keys()
    for table in tables(enumerate(records), keys):
        expected = [CODEC.encode(record) for record in table.records(keys)]
        table.columns = {name: column.to_numpy() if hasattr(column, "to_numpy") else column.astype(object)
                         for name, column in table.columns.items()}  # fmt: skip
        assert CODEC.encode_table(table, keys).to_list() == expected
