"""Runs out of a recording of raw venue frames, through the feed that would have read them live.

The recording counts as the log of one partition, its records numbered from 0; clocks can be put in by event time.
Frames that the feed refuses go with the run as its letters.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from processors.replay.runs import Run, run_of
from producers import frames
from producers.clock import with_clocks
from producers.feed import Feed
from schemas import DeadLetter, Record, Tick
from schemas.columns import Keys

RECORDS = 20_000  # in a run


def runs(
    path: Path,
    feed: type[Feed],
    symbols: Sequence[str] = (),
    clock_ns: int = 0,
    progress: frames.Progress | None = None,
    most: int = RECORDS,
) -> Iterator[Run]:
    """Runs of at most ``most`` records; ``clock_ns`` is the interval of the clocks, 0 for none."""
    records: Iterable[Record] = frames.records(path, feed, symbols, progress)
    return runs_of(with_clocks(records, clock_ns) if clock_ns else records, most)


def runs_of(
    records: Iterable[Record], most: int = RECORDS, topic: str = Tick.topic, partition: int = 0
) -> Iterator[Run]:
    """Records of one partition as runs, dead letters apart."""
    keys, first = Keys(), 0
    source = iter(records)
    while taken := list(islice(source, most)):
        letters = [record for record in taken if isinstance(record, DeadLetter)]
        kept = [record for record in taken if not isinstance(record, DeadLetter)] if letters else taken
        yield run_of(kept, Tick.topic, 0, first, keys, letters)
        first += len(kept)
