"""Runs and holes held to sets of numbers; time held to a list of its seconds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.history.plan import DAY_NS, days, moment, months, nanoseconds, uncovered
from producers.history.runs import Chain, Run, holes, runs, union, within
from schemas import Rejected

NUMBERS = st.sets(st.integers(0, 60))


def covered(numbers: set[int]) -> list[Run]:
    return runs(np.array(sorted(numbers), np.int64), np.array(sorted(numbers), np.int64) * 10)


@given(st.lists(NUMBERS, max_size=5))
def test_a_union_has_the_numbers_of_all(parts: list[set[int]]) -> None:
    joined = union(run for part in parts for run in covered(part))
    assert joined == covered(set().union(*parts))


@given(NUMBERS, st.integers(-5, 20), st.integers(40, 70))
def test_holes_are_the_numbers_that_are_not_there(numbers: set[int], first: int, end: int) -> None:
    inside = {number for number in numbers if first <= number < end}
    lacking = [number for hole in holes(covered(inside), first, end) for number in range(hole.expected, hole.seen)]
    assert lacking == [number for number in range(first, end) if number not in inside]


@given(NUMBERS, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6))
def test_a_hole_is_explained_when_all_of_it_was_asked_for(numbers: set[int], asked: list[tuple[int, int]]) -> None:
    told = {number for first, end in asked for number in range(first, end)}
    for hole in holes(covered(numbers)):
        assert within(hole, asked) == told.issuperset(range(hole.expected, hole.seen))


@given(st.sets(st.integers(0, 200), min_size=1), st.integers(1, 7))
def test_a_chain_knows_the_runs_of_rows_however_they_are_cut(numbers: set[int], size: int) -> None:
    rising, chain = np.array(sorted(numbers), np.int64), Chain()
    for begin in range(0, len(rising), size):
        part = np.repeat(rising[begin : begin + size], 2)
        assert int(chain.take(part, part * 10).sum()) == len(part) // 2
    assert chain.runs == covered(numbers)
    assert (chain.rows, chain.duplicates) == (len(numbers), len(numbers))


def test_a_number_that_was_passed_over_and_comes_after_all_is_refused() -> None:
    chain = Chain()
    chain.take(np.array([1, 3]), np.array([1, 3]))
    with pytest.raises(Rejected, match="number 2 comes after 3"):
        chain.take(np.array([2]), np.array([2]))


def test_numbers_that_may_lie_apart_are_one_run_up_to_their_step() -> None:
    numbers = np.array([0, 28_800, 57_601, 115_300])
    assert [run.last for run in runs(numbers, numbers, 28_860)] == [57_601, 115_300]


@given(st.tuples(st.integers(0, 30), st.integers(30, 60)), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9))))
def test_uncovered_time_is_what_no_stretch_has(wanted: tuple[int, int], lengths: list[tuple[int, int]]) -> None:
    spans = [(begin, begin + length) for begin, length in lengths]
    there = {second for begin, end in spans for second in range(begin, end)}
    left = [second for begin, end in uncovered(wanted, spans) for second in range(begin, end)]
    assert left == [second for second in range(*wanted) if second not in there]


def test_months_are_as_long_as_the_calendar_says() -> None:
    begin, end = nanoseconds(moment(1_704_067_200 * 10**9)), 1_714_521_600 * 10**9  # 2024-01-01 to 2024-05-01
    found = months((begin, end), end)
    assert [period.name for period in found] == ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert [(period.to_ns - period.from_ns) // DAY_NS for period in found] == [31, 29, 31, 30]
    assert [len(days((period.from_ns, period.to_ns), end)) for period in found] == [31, 29, 31, 30]
