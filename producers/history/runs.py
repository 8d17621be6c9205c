"""Numbers without holes between them: runs, their union, and the holes that are left. This is the proof's arithmetic.

Numbers follow each other when they lie at most ``step`` apart: 1, unless not every number has a record.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas import Rejected


class Run(NamedTuple):
    """Numbers that follow each other, and the event times of the first and the last of them."""

    first: int
    last: int
    from_ns: int
    to_ns: int


class Hole(NamedTuple):
    """Numbers from ``expected`` to before ``seen`` are not there; times of the records beside them, 0 for none."""

    expected: int
    seen: int
    from_ns: int
    to_ns: int


def runs(numbers: NDArray[Any], event_ns: NDArray[Any], step: int = 1) -> list[Run]:
    """The runs of rising numbers.

    >>> runs(np.array([3, 4, 7]), np.array([30, 40, 70]))
    [Run(first=3, last=4, from_ns=30, to_ns=40), Run(first=7, last=7, from_ns=70, to_ns=70)]
    """
    if not len(numbers):
        return []
    cuts = np.flatnonzero(np.diff(numbers) > step)
    begins, ends = np.concatenate(([0], cuts + 1)), np.concatenate((cuts, [len(numbers) - 1]))
    found = (numbers[begins], numbers[ends], event_ns[begins], event_ns[ends])
    return list(map(Run, *(column.tolist() for column in found)))


def union(parts: Iterable[Run], step: int = 1) -> list[Run]:
    """Runs that may overlap as ones that do not.

    >>> union([Run(5, 9, 50, 90), Run(1, 4, 10, 40), Run(8, 12, 80, 120), Run(20, 21, 200, 210)])
    [Run(first=1, last=12, from_ns=10, to_ns=120), Run(first=20, last=21, from_ns=200, to_ns=210)]
    """
    found: list[Run] = []
    for run in sorted(parts):
        if found and run.first - found[-1].last <= step:
            if run.last > found[-1].last:
                found[-1] = found[-1]._replace(last=run.last, to_ns=run.to_ns)
        else:
            found.append(run)
    return found


def holes(covered: Sequence[Run], first: int | None = None, end: int | None = None, step: int = 1) -> list[Hole]:
    """What lies between runs that do not overlap, and between them and a ``first`` and an ``end`` that are known.

    >>> covered = [Run(1, 4, 10, 40), Run(7, 8, 70, 80)]
    >>> holes(covered)
    [Hole(expected=5, seen=7, from_ns=40, to_ns=70)]
    >>> holes(covered, first=0, end=10)[0], holes([], 3, 5)
    (Hole(expected=0, seen=1, from_ns=0, to_ns=10), [Hole(expected=3, seen=5, from_ns=0, to_ns=0)])
    """
    before = None if first is None else Run(first - 1, first - 1, 0, 0)
    after = None if end is None else Run(end, end, 0, 0)
    bounded = [run for run in (before, *covered, after) if run is not None]
    return [
        Hole(one.last + 1, two.first, one.to_ns, two.from_ns)
        for one, two in pairwise(bounded)
        if two.first - one.last > step
    ]


def within(hole: Hole, asked: Iterable[tuple[int, int]]) -> bool:
    """Whether stretches of numbers, ends not included, cover a hole together.

    >>> within(Hole(5, 9, 0, 0), [(7, 20), (1, 7)]), within(Hole(5, 9, 0, 0), [(1, 7), (8, 20)])
    (True, False)
    """
    reached = hole.expected
    for first, end in sorted(asked):
        if first <= reached < end:
            reached = end
    return reached >= hole.seen


class Chain:
    """Takes rows as they come and tells which are new; knows the runs of all it took.

    >>> chain = Chain()
    >>> chain.take(np.array([1, 2, 2, 4]), np.array([1, 2, 2, 4])).tolist()
    [True, True, False, True]
    >>> chain.take(np.array([4, 5]), np.array([4, 5])).tolist(), chain.duplicates
    ([False, True], 2)
    >>> [(run.first, run.last) for run in chain.runs]
    [(1, 2), (4, 5)]
    """

    def __init__(self, step: int = 1) -> None:
        self.step = step
        self.runs: list[Run] = []
        self.rows = 0
        self.duplicates = 0

    def take(self, numbers: NDArray[Any], event_ns: NDArray[Any]) -> NDArray[np.bool_]:
        """Which rows, whose numbers do not fall, come for the first time.

        Raises:
            Rejected: a number that was passed over comes after all: the rows are in no order.

        """
        last = self.runs[-1].last if self.runs else -1
        new = numbers > np.concatenate(([last], numbers[:-1]))
        new &= numbers > last
        old = numbers[numbers <= last]
        for number in np.unique(old).tolist():
            if not any(run.first <= number <= run.last for run in reversed(self.runs)):
                raise Rejected(f"number {number} comes after {last}: the rows are in no order")
        self.rows += int(new.sum())
        self.duplicates += len(numbers) - int(new.sum())
        self._append(runs(numbers[new], event_ns[new], self.step))
        return new

    def _append(self, added: list[Run]) -> None:
        if self.runs and added and added[0].first - self.runs[-1].last <= self.step:
            added[0] = added[0]._replace(first=self.runs[-1].first, from_ns=self.runs.pop().from_ns)
        self.runs += added
