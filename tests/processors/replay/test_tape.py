"""A tape over chains of several logs."""

from collections.abc import Iterator, Sequence

import pytest

from processors.replay.replay import Replay
from processors.replay.runs import Run, run_of
from processors.replay.tape import Tape
from processors.stage import stages
from schemas import Depth, Record, Tick
from schemas.columns import Keys
from tests.raws import every_topic

RECORDS: list[Record] = list(every_topic(7, 600))


def runs(topic: str, size: int) -> Iterator[Run]:
    """The log of a topic, so many records at a time."""
    log = [record for record in RECORDS if record.topic == topic]
    keys = Keys()
    for first in range(0, len(log), size):
        yield run_of(log[first : first + size], topic, 0, first, keys)


def taped(logs: Sequence[Iterator[Run]], events: bool) -> dict[str, str]:
    """The digests of a replay that takes a run of each log in turns, or of one after the other."""
    machine, tape, left = Replay(stages(), events=events), Tape(), list(logs)
    while left:
        run = next(left[0], None)
        if run is None:
            left.pop(0)
            continue
        for batch in machine.take(run):
            tape.add(batch)
        left = [*left[1:], left[0]]
    return tape.digests()


@pytest.mark.parametrize("events", [False, True])
def test_neither_the_order_of_the_logs_nor_how_they_are_cut_changes_a_tape(events: bool) -> None:
    first = taped([runs(Tick.topic, 100), runs(Depth.topic, 37)], events)
    assert {"books", "tops", "resyncs", "gaps", "buckets"} <= first.keys()
    assert taped([runs(Depth.topic, 500), runs(Tick.topic, 211)], not events) == first
