"""Runs out of the Parquet archive (infra/archive.py): the tables of a topic merged by offset, in constant memory.

The archive holds what could be read, so a replay of it has no dead letters of the codec. Only the columns that the
chain reads are read; a record that a stage refuses is fetched whole, for its dead letter.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from infra import archive
from infra.archive_file import LARGEST, Wanted
from infra.archive_rows import column_of, lineage_of, listing, rows
from infra.errors import UserError
from processors.replay.runs import Raw, Run
from schemas import RECORDS, Merge, Record
from schemas.batch import LINEAGE, Batch, Fresh, Lineage
from schemas.catalogue import TOPICS
from schemas.codec import Codec
from schemas.columns import ALL, Keys, Table
from schemas.position import Log
from schemas.record import EVERY_KEY

Needs = Mapping[type[Record], Set[str] | None]  # fields of each record; None for all
Frames = Mapping[type[Record], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of an archive: a stretch of event time, and keys with or without their feed.

    Row groups that hold nothing of the stretch are not read; rows outside it come along where they share one with it.
    """

    start_ns: int | None = None
    end_ns: int | None = None
    names: frozenset[str] | None = None

    def wanted(self, record: type[Record], fields: Iterable[str], after: int = -1, until: int = LARGEST) -> Wanted:
        """These rows of a record's table, between two offsets."""
        end_ns = LARGEST if self.end_ns is None else self.end_ns
        columns = frozenset({*fields, *LINEAGE})
        return Wanted(record.table, columns, self.names, self.start_ns or 0, end_ns, after, until)


EVERYTHING = Selection()


def runs(
    root: Path,
    topic: str,
    needs: Needs | None = None,
    selection: Selection = EVERYTHING,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Run]:
    """A topic's partitions one after the other.

    Raises:
        UserError: the archive holds nothing of the topic, or something that is not the archive's.

    """
    for partition in partitions(root, topic, selection):
        for run in log(root, topic, partition, Keys(), needs, selection):
            yield run
            if progress is not None:
                progress(len(run.batch))


def holds(root: Path, topic: str) -> bool:
    """Whether there is an archive of a topic."""
    return bool(_there(_home(root, topic), topic))


def _home(root: Path, topic: str) -> Path:
    """Where the tables of a topic are: a merged log has copies of its own."""
    return root / archive.MERGED if topic == Merge.topic else root


def _there(home: Path, topic: str) -> list[type[Record]]:
    """The records of a topic that an archive has tables of."""
    records = RECORDS.values() if topic == Merge.topic else TOPICS[topic].records
    return [record for record in records if (home / record.table).is_dir()]


def partitions(root: Path, topic: str, selection: Selection = EVERYTHING) -> dict[int, int]:
    """The partitions that hold something, and about how many rows of each: offsets that their files span.

    Raises:
        UserError: the archive holds nothing of the topic, or something that is not the archive's.

    """
    home = _home(root, topic)
    there = _there(home, topic)
    if not there:
        raise UserError(f"{root}: no archive of topic {topic}")
    spans: dict[int, tuple[int, int]] = {}
    for record in there:
        for piece in archive.pieces(home, record.table, selection.start_ns, selection.end_ns):
            first, last = spans.get(piece.partition, (piece.first, piece.last))
            spans[piece.partition] = min(first, piece.first), max(last, piece.last)
    return {partition: last - first + 1 for partition, (first, last) in sorted(spans.items())}


def log(
    root: Path,
    topic: str,
    partition: int,
    keys: Keys,
    needs: Needs | None = None,
    selection: Selection = EVERYTHING,
    name: Log | None = None,
    home: int | None = None,
) -> Iterator[Run]:
    """One partition of a topic; as the log ``name`` and into the chain of the partition ``home`` where they differ."""
    root = _home(root, topic)
    fields = {
        record: fields_of(record, (needs or {}).get(record))
        for record in _there(root, topic)
        if needs is None or record in needs
    }
    streams = {}
    for record, names in fields.items():
        wanted = selection.wanted(record, names)
        streams[record] = rows(listing(root, wanted, partition), wanted)
    fresh, raw = Fresh(), _Raw(root, partition, list(fields))
    for frames in merged(streams):
        places, lineage = _lineage(frames.values())
        tables = [
            table_of(record, frame, cause, keys, fields[record])
            for (record, frame), cause in zip(frames.items(), places, strict=True)
        ]
        batch = Batch(topic, partition if home is None else home, keys, tables, lineage)
        yield Run(batch, raw.of(lineage), log=name).only(fresh.mask(lineage))


def merged(streams: Mapping[type[Record], Iterator[pl.DataFrame]]) -> Iterator[Frames]:
    """Streams by offset as steps in common: all rows up to an offset that every stream has reached."""
    waiting: dict[type[Record], pl.DataFrame] = {}
    open_ = dict(streams)
    while open_ or waiting:
        for record in [record for record in open_ if record not in waiting]:
            frame = next(open_[record], None)
            if frame is None:
                del open_[record]
            else:
                waiting[record] = frame
        if not waiting:
            return
        reached = min((waiting[record]["_offset"][-1] for record in open_), default=None)
        step: dict[type[Record], pl.DataFrame] = {}
        for record, frame in list(waiting.items()):
            count = len(frame) if reached is None else frame["_offset"].search_sorted(reached, side="right")
            if count:
                step[record] = frame.slice(0, count)
            if count == len(frame):
                del waiting[record]
            else:
                waiting[record] = frame.slice(count)
        yield step


def fields_of(record: type[Record], wanted: Set[str] | None = None) -> list[str]:
    """Some of a record's fields, its event time and its key among them."""
    every = record.__struct_fields__
    return [name for name in every if wanted is None or name in wanted or name in {record.key_field, "event_ns"}]


def table_of(record: type[Record], frame: pl.DataFrame, cause: Any, keys: Keys, fields: Sequence[str]) -> Table:
    """Rows of the archive as a table."""
    key = np.full(len(frame), ALL, np.int32)
    columns: dict[str, Any] = {}
    for name in fields:
        if name == record.key_field and name != EVERY_KEY:
            key = keys.codes(frame[name])
        else:
            columns[name] = column_of(frame[name])
    return Table(record, cause, key, columns)


def _lineage(frames: Iterable[pl.DataFrame]) -> tuple[list[Any], Lineage]:
    """For each frame the index of its rows in the merged log, and the log's lineage."""
    parts = [frame.select(LINEAGE) for frame in frames]
    if len(parts) == 1:
        return [np.arange(len(parts[0]))], lineage_of(parts[0])
    joined = pl.concat(parts)
    order = np.argsort(joined["_offset"].to_numpy(), kind="stable")
    index = np.empty(len(order), np.int64)
    index[order] = np.arange(len(order))
    ends = np.cumsum([len(part) for part in parts]).tolist()
    places = [index[end - len(part) : end] for part, end in zip(parts, ends, strict=True)]
    return places, lineage_of(joined[order])


class _Raw:
    """Whole records by their offsets, encoded again."""

    def __init__(self, root: Path, partition: int, records: Sequence[type[Record]]) -> None:
        self._root, self._partition, self._records = root, partition, records

    def of(self, lineage: Lineage) -> Callable[[Sequence[int]], list[Raw]]:
        return lambda wanted: self._read(lineage.offset[list(wanted)].tolist())

    def _read(self, offsets: list[int]) -> list[Raw]:
        found: dict[int, Raw] = {}
        codec, keys = Codec(), Keys()
        for record in self._records:
            fields = fields_of(record)
            near = EVERYTHING.wanted(record, fields, min(offsets) - 1, max(offsets))
            for frame in rows(listing(self._root, near, self._partition), near):
                kept = frame.filter(frame["_offset"].is_in(offsets))
                table = table_of(record, kept, np.arange(len(kept)), keys, fields)
                for offset, item in zip(kept["_offset"].to_list(), table.records(keys), strict=True):
                    found[offset] = Raw(item.key.encode(), codec.encode(item))
        return [found[offset] for offset in offsets]
