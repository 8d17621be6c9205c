import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Rejected
from schemas.position import POSITION_HEADER, TIMES_HEADER, Position, Seen, Times, position_of, times_of

TICKS = ("ticks", 0)
EMAS = ("emas", 0)


def at(offset: int, ordinal: int = 0, partition: int = 0) -> Position:
    return Position("ticks", partition, offset, ordinal)


@given(numbers=st.tuples(*[st.integers(0, 2**62)] * 3))
def test_positions_and_times_survive_their_headers(numbers: tuple[int, int, int]) -> None:
    position = Position("jump_losses", *numbers)
    assert Position.parse(position.header()) == position
    assert Times.parse(Times(*numbers).header()) == Times(*numbers)


@pytest.mark.parametrize(
    "value",
    [b"", b"ticks", b"ticks:0:1", b":0:1:2", b"ticks:0:1:2:3", b"ticks:0:-1:2", b"ticks:0:1.5:2", b"ticks:0::2",
     b"ticks:0: 1:2", b"ticks:\xff:1:2", b"ticks:0:1:" + b"9" * 20, "ticks:0:1:²".encode()],
)  # fmt: skip
def test_a_header_that_is_no_position_is_refused(value: bytes) -> None:
    with pytest.raises(Rejected, match=r"header|position"):
        position_of([(POSITION_HEADER, value)], TICKS, 5)


@pytest.mark.parametrize("value", [b"", b"1 2", b"1 2 3 4", b"1 2 x", b"1  3", b"\xff"])
def test_a_header_that_is_no_times_is_refused(value: bytes) -> None:
    with pytest.raises(Rejected, match=r"header|times"):
        times_of([(TIMES_HEADER, value)])


@pytest.mark.parametrize("headers", [None, [], [("other", b"x")], [(POSITION_HEADER, None)]])
def test_a_record_without_header_is_its_own_cause(headers: list[tuple[str, bytes | None]] | None) -> None:
    assert position_of(headers, TICKS, 5) == Position("ticks", 0, 5, 0)


def test_times_may_be_absent() -> None:
    assert times_of(None) is None
    assert times_of([(TIMES_HEADER, b"1 2 3")]) == Times(exchange_ns=1, received_ns=2, produced_ns=3)


def test_a_redelivery_is_not_new() -> None:
    seen = Seen()
    deliveries = [at(7, 0), at(7, 1), at(9), at(7, 0), at(7, 1), at(9), at(9, 1), at(10)]
    assert [seen.is_new(EMAS, position) for position in deliveries] == [True] * 3 + [False] * 3 + [True] * 2


def test_logs_and_cause_partitions_are_apart() -> None:
    seen = Seen()
    assert seen.is_new(EMAS, at(9))
    assert seen.is_new(("buckets", 0), at(9))
    assert seen.is_new(("emas", 1), at(9))
    assert seen.is_new(EMAS, at(3, partition=1))
    assert seen.is_new(EMAS, Position("others", 0, 3))


def test_a_forgotten_log_begins_anew() -> None:
    seen = Seen()
    seen.is_new(EMAS, at(9))
    seen.forget(EMAS)
    assert seen.is_new(EMAS, at(9))


@given(
    st.lists(st.tuples(st.sampled_from([EMAS, TICKS]), st.integers(0, 5), st.integers(0, 2)), max_size=20),
    st.integers(0, 20),
)
def test_a_restart_from_a_snapshot_changes_nothing(steps: list[tuple[tuple[str, int], int, int]], cut: int) -> None:
    through, before, after = Seen(), Seen(), Seen()
    expected = [through.is_new(log, at(offset, ordinal)) for log, offset, ordinal in steps]
    found = [before.is_new(log, at(offset, ordinal)) for log, offset, ordinal in steps[:cut]]
    after.restore(json.loads(json.dumps(before.snapshot())))
    found += [after.is_new(log, at(offset, ordinal)) for log, offset, ordinal in steps[cut:]]
    assert found == expected
    assert after.snapshot() == through.snapshot()


@pytest.mark.parametrize("log", [b"fills:1", b"fills", b":0", b"fills:x", b"\xff:0"])
def test_a_copy_that_names_no_log_of_its_partition_is_refused(log: bytes) -> None:
    headers = [("tidemill-position", b"merges.paper:0:7:1"), ("tidemill-log", log)]
    with pytest.raises(Rejected):
        position_of(headers, ("merges", 0), 9)


def test_copies_of_two_logs_with_one_cause_are_both_new_and_each_once() -> None:
    seen, cause = Seen(), ("tidemill-position", b"merges.paper:0:7:0")
    copies = [[cause, ("tidemill-log", log)] for log in (b"fills:0", b"equities:0", b"fills:0")]
    found = [seen.is_new(("merges", 0), position_of(headers, ("merges", 0), 9)) for headers in copies]
    assert found == [True, True, False]
