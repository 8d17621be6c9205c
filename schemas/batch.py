"""A run of one partition of a topic as columns: what sinks write, archives hold and replays yield.

Every row keeps its own offset and its lineage: the position of its cause, which with the topic and partition names the
row for ever, and the times of the hops. Stored as columns they are named ``_offset``, ``_cause_offset`` and so on, so
that no field of a record is in their way.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.columns import Keys, Table
from schemas.pieces import Ints
from schemas.position import Position, Times
from schemas.record import EVERY_KEY


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where each record of a run stands and where it comes from; times in ns since the epoch."""

    offset: Ints
    cause_topic: pl.Series
    cause_partition: Ints
    cause_offset: Ints
    cause_ordinal: Ints
    exchange_ns: Ints  # 0 where the record carries no times, as received_ns and produced_ns
    received_ns: Ints
    produced_ns: Ints
    kafka_ns: Ints  # timestamp of the record in its log

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, rows: NDArray[Any]) -> "Lineage":
        """Some of the rows, by index or by mask."""
        return Lineage(*(_taken(getattr(self, field.name), rows) for field in dataclasses.fields(self)))

    def positions(self) -> list[Position]:
        """The position of each record's cause."""
        numbers = (self.cause_partition, self.cause_offset, self.cause_ordinal)
        return list(map(Position, self.cause_topic.to_list(), *(column.tolist() for column in numbers)))

    def columns(self) -> dict[str, Ints | pl.Series]:
        """The columns under the names by which they are stored."""
        return {name: getattr(self, name[1:]) for name in LINEAGE}


LINEAGE = tuple(f"_{field.name}" for field in dataclasses.fields(Lineage))


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition in log order; a table's ``cause`` is the index of its rows in ``lineage``.

    A run may have offsets that no table has: records that could not be read, or were not asked for.
    """

    topic: str
    partition: int
    keys: Keys
    tables: list[Table]
    lineage: Lineage

    def __len__(self) -> int:
        return len(self.lineage)

    def only(self, wanted: NDArray[np.bool_]) -> "Batch":
        """The records of the run that ``wanted`` is true for."""
        if wanted.all():
            return self
        index = np.cumsum(wanted) - 1
        tables = [_rows(table, wanted[table.cause], index) for table in self.tables]
        return dataclasses.replace(
            self, tables=[table for table in tables if len(table)], lineage=self.lineage.take(wanted)
        )

    def part(self, begin: int, end: int) -> "Batch":
        """The records from index ``begin`` to before ``end``; nothing is copied."""
        if (begin, end) == (0, len(self)):
            return self
        tables = [_slice(table, begin, end) for table in self.tables]
        lineage = Lineage(*(getattr(self.lineage, field.name)[begin:end] for field in dataclasses.fields(Lineage)))
        return dataclasses.replace(self, tables=[table for table in tables if len(table)], lineage=lineage)

    def frame(self, table: Table) -> pl.DataFrame:
        """A table with all its record's fields, and the lineage columns after them."""
        columns: dict[str, Any] = {"_partition": np.full(len(table), self.partition, np.int64)}
        columns |= self.lineage.take(table.cause).columns()
        fields = {name: _field(table, name, self.keys) for name in table.record.__struct_fields__}
        return pl.DataFrame(fields | columns)


def _rows(table: Table, wanted: NDArray[np.bool_], index: NDArray[np.int64]) -> Table:
    columns = {name: _taken(column, wanted) for name, column in table.columns.items()}
    return Table(table.record, index[table.cause[wanted]], table.key[wanted], columns)


def _slice(table: Table, begin: int, end: int) -> Table:
    first, last = np.searchsorted(table.cause, (begin, end)).tolist()
    columns = {name: column[first:last] for name, column in table.columns.items()}
    return Table(table.record, table.cause[first:last] - begin, table.key[first:last], columns)


def _taken(column: Any, rows: NDArray[Any]) -> Any:
    if isinstance(column, pl.Series):
        return column.filter(pl.Series(rows)) if rows.dtype == np.bool_ else column.gather(rows)
    return column[rows]


def _field(table: Table, name: str, keys: Keys) -> NDArray[Any] | pl.Series:
    if name != table.record.key_field or name == EVERY_KEY:
        return table.columns[name]
    return pl.Series(keys.names, dtype=pl.String).gather(table.key)


def lineage(
    offsets: Sequence[int], positions: Sequence[Position], times: Sequence[Times | None], kafka_ns: Sequence[int]
) -> Lineage:
    """The lineage of a run from what was read of each of its records."""
    causes = np.array([position[1:] for position in positions], np.int64).reshape(-1, 3).T.copy()
    moments = np.array([time or (0, 0, 0) for time in times], np.int64).reshape(-1, 3).T.copy()
    return Lineage(
        offset=np.asarray(offsets, np.int64),
        cause_topic=pl.Series([position.topic for position in positions], dtype=pl.String),
        cause_partition=causes[0],
        cause_offset=causes[1],
        cause_ordinal=causes[2],
        exchange_ns=moments[0],
        received_ns=moments[1],
        produced_ns=moments[2],
        kafka_ns=np.asarray(kafka_ns, np.int64),
    )


def ordinals(causes: Ints) -> Ints:
    """For each of the rising causes how many equal ones stand before it.

    >>> ordinals(np.array([3, 3, 5, 9, 9, 9])).tolist()
    [0, 1, 0, 0, 1, 2]
    """
    return np.arange(len(causes)) - np.searchsorted(causes, causes)


ORDINAL_BITS = 24  # more records than that on one topic from one input would be an error of their stage


class Fresh:
    """Which records of a log's runs are new: ``Seen`` for columns, made for one topic and partition.

    >>> run = lineage([5, 6, 7], [Position("t", 0, offset) for offset in (1, 2, 1)], [None] * 3, [0] * 3)
    >>> Fresh().mask(run).tolist()
    [True, True, False]
    """

    def __init__(self) -> None:
        self._highest: dict[tuple[str, int], int] = {}

    def mask(self, run: Lineage) -> NDArray[np.bool_]:
        """Whether each record's cause lies above all before it; the run counts as seen from now on."""
        wanted = np.ones(len(run), np.bool_)
        for source, rows in _sources(run):
            ranks = (run.cause_offset[rows] << ORDINAL_BITS) + run.cause_ordinal[rows]
            highest = np.maximum.accumulate(np.concatenate(([self._highest.get(source, -1)], ranks)))
            wanted[rows] = ranks > highest[:-1]
            self._highest[source] = int(highest[-1])
        return wanted


def _sources(run: Lineage) -> Iterator[tuple[tuple[str, int], NDArray[np.bool_]]]:
    """Topic and partition of the causes, and which rows have it; most runs have one."""
    left = np.ones(len(run), np.bool_)
    while left.any():
        first = int(left.argmax())
        source = run.cause_topic[first], int(run.cause_partition[first])
        rows = (run.cause_topic == source[0]).to_numpy() & (run.cause_partition == source[1])
        yield source, rows
        left &= ~rows
