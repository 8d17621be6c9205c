"""The stages of a chain over one partition: events in, every derived record out.

An event is drained before the next: each stage in turn takes what the event has caused so far, type by type in the
order of its class line. So the records of a topic stand in the order of their causes, and for a cause in the order of
the keys; a batch worked stage by stage gives the same order, which is what makes EventChain and BatchChain equal.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.stage import (
    BatchStage,
    Events,
    Rejection,
    Stage,
    column_dtypes,
    initial_states,
    name,
    reads,
    snapshots,
)
from processors.wiring import StageType
from schemas import EVERY_KEY, Record, Rejected
from schemas.columns import Keys, Table, tables

Options = Mapping[str, Any]  # by stage name
Snapshot = dict[str, dict[str, dict[str, Any]]]  # stage name, key, state


class Keyed:
    """A stage's instances, one a key: a chain of one stage."""

    def __init__(self, stage: StageType, options: Options) -> None:
        self.stage, self.name = stage, name(stage)
        self.options = options.get(self.name)
        self.reads = reads(stage)
        self.instances: dict[str, Stage[Any, Any]] = {}
        self._in_order: list[Stage[Any, Any]] = []  # of their keys; empty until asked for

    def take(self, event: Record, cause: int, refused: list[Rejection]) -> list[Record]:
        """All that an event causes; who refused it is put to ``refused``."""
        key = event.key
        if key == EVERY_KEY:
            self._in_order = self._in_order or [self.instances[each] for each in sorted(self.instances)]
            addressed = self._in_order
        else:
            addressed = [self.instances.get(key) or self._make(key)]
        made: list[Record] = []
        for instance in addressed:
            try:
                made += instance.on_event(event)
            except Rejected as rejected:
                refused.append(Rejection(cause, self.name, str(rejected)))
        return made

    def on_batch(self, given: list[Table], keys: Keys) -> tuple[list[Table], list[Rejection]]:
        refused: list[Rejection] = []
        made = [(cause, record) for cause, event in _merged(given, keys) for record in self.take(event, cause, refused)]
        return tables(made, keys), refused

    def snapshot(self, keys: Keys) -> dict[str, dict[str, Any]]:
        return {key: instance.snapshot() for key, instance in sorted(self.instances.items())}

    def restore(self, snapshot: dict[str, dict[str, Any]], keys: Keys) -> None:
        for key, state in snapshot.items():
            self._make(key).restore(state)

    def _make(self, key: str) -> Stage[Any, Any]:
        instance = self.instances[key] = self.stage(key, self.options)
        self._in_order = []
        return instance


class _Columnar:
    """A stage's states as the rows of one array."""

    def __init__(self, stage: type[BatchStage[Any, Any]], options: Options) -> None:
        self.stage, self.name = stage, name(stage)
        self.options = options.get(self.name) or stage.Options()
        self.reads = reads(stage)
        self.kinds = {kind: number for number, kind in enumerate(self.reads)}
        self.dtypes = column_dtypes(stage)
        self.states = initial_states(stage, 0)
        self.fresh = initial_states(stage, 1)

    def on_batch(self, given: list[Table], keys: Keys) -> tuple[list[Table], list[Rejection]]:
        self._grow(keys)
        return self.stage.on_batch(self.options, keys, self.states, self._events(given))

    def snapshot(self, keys: Keys) -> dict[str, dict[str, Any]]:
        self._grow(keys)
        codes = keys.sorted_codes()
        touched = codes[self.states[codes] != self.fresh]
        return snapshots([keys.names[code] for code in touched.tolist()], self.states[touched], self.stage.State)

    def restore(self, snapshot: dict[str, dict[str, Any]], keys: Keys) -> None:
        codes = {key: keys.code(key) for key in snapshot}
        self._grow(keys)
        names = self.fresh.dtype.names or ()
        fresh = dict(zip(names, self.fresh[0].item(), strict=True))
        for key, state in snapshot.items():  # one taken before a field was added lacks it
            self.states[codes[key]] = tuple(state.get(name, fresh[name]) for name in names)

    def _events(self, given: list[Table]) -> Events:
        """The rows of several tables as one run of events."""
        kind = np.concatenate([np.full(len(table), self.kinds[table.record], np.int8) for table in given])
        key = np.concatenate([table.key for table in given])
        cause = np.concatenate([table.cause for table in given])
        columns = {field: _column(given, field, dtype) for field, dtype in self.dtypes.items()}
        if len(given) == 1:
            return Events(kind, key, cause, columns)
        order = np.argsort(cause, kind="stable")
        ordered = {field: column[order] for field, column in columns.items()}
        return Events(kind[order], key[order], cause[order], ordered)

    def _grow(self, keys: Keys) -> None:
        if len(self.states) < len(keys.names):
            more = np.repeat(self.fresh, 2 * len(keys.names) - len(self.states))
            self.states = np.concatenate((self.states, more))


class EventChain:
    """A chain that takes one record at a time: the meaning of a chain."""

    def __init__(self, stages: Sequence[StageType], options: Options | None = None) -> None:
        self._runners = [Keyed(stage, options or {}) for stage in stages]
        self._keys = Keys()

    def on_event(self, event: Record) -> tuple[list[Record], list[Rejection]]:
        """All that an event causes, stage by stage, and who refused what."""
        refused: list[Rejection] = []
        made: dict[type[Record], list[Record]] = {type(event): [event]}
        derived: list[Record] = []
        for runner in self._runners:
            caused = [given for kind in runner.reads for given in made.get(kind, ())]  # nothing of its own
            for given in caused:
                for record in runner.take(given, 0, refused):
                    derived.append(record)
                    made.setdefault(type(record), []).append(record)
        return derived, refused

    def snapshot(self) -> Snapshot:
        """The state of every stage and key as plain values."""
        return {runner.name: runner.snapshot(self._keys) for runner in self._runners}

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot of either kind of chain."""
        for runner in self._runners:
            runner.restore(snapshot.get(runner.name, {}), self._keys)


class BatchChain:
    """A chain that takes the events of a batch as columns; stages without a columnar path get records."""

    def __init__(self, stages: Sequence[StageType], options: Options | None = None) -> None:
        self.keys = Keys()
        self._runners: list[_Columnar | Keyed] = [
            _Columnar(stage, options or {}) if issubclass(stage, BatchStage) else Keyed(stage, options or {})
            for stage in stages
        ]

    def on_batch(self, batch: list[Table]) -> tuple[list[Table], list[Rejection]]:
        """All that a batch causes: every stage's tables, rows in the order of their causes, and who refused what."""
        made = {table.record: table for table in batch}
        derived: list[Table] = []
        refused: list[Rejection] = []
        for runner in self._runners:
            given = [made[kind] for kind in runner.reads if kind in made and len(made[kind])]
            if not given:
                continue
            results, rejections = runner.on_batch(given, self.keys)
            refused += rejections
            made |= {table.record: table for table in results}
            derived += results
        return [table for table in derived if len(table)], refused

    def snapshot(self) -> Snapshot:
        """The state of every stage and key as plain values."""
        return {runner.name: runner.snapshot(self.keys) for runner in self._runners}

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot of either kind of chain."""
        for runner in self._runners:
            runner.restore(snapshot.get(runner.name, {}), self.keys)


def _merged(given: list[Table], keys: Keys) -> Iterator[tuple[int, Record]]:
    """The rows of several tables in the order of their causes, for a cause in the order of the tables."""
    rows = [
        (cause, place, index, record)
        for place, table in enumerate(given)
        for index, (cause, record) in enumerate(zip(table.cause.tolist(), table.records(keys), strict=True))
    ]
    rows.sort(key=lambda row: row[:3])
    return ((cause, record) for cause, _, _, record in rows)


def _column(given: list[Table], field: str, dtype: type) -> NDArray[Any]:
    """One field of several tables, always as a new array: a kernel compiled for it must never meet another layout."""
    column: NDArray[Any] = np.zeros(sum(map(len, given)), dtype)
    start = 0
    for table in given:
        if field in table.columns:
            column[start : start + len(table)] = table.columns[field]
        start += len(table)
    return column
