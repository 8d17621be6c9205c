"""Runs out of a recording of raw venue frames, through the feed that would have read them live.

The recording counts as a log of one partition for each topic, its records numbered from 0; clocks can be put in by
event time. Frames that the feed refuses go with the runs as letters.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from processors.replay.runs import Run, run_of
from producers import frames
from producers.clock import with_clocks
from producers.feed import Feed
from schemas import DeadLetter, Record, Tick
from schemas.columns import Keys

RECORDS = 20_000  # in a chunk


def runs(
    path: Path,
    feed: type[Feed],
    symbols: Sequence[str] = (),
    clock_ns: int = 0,
    progress: frames.Progress | None = None,
    most: int = RECORDS,
) -> Iterator[Run]:
    """Runs of at most ``most`` records; ``clock_ns`` is the interval of the clocks, 0 for none."""
    for chunk in chunks(path, feed, symbols, clock_ns, progress, most):
        yield from chunk


def chunks(
    path: Path,
    feed: type[Feed],
    symbols: Sequence[str] = (),
    clock_ns: int = 0,
    progress: frames.Progress | None = None,
    most: int = RECORDS,
) -> Iterator[list[Run]]:
    """Stretches of the recording: a run for each topic of it."""
    records: Iterable[Record] = frames.records(path, feed, symbols, progress)
    return chunks_of(with_clocks(records, clock_ns) if clock_ns else records, most)


def runs_of(records: Iterable[Record], most: int = RECORDS) -> Iterator[Run]:
    """Records as runs of the topics that they belong to, dead letters apart."""
    for chunk in chunks_of(records, most):
        yield from chunk


def chunks_of(records: Iterable[Record], most: int) -> Iterator[list[Run]]:
    """Records, so many at a time: a run for each topic, the ticks' first and with the dead letters."""
    keys: dict[str, Keys] = {}
    firsts: Counter[str] = Counter()
    source = iter(records)
    while taken := list(islice(source, most)):
        topics: dict[str, list[Record]] = {Tick.topic: []}
        letters: list[DeadLetter] = []
        for record in taken:
            if isinstance(record, DeadLetter):
                letters.append(record)
            else:
                topics.setdefault(record.topic, []).append(record)
        made: list[Run] = []
        for topic, group in topics.items():
            own = letters if topic == Tick.topic else []
            if group or own:
                made.append(run_of(group, topic, 0, firsts[topic], keys.setdefault(topic, Keys()), own))
            firsts[topic] += len(group)
        yield made
