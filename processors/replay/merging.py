"""Logs merged by the time at which their records were written: what was written first comes first, in constant memory.

A log's own order stays as it is: a record counts as written when its log had reached, which is the latest time of all
up to it. Records of one time come by topic, partition and offset, whatever was read first.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from processors.replay.runs import Run
from schemas.pieces import Ints
from schemas.position import Log

HELD = 1 << 18  # records of all logs together that are held, about, unless single runs are longer


class Step(NamedTuple):
    """Runs that cover a stretch of the merged log: everything of it from all logs."""

    runs: list[Run]  # by log; of one log in its order
    times: list[Ints]  # of each run: what its log had reached at each record

    def order(self) -> tuple[Ints, Ints]:
        """The merged log: of each record its run, and its place in the run."""
        counts = [len(times) for times in self.times]
        order = np.argsort(np.concatenate([*self.times, np.empty(0, np.int64)]), kind="stable")
        which = np.repeat(np.arange(len(counts)), counts)[order]
        return which, order - np.concatenate(([0], np.cumsum(counts)))[which]

    def cut(self, which: Ints, places: Ints) -> Iterator["Step"]:
        """The merged log, the records' runs being ``which``, cut at some places; runs without records are left out."""
        begins = np.zeros(len(self.runs), np.int64)
        for part in np.split(which, places):
            ends = begins + np.bincount(part, minlength=len(begins))
            bounds = [(int(run), int(begins[run]), int(ends[run])) for run in np.flatnonzero(ends > begins)]
            yield Step(
                [self.runs[run].part(begin, end) for run, begin, end in bounds],
                [self.times[run][begin:end] for run, begin, end in bounds],
            )
            begins = ends

    def in_turn(self) -> Iterator[Run]:
        """The runs as chains may take them: a chain's own log and what was back-filled for it in order of time.

        Different chains have nothing to do with each other, nor have logs that were back-filled: those have one key.
        """
        chains: dict[Log, list[int]] = {}
        for place, run in enumerate(self.runs):
            chains.setdefault((run.batch.topic, run.batch.partition), []).append(place)
        for found in chains.values():
            step = Step([self.runs[place] for place in found], [self.times[place] for place in found])
            own = np.array([run.log is None for run in step.runs])
            if own.all() or not own.any():
                yield from step.runs
                continue
            which, _ = step.order()
            for part in step.cut(which, np.flatnonzero(np.diff(own[which])) + 1):
                yield from part.runs


class _Log:
    """One log: its runs that were read and not given."""

    def __init__(self, place: int, runs: Iterable[Run]) -> None:
        self.open = True
        self._source = iter(runs)
        self._held: deque[tuple[Run, Ints]] = deque()
        self.reached = -1, place  # the time of the last record read; the lesser place comes first at one time

    @property
    def holds(self) -> bool:
        """Whether records were read that were not given."""
        return any(len(times) for _, times in self._held)

    def read(self) -> int:
        """Read one run more; how many records it has."""
        run = next(self._source, None)
        if run is None:
            self.open = False
            return 0
        time, place = self.reached
        times = np.maximum(np.maximum.accumulate(run.batch.lineage.kafka_ns), time)
        self._held.append((run, times))
        self.reached = (int(times[-1]) if len(times) else time), place
        return len(times)

    def take(self, bound: tuple[int, int] | None) -> Iterator[tuple[Run, Ints]]:
        """What was written up to a time of the log at a place; everything without a bound."""
        while self._held:
            run, times = self._held.popleft()
            count = len(times)
            if bound is not None:
                before = self.reached[1] <= bound[1]  # else what is at the bound's time comes after its log's
                count = int(np.searchsorted(times, bound[0] + 1 if before else bound[0]))
            if count or not len(times):
                yield run.part(0, count), times[:count]
            if count < len(times):
                self._held.appendleft((run.part(count, len(times)), times[count:]))
                return


def merged(logs: Sequence[Iterable[Run]], held: int = HELD) -> Iterator[Step]:
    """The steps of the merged log; ``logs`` stand in the order of topic and partition."""
    all_ = [_Log(place, runs) for place, runs in enumerate(logs)]
    waiting = 0
    while True:
        while going := [log for log in all_ if log.open]:
            behind = min(going, key=lambda log: log.reached)
            if waiting >= held and behind.holds:
                break
            waiting += behind.read()
        bound = min((log.reached for log in going), default=None)
        taken = [item for log in all_ for item in log.take(bound)]
        waiting -= sum(len(times) for _, times in taken)
        if taken:
            yield Step([run for run, _ in taken], [times for _, times in taken])
        if not going:
            return


def alone(runs: Iterable[Run]) -> Step:
    """Runs of different logs, of which nothing came before, as a step."""
    found = list(runs)
    return Step(found, [np.maximum.accumulate(run.batch.lineage.kafka_ns) for run in found])
