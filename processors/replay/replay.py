"""Replay: chains over the partitions of recorded logs, in process, giving what a live run gave.

Every partition has a chain of its own, fed in log order. How a log is cut into runs and in which order the partitions
come changes nothing. Nothing is written anywhere and no clock is read: see command.py.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain as joined

import numpy as np

from processors.chain import BatchChain, EventChain, Options, Snapshot
from processors.replay.derived import outputs
from processors.replay.runs import Run, run_of
from processors.stage import BatchStage, Rejection, column_dtypes, reads
from processors.wiring import StageType, plan, source
from schemas import DeadLetter, Record
from schemas.batch import Batch
from schemas.columns import Keys, Table, tables

Log = tuple[str, int]  # topic and partition


class Replay:
    """The chains of a selection of stages.

    ``events`` lets each record through ``on_event``, which says what a stage means, instead of the columnar path.

    Raises:
        WiringError: the stages cannot run together.

    """

    def __init__(self, stages: Sequence[StageType], options: Options | None = None, events: bool = False) -> None:
        self.chains = plan(stages)
        self._logs: dict[str, list[str]] = {}  # by topic
        for log in self.chains:
            self._logs.setdefault(source(log), []).append(log)
        self._options = options or {}
        self._path: type[_Columns] | type[_Events] = _Events if events else _Columns
        self._paths: dict[Log, _Columns | _Events] = {}
        self._written: dict[Log, int] = {}
        self._passed: dict[int, int] = {}

    def take(self, run: Run) -> list[Batch]:
        """All that a run causes, a batch for each derived topic; empty for a topic that no stage reads."""
        logs = self._logs.get(run.batch.topic, [])
        made = [batch for log in logs for batch in self._through(log, run)]
        if run.letters and logs:
            made.append(self._letters(run.letters, run.batch.partition))
        return [self._numbered(item) for item in made]

    def over(self, runs: Iterable[Run]) -> Iterator[Batch]:
        """All that a source's runs cause."""
        return joined.from_iterable(map(self.take, runs))

    def snapshots(self) -> dict[Log, Snapshot]:
        """The state of every chain."""
        return {log: path.chain.snapshot() for log, path in self._paths.items()}

    def _through(self, log: str, run: Run) -> list[Batch]:
        """What one of the chains on a run's topic makes of it."""
        batch = run.batch
        path = self._paths.get((log, batch.partition)) or self._begin(log, batch)
        if path.keys is not batch.keys:
            raise ValueError(f"runs of {batch.topic} {batch.partition} do not share their keys")
        derived, refused = path.take(run)
        origin = run.origin if log == batch.topic else (log, batch.partition)
        return outputs(run, derived, refused, batch.keys, origin)

    def _begin(self, log: str, batch: Batch) -> "_Columns | _Events":
        path = self._path(self.chains[log], self._options, batch.keys)
        self._paths[log, batch.partition] = path
        return path

    def _letters(self, letters: Sequence[DeadLetter], partition: int) -> Batch:
        """Dead letters of a feed are their own causes, counted by themselves."""
        first = self._passed.get(partition, 0)
        self._passed[partition] = first + len(letters)
        return run_of(letters, DeadLetter.topic, partition, first, Keys()).batch

    def _numbered(self, batch: Batch) -> Batch:
        """Own offsets that go on from batch to batch."""
        log = batch.topic, batch.partition
        first = self._written.get(log, 0)
        self._written[log] = first + len(batch)
        offset = np.arange(first, first + len(batch))
        return dataclasses.replace(batch, lineage=dataclasses.replace(batch.lineage, offset=offset))


class _Columns:
    """A chain that takes columns."""

    def __init__(self, stages: Sequence[StageType], options: Options, keys: Keys) -> None:
        self.chain = BatchChain(stages, options)
        self.chain.keys = self.keys = keys

    def take(self, run: Run) -> tuple[list[Table], list[Rejection]]:
        return self.chain.on_batch(run.batch.tables)


class _Events:
    """A chain that takes one record after the other."""

    def __init__(self, stages: Sequence[StageType], options: Options, keys: Keys) -> None:
        self.chain = EventChain(stages, options)
        self.keys = keys

    def take(self, run: Run) -> tuple[list[Table], list[Rejection]]:
        made: list[tuple[int, Record]] = []
        refused: list[Rejection] = []
        for index, event in run.records():
            derived, rejections = self.chain.on_event(event)
            made += [(index, record) for record in derived]
            refused += [rejection._replace(cause=index) for rejection in rejections]
        return tables(made, self.keys), refused


def needs(stages: Sequence[StageType]) -> dict[type[Record], set[str] | None]:
    """The fields of each record that a chain reads; None where it needs whole records."""
    wanted: dict[type[Record], set[str] | None] = {}
    for stage in stages:
        fields: set[str] | None = None
        if issubclass(stage, BatchStage):
            fields = set(column_dtypes(stage)) | {"event_ns", "received_ns"}
        for record in reads(stage):
            known = wanted.get(record, set())
            wanted[record] = None if fields is None or known is None else known | fields
    return wanted
