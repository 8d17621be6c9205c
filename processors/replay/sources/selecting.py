"""A stretch of event time out of a source, and the pace at which it comes."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import numpy as np

from processors.replay.runs import Run, event_times

STEP_S = 0.05  # at real time a record is at most this late


def between(runs: Iterable[Run], start_ns: int | None, end_ns: int | None) -> Iterator[Run]:
    """Only records with event times from ``start_ns`` to before ``end_ns``; what is unreadable has its log's time."""
    if start_ns is None and end_ns is None:
        yield from runs
        return
    low, high = start_ns or 0, (1 << 63) - 1 if end_ns is None else end_ns
    for run in runs:
        event_ns = event_times(run.batch)
        letters = [letter for letter in run.letters if low <= letter.event_ns < high]
        part = dataclasses.replace(run.only((low <= event_ns) & (event_ns < high)), letters=letters)
        if len(part.batch) or letters:
            yield part


def slices(run: Run, step_ns: int) -> Iterator[tuple[int, Run]]:
    """A run cut where its event time passes a multiple of ``step_ns``, each part with the time it has reached."""
    if not len(run.batch):
        yield 0, run
        return
    reached = np.maximum.accumulate(event_times(run.batch))
    cuts = np.flatnonzero(np.diff(reached // step_ns)) + 1
    bounds = [0, *cuts.tolist(), len(reached)]
    for begin, end in pairwise(bounds):
        yield int(reached[end - 1]), run.part(begin, end)


def paced(
    runs: Iterable[Run], speed: float, now_s: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[Run]:
    """Runs at ``speed`` times the pace of their event times, by the caller's clock."""
    began_s, began_ns = now_s(), 0
    for run in runs:
        for reached_ns, part in slices(run, max(int(STEP_S * speed * 1e9), 1)):
            began_ns = began_ns or reached_ns
            early_s = (reached_ns - began_ns) / 1e9 / speed - (now_s() - began_s)
            if early_s > 0.0:
                sleep(early_s)
            yield part
