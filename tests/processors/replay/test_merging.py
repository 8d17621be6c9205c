"""Logs merged by the times of writing: one order for all, each log's own kept, and no more in memory than is wanted."""

import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.replay.merging import Step, merged
from processors.replay.runs import Run, run_of
from processors.replay.sources.selecting import paced, slices
from schemas import Heartbeat
from schemas.columns import Keys

Entry = tuple[int, int, int]  # time reached, place of the log, offset


def log(times: list[int], partition: int, chance: random.Random) -> Iterator[Run]:
    """A log whose records were written at some times, in random runs."""
    keys, first = Keys(), 0
    while first < len(times):
        last = first + chance.randint(1, 7)
        beats = [Heartbeat("x:y", time * 10, time, 0, 0) for time in times[first:last]]
        yield run_of(beats, "ticks", partition, first, keys)
        first = last


def by_hand(logs: list[list[int]]) -> list[Entry]:
    found = []
    for place, times in enumerate(logs):
        found += [(time, place, offset) for offset, time in enumerate(itertools.accumulate(times, max))]
    return sorted(found)


def entries(step: Step) -> list[Entry]:
    """The merged log of a step."""
    which, places = step.order()
    return [
        (
            int(step.times[run][place]),
            step.runs[run].batch.partition,
            int(step.runs[run].batch.lineage.offset[place]),
        )
        for run, place in zip(which.tolist(), places.tolist(), strict=True)
    ]


LOGS = st.lists(st.lists(st.integers(0, 30), max_size=40), max_size=5)


@settings(max_examples=300)
@given(logs=LOGS, seed=st.integers(0, 2**16), held=st.integers(0, 50))
def test_the_steps_are_the_records_of_all_logs_in_order_of_time(logs: list[list[int]], seed: int, held: int) -> None:
    chance = random.Random(seed)
    steps = merged([log(times, place, chance) for place, times in enumerate(logs)], held)
    assert [entry for step in steps for entry in entries(step)] == by_hand(logs)


@settings(max_examples=100)
@given(logs=LOGS, seed=st.integers(0, 2**16), width=st.integers(1, 400))
def test_slices_take_all_logs_on_together(logs: list[list[int]], seed: int, width: int) -> None:
    chance, before = random.Random(seed), 0
    for step in merged([log(times, place, chance) for place, times in enumerate(logs)], 20):
        cut = list(slices(step, width, before))
        sizes = [sum(len(run.batch) for run in part.runs) for _, part in cut]
        assert sum(sizes) == len(step.order()[0])
        windows = [reached // width for reached, _ in cut]
        assert windows == sorted(set(windows))
        in_order = iter(entries(step))
        for size, (_, part) in zip(sizes, cut, strict=True):
            assert entries(part) == list(itertools.islice(in_order, size))
        before = cut[-1][0] if cut else before


def test_no_more_is_read_ahead_than_is_wanted() -> None:
    read = [0, 0, 0]

    def counted(place: int) -> Iterator[Run]:
        for run in log(list(range(3_000)), place, random.Random(place)):
            read[place] += len(run.batch)
            yield run

    given_ = 0
    for step in merged([counted(place) for place in range(3)], held=100):
        given_ += len(step.order()[0])
        assert sum(read) - given_ < 100 + 3 * 7
    assert given_ == 9_000


def test_paced_logs_stand_still_together() -> None:
    now_s = 0.0
    seen: list[tuple[float, int]] = []

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    second = 1_000_000_000
    logs = [log([second // 10 * number + place for number in range(20)], place, random.Random(1)) for place in (0, 1)]
    for run in paced(merged(logs), 10.0, lambda: now_s, sleep):
        seen.append((now_s, run.batch.partition))
    assert now_s == pytest.approx(1.9, abs=0.1)
    times = [moment for moment, _ in seen]
    assert times == sorted(times)
    one, other = ([moment for moment, place in seen if place == place_] for place_ in (0, 1))
    assert sorted(set(one)) == pytest.approx(sorted(set(other)))
