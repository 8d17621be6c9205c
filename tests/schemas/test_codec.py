import dataclasses
import math
import struct

import numpy as np
import pytest
from msgspec.structs import replace

from schemas import Bucket, Clock, Gap, Record, Rejected, Tick
from schemas.codec import Codec
from schemas.columns import Keys
from schemas.generate import definitions, history
from schemas.reading import Reader
from schemas.wire import header
from schemas.writing import Writer

CODEC = Codec()
TICK = Tick(
    instrument="coinbase:ETH-USD",
    event_ns=1_764_000_000_000_000_000,
    received_ns=1_764_000_000_000_000_001,
    bid=2999.5,
    ask=3000.5,
    bid_size=1.0,
    ask_size=2.0,
    price=3000.0,
    size=0.25,
    side="buy",
    sequence=7,
    trade_id=9,
)


def definition(table: str) -> dict[str, object]:
    return next(schema for schema in definitions() if schema["table"] == table)


def reason(data: bytes | None) -> str:
    """Why a value is refused, by both ways, which must agree."""
    with pytest.raises(Rejected) as caught:
        CODEC.decode(data)
    tables, rejects = CODEC.decode_tables([data], Keys())
    assert (tables, rejects) == ([], [(0, str(caught.value))])
    return str(caught.value)


def patched(data: bytes, old: float, new: float) -> bytes:
    """The bytes of a record with one double exchanged."""
    before = struct.pack("<d", old)
    assert data.count(before) == 1
    return data.replace(before, struct.pack("<d", new))


def test_bytes_are_header_id_and_avro() -> None:
    assert CODEC.encode(Clock(event_ns=-3)) == b"\x00\x00\x00\x00\x04\x05"


def test_what_was_encoded_is_decoded() -> None:
    assert CODEC.decode(CODEC.encode(TICK)) == TICK


def test_locked_quotes_are_allowed() -> None:
    locked = replace(TICK, bid=3000.0, ask=3000.0)
    assert CODEC.decode(CODEC.encode(locked)) == locked


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bid": math.nan}, "Tick.bid is nan"),
        ({"ask": math.inf}, "Tick.ask is inf"),
        ({"bid": 0.0}, "Tick.bid is 0.0"),
        ({"bid": -1.0}, "Tick.bid is -1.0"),
        ({"size": -0.5}, "Tick.size is -0.5"),
        ({"bid": 3001.0}, "Tick.bid is 3001.0, above ask 3000.5"),
        ({"bid": 2999}, "Tick.bid is 2999, not a finite float"),
        ({"price": True}, "Tick.price is True"),
        ({"event_ns": 1.7}, "Tick.event_ns is 1.7"),
        ({"event_ns": True}, "Tick.event_ns is True"),
        ({"sequence": 2**63}, "Tick.sequence is 9223372036854775808"),
        ({"sequence": None}, "Tick.sequence is None"),
        ({"side": b"buy"}, "Tick.side is b'buy'"),
        ({"side": "\ud800"}, "Tick.side is '\\ud800', not text"),
        ({"instrument": "*"}, "Tick.instrument is '*'"),
        ({"side": "x\ud800" * 1000}, "… (str), not text"),
    ],
)
def test_a_bad_value_is_not_written(change: dict[str, object], message: str) -> None:
    with pytest.raises(Rejected) as caught:
        CODEC.encode(replace(TICK, **change))
    assert message in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (2999.5, math.nan, "Tick.bid is nan"),
        (2999.5, -math.inf, "Tick.bid is -inf"),
        (2999.5, -0.0, "Tick.bid is -0.0"),
        (2999.5, 3001.0, "Tick.bid is 3001.0, above ask 3000.5"),
        (0.25, -1e-300, "Tick.size is -1e-300"),
    ],
)
def test_a_bad_value_is_not_read(old: float, new: float, message: str) -> None:
    assert message in reason(patched(CODEC.encode(TICK), old, new))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "no value"),
        (b"", "empty value"),
        (b"\x00\x00\x00", "3 bytes, too short for the 5-byte header: 000000"),
        (b'{"bid":1}', "first byte is 0x7b"),
        (header(4_000_000_000) + b"\x02", "unknown schema id 4000000000"),
        (header(4), "Clock breaks off: 5 bytes are too few"),
        (CODEC.encode(TICK)[:-1], "Tick breaks off: 93 bytes are too few"),
        (CODEC.encode(TICK) + b"!", "1 more follow"),
        (CODEC.encode(TICK).replace(b"coinbase", b"coin\xff\xfese"), "UnicodeDecodeError"),
        (CODEC.encode(TICK).replace(b"buy", b"\xed\xa0\x80"), "UnicodeDecodeError"),
        (header(11) + b"\x01abc", "Tick breaks off"),
        (header(11) + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01abc", "Tick breaks off"),
        (CODEC.encode(replace(TICK, instrument="?")).replace(b"\x02?", b"\x02*"), "Tick.instrument is '*'"),
        (header(1), "Bucket breaks off"),
    ],
)
def test_unreadable_bytes_are_refused_with_the_reason(data: bytes | None, message: str) -> None:
    assert message in reason(data)


def test_every_truncation_is_refused() -> None:
    data = CODEC.encode(TICK)
    assert all(reason(data[:size]) for size in range(len(data)))


def test_an_odd_long_that_fastavro_reads_is_read_by_both_ways() -> None:
    odd = header(4) + b"\x82\x80\x00"
    tables, rejects = CODEC.decode_tables([CODEC.encode(Clock(event_ns=5)), odd], Keys())
    assert CODEC.decode(odd) == Clock(event_ns=1)
    assert [record for table in tables for record in table.records(Keys())] == [Clock(event_ns=5), Clock(event_ns=1)]
    assert rejects == []


def test_a_boolean_other_than_0_and_1_is_judged_by_fastavro() -> None:
    gap = CODEC.encode(Gap("a:b", 5, "coinbase", "missed", 1, 4, 10, 12, 2, False))
    odd = gap[:-1] + b"\x02"
    keys = Keys()
    (table,), rejects = CODEC.decode_tables([gap, odd], keys)
    assert list(table.records(keys)) == [CODEC.decode(gap), CODEC.decode(odd)]
    assert rejects == []


def test_a_long_of_more_than_ten_bytes_is_judged_by_fastavro_in_its_place_of_the_table() -> None:
    odd = header(4) + b"\x82" + b"\x80" * 10 + b"\x00"
    around = [CODEC.encode(Clock(event_ns=number)) for number in (5, 6)]
    (table,), rejects = CODEC.decode_tables([around[0], odd, around[1]], Keys())
    assert table.cause.tolist() == [0, 1, 2]
    assert list(table.records(Keys())) == [Clock(event_ns=5), CODEC.decode(odd), Clock(event_ns=6)]
    assert rejects == []


def test_poison_takes_nothing_else_with_it() -> None:
    good = [CODEC.encode(replace(TICK, sequence=number)) for number in range(20)]
    values: list[bytes | None] = list(good)
    values[3], values[4], values[11], values[19] = good[3][:-1], good[4] + b"\x02", None, good[19][:5]
    (table,), rejects = CODEC.decode_tables(values, Keys())
    assert [index for index, _ in rejects] == [3, 4, 11, 19]
    assert table.cause.tolist() == [index for index in range(20) if index not in (3, 4, 11, 19)]
    assert table.columns["sequence"].tolist() == table.cause.tolist()  # type: ignore[union-attr]


def test_a_refused_record_gives_out_no_key_code() -> None:
    keys = Keys()
    CODEC.decode_tables([CODEC.encode(TICK)[:-1], patched(CODEC.encode(TICK), 0.25, -1.0)], keys)
    assert keys.names == []


def test_ids_of_a_registry_take_the_place_of_the_committed_ones() -> None:
    codec = Codec(ids={"clocks": 900}, schemas={900: history()[4]})
    assert codec.encode(Clock(event_ns=1)) == header(900) + b"\x02"
    assert codec.decode(header(900) + b"\x02") == Clock(event_ns=1)
    with pytest.raises(Rejected, match="unknown schema id 4"):
        codec.decode(header(4) + b"\x02")
    with pytest.raises(Rejected, match="no schema id is known for Tick"):
        codec.encode(TICK)


def test_a_registry_may_hold_schemas_that_are_not_ours() -> None:
    codec = Codec(ids={}, schemas={1: '{"type": "record", "name": "else.Other", "fields": []}'})
    with pytest.raises(Rejected, match="unknown schema id 1"):
        codec.decode(header(1))


class Extended(Record, frozen=True, gc=False):
    topic = table = "extended"
    key_field = "name"
    name: str
    event_ns: int
    level: float
    note: str = "none"
    count: int = 3


OLD = {
    "type": "record",
    "name": "Extended",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "dropped", "type": "bytes"},
        {"name": "event_ns", "type": "long"},
        {"name": "level", "type": "long"},
    ],
}
NEW = {
    "type": "record",
    "name": "Extended",
    "key": "name",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "event_ns", "type": "long"},
        {"name": "level", "type": "double", "check": "positive"},
        {"name": "note", "type": "string", "default": "none"},
        {"name": "count", "type": "long", "default": 3},
    ],
}


def test_an_older_schema_is_read_with_defaults_and_widened_numbers_by_both_ways() -> None:
    reader = Reader(Extended, NEW, OLD)
    data = header(1) + b"\x02a" + b"\x04\xff\xfe" + b"\x02" + b"\x08"
    expected = Extended(name="a", event_ns=1, level=4.0)
    codec = Codec(ids={}, schemas={})
    codec._readers[1] = reader
    keys = Keys()
    (table,), rejects = codec.decode_tables([data, data], keys)
    assert codec.decode(data) == expected
    assert list(table.records(keys)) == [expected, expected]
    assert [type(value) for value in table.columns["level"].tolist()] == [float, float]  # type: ignore[union-attr]
    assert rejects == []


def test_checks_hold_for_older_schemas_too() -> None:
    codec = Codec(ids={}, schemas={})
    codec._readers[1] = Reader(Extended, NEW, OLD)
    _, rejects = codec.decode_tables([header(1) + b"\x02a\x00\x02\x00"], Keys())
    assert rejects == [(0, "Extended.level is 0.0, not a finite float above 0")]


def test_records_of_two_ids_come_in_one_table_in_log_order() -> None:
    codec = Codec(ids={}, schemas={})
    codec._readers.update({1: Reader(Extended, NEW, OLD), 2: Reader(Extended, NEW, NEW)})
    codec._writers[Extended] = Writer(Extended, NEW, 2)
    new = Extended(name="b", event_ns=9, level=0.5, note="né", count=-1)
    old = header(1) + b"\x02a\x00\x02\x08"
    keys = Keys()
    (table,), rejects = codec.decode_tables([codec.encode(new), old, codec.encode(new)], keys)
    assert table.cause.tolist() == [0, 1, 2]
    assert list(table.records(keys)) == [new, Extended(name="a", event_ns=1, level=4.0), new]
    assert rejects == []


def test_a_bad_row_of_a_table_is_refused_like_the_record() -> None:
    keys = Keys()
    (table,), _ = CODEC.decode_tables([CODEC.encode(TICK)] * 3, keys)
    broken = {**table.columns, "size": np.array([0.25, -0.25, 0.25])}
    with pytest.raises(Rejected, match=r"Tick.size is -0.25, not a finite float of at least 0"):
        CODEC.encode_table(dataclasses.replace(table, columns=broken), keys)


def test_a_row_for_every_key_is_refused_where_the_record_has_one() -> None:
    keys = Keys()
    (table,), _ = CODEC.decode_tables([CODEC.encode(TICK)], keys)
    table.key[0] = -1
    with pytest.raises(Rejected, match=r"Tick.instrument is '\*'"):
        CODEC.encode_table(table, keys)


def test_every_record_type_has_a_committed_id() -> None:
    bucket = Bucket("a:b", 160_000_000, 160, 1.0, 2.0, 69.3, 1, 0, False, 0)
    gap = Gap("a:b", 5, "coinbase", "missed", 1, 4, 10, 12, 2, False)
    assert [int.from_bytes(CODEC.encode(record)[1:5], "big") for record in (bucket, gap, TICK)] == [1, 8, 11]
