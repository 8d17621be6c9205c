"""Stages over one merged log, in process: what they yield comes back to them at its event time.

The merged log is made of the records given, in their order, and of all that the stages derive from it. A derived record
stands where its event time says, but never before the event that caused it, nor before anything that was given with an
earlier time; of one time what was derived comes before what was given, in the order of its making. Each stage sees the
log as EventChain would hand it the same log, so replaying what ``event`` holds gives every ``derived`` again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from processors.chain import Keyed, Options
from processors.stage import Rejection
from processors.wiring import StageType
from schemas import Record

SECOND = 1_000_000_000
MOST = 1_000_000  # derived records in turn: stages that answer each other without end


class Step(NamedTuple):
    """An event of the merged log, and what follows from it."""

    event: Record
    derived: list[Record]
    refused: list[Rejection]


class Endless(RuntimeError):
    """Stages that answer each other and let no time pass."""


def steps(
    records: Iterable[Record],
    stages: Sequence[StageType],
    options: Options | None = None,
    drain_ns: int = 10 * SECOND,
) -> Iterator[Step]:
    """Run stages over records; the merged log event by event.

    ``options`` are by stage name. After the last record given, what comes within ``drain_ns`` of it is still taken.

    Raises:
        Endless: a million derived records came between two that were given.

    """
    takers: dict[type[Record], list[Keyed]] = defaultdict(list)
    for stage in stages:
        runner = Keyed(stage, options or {})
        for kind in runner.reads:
            takers[kind].append(runner)
    waiting: list[tuple[int, int, Record]] = []
    now, made = 0, 0

    def take(event: Record) -> Step:
        nonlocal made
        step = Step(event, [], [])
        for runner in takers.get(type(event), ()):
            step.derived.extend(runner.take(event, 0, step.refused))
        for record in step.derived:
            made += 1
            heappush(waiting, (max(record.event_ns, now), made, record))
        return step

    def due(until_ns: int) -> Iterator[Step]:
        nonlocal now
        turns = 0
        while waiting and waiting[0][0] <= until_ns:
            now, _, event = heappop(waiting)
            yield take(event)
            turns += 1
            if turns > MOST:
                raise Endless(f"more than {MOST} derived records by {now}, the last one a {type(event).__name__}")

    for given in records:
        reached = max(now, given.event_ns)
        yield from due(reached)
        now = reached
        yield take(given)
    yield from due(now + drain_ns)


def run(records: Iterable[Record], stages: Sequence[StageType], options: Options | None = None) -> Iterator[Record]:
    """Every record that stages derive from records and from each other, in the order of their making."""
    for step in steps(records, stages, options):
        yield from step.derived
