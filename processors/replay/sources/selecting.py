"""A stretch of event time out of a source, and the pace at which it comes."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from processors.replay.merging import Step, alone
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


def slices(step: Step, step_ns: int, reached_ns: int = 0) -> Iterator[tuple[int, Step]]:
    """A step cut where event time passes a multiple of ``step_ns``, each part with the time reached.

    Event time is at ``reached_ns`` before it.
    """
    bare = [run for run in step.runs if not len(run.batch)]
    if bare:
        yield reached_ns, alone(bare)
    which, places = step.order()
    if not len(which):
        return
    event_ns = np.concatenate([event_times(run.batch) for run in step.runs])
    firsts = np.concatenate(([0], np.cumsum([len(run.batch) for run in step.runs])))
    reached = np.maximum(np.maximum.accumulate(event_ns[firsts[which] + places]), reached_ns)
    cuts = np.flatnonzero(np.diff(reached // step_ns)) + 1
    for end, part in zip([*cuts.tolist(), len(reached)], step.cut(which, cuts), strict=True):
        yield int(reached[end - 1]), part


def paced(
    steps: Iterable[Step], speed: float, now_s: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[Run]:
    """Runs at ``speed`` times the pace of their event times, by the caller's clock; all logs advance together."""
    began_s, began_ns, before_ns = now_s(), 0, 0
    for step in steps:
        for reached_ns, part in slices(step, max(int(STEP_S * speed * 1e9), 1), before_ns):
            before_ns = reached_ns
            began_ns = began_ns or reached_ns
            early_s = (reached_ns - began_ns) / 1e9 / speed - (now_s() - began_s)
            if early_s > 0.0:
                sleep(early_s)
            yield from part.in_turn()
