"""Runs out of the Parquet archive (infra/archive.py): the tables of a topic merged by offset, in constant memory.

The archive holds what could be read, so a replay of it has no dead letters of the codec. Only the columns that the
chain reads are read; a record that a stage refuses is fetched whole, for its dead letter.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from infra import archive
from infra.archive import Piece
from infra.errors import UserError
from processors.replay.runs import Raw, Run
from schemas import Record
from schemas.batch import LINEAGE, Batch, Fresh, Lineage
from schemas.catalogue import TOPICS
from schemas.codec import Codec
from schemas.columns import ALL, Keys, Table
from schemas.generate import definitions
from schemas.record import EVERY_KEY

Needs = Mapping[type[Record], Set[str] | None]  # fields of each record; None for all
Files = dict[type[Record], list[Piece]]


def runs(
    root: Path,
    topic: str,
    needs: Needs | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Run]:
    """A topic's partitions one after the other; files of days that hold nothing of the stretch are not opened.

    Rows outside the stretch come along where they share a file with it.

    Raises:
        UserError: the archive holds nothing of the topic, or something that is not the archive's.

    """
    files = {
        record: [piece for piece in archive.pieces(root, record.table) if _touches(piece, start_ns, end_ns)]
        for record in TOPICS[topic].records
    }
    if not any((root / record.table).is_dir() for record in files):
        raise UserError(f"{root}: no archive of topic {topic}")
    wanted = {
        record: _fields(record, (needs or {}).get(record)) for record in files if needs is None or record in needs
    }
    for partition in sorted({piece.partition for found in files.values() for piece in found}):
        own = {record: [piece for piece in found if piece.partition == partition] for record, found in files.items()}
        for run in _partition(topic, partition, own, wanted):
            yield run
            if progress is not None:
                progress(len(run.batch))


def size(root: Path, topic: str) -> int:
    """About how many rows a topic has: offsets that the names of its files span."""
    return sum(
        piece.last - piece.first + 1 for record in TOPICS[topic].records for piece in archive.pieces(root, record.table)
    )


def _touches(piece: Piece, start_ns: int | None, end_ns: int | None) -> bool:
    day = int(np.datetime64(piece.date, "D").astype(np.int64))
    after = end_ns is not None and day > end_ns // archive.DAY_NS + 1
    return not after and (start_ns is None or day >= start_ns // archive.DAY_NS)


def _fields(record: type[Record], wanted: Set[str] | None) -> list[str]:
    every = record.__struct_fields__
    return [name for name in every if wanted is None or name in wanted or name == record.key_field]


def _partition(topic: str, partition: int, files: Files, wanted: Mapping[type[Record], list[str]]) -> Iterator[Run]:
    keys, fresh = Keys(), Fresh()
    streams = {
        record: archive.rows(files[record], {*fields, *LINEAGE}, defaults(record)) for record, fields in wanted.items()
    }
    raw = _Raw(files)
    for frames in merged(streams):
        batch = _batch(topic, partition, keys, frames, wanted)
        whole = Run(batch, raw.of(batch.lineage))
        new = fresh.mask(batch.lineage)
        yield whole if new.all() else whole.only(new)


def merged(streams: Mapping[type[Record], Iterator[pl.DataFrame]]) -> Iterator[dict[type[Record], pl.DataFrame]]:
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


def _batch(
    topic: str,
    partition: int,
    keys: Keys,
    frames: Mapping[type[Record], pl.DataFrame],
    wanted: Mapping[type[Record], list[str]],
) -> Batch:
    places, lineage = _lineage(frames.values())
    tables = [
        table_of(record, frame, cause, keys, wanted[record])
        for (record, frame), cause in zip(frames.items(), places, strict=True)
    ]
    return Batch(topic, partition, keys, tables, lineage)


def table_of(record: type[Record], frame: pl.DataFrame, cause: Any, keys: Keys, fields: Sequence[str]) -> Table:
    """Rows of the archive as a table; a field that came after they were written takes its default."""
    key = np.full(len(frame), ALL, np.int32)
    columns: dict[str, Any] = {}
    for name in fields:
        if name == record.key_field and name != EVERY_KEY:
            key = keys.codes(frame[name])
        elif name not in frame.columns:
            columns[name] = _filled(defaults(record)[name], len(frame))
        else:
            series = frame[name]
            columns[name] = series if series.dtype in (pl.String, pl.Binary) else series.to_numpy()
    return Table(record, cause, key, columns)


@functools.cache
def defaults(record: type[Record]) -> dict[str, Any]:
    """The fields that came after the first rows were written, with what they are in those."""
    (schema,) = (schema for schema in definitions() if schema["table"] == record.table)
    return {
        field["name"]: field["default"].encode("latin-1") if field["type"] == "bytes" else field["default"]
        for field in schema["fields"]
        if "default" in field
    }


def _filled(value: Any, count: int) -> Any:
    return pl.Series([value]).new_from_index(0, count) if isinstance(value, str | bytes) else np.full(count, value)


def _lineage(frames: Iterable[pl.DataFrame]) -> tuple[list[Any], Lineage]:
    """For each frame the index of its rows in the merged log, and the log's lineage."""
    parts = [frame.select(LINEAGE) for frame in frames]
    if len(parts) == 1:
        return [np.arange(len(parts[0]))], _columns(parts[0])
    joined = pl.concat(parts)
    order = np.argsort(joined["_offset"].to_numpy(), kind="stable")
    index = np.empty(len(order), np.int64)
    index[order] = np.arange(len(order))
    ends = np.cumsum([len(part) for part in parts]).tolist()
    places = [index[end - len(part) : end] for part, end in zip(parts, ends, strict=True)]
    return places, _columns(joined[order])


def _columns(frame: pl.DataFrame) -> Lineage:
    columns: dict[str, Any] = {
        name[1:]: frame[name] if frame[name].dtype == pl.String else frame[name].to_numpy() for name in LINEAGE
    }
    return Lineage(**columns)


class _Raw:
    """Whole records by their offsets, encoded again."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def of(self, lineage: Lineage) -> Callable[[Sequence[int]], list[Raw]]:
        return lambda wanted: self._read(lineage.offset[list(wanted)].tolist())

    def _read(self, offsets: list[int]) -> list[Raw]:
        found: dict[int, Raw] = {}
        codec, keys = Codec(), Keys()
        for record, files in self._files.items():
            near = [piece for piece in files if piece.first <= max(offsets) and piece.last >= min(offsets)]
            fields = _fields(record, None)
            for frame in archive.rows(near, {*fields, "_offset"}, defaults(record)):
                rows = frame.filter(frame["_offset"].is_in(offsets))
                table = table_of(record, rows, np.arange(len(rows)), keys, fields)
                for offset, item in zip(rows["_offset"].to_list(), table.records(keys), strict=True):
                    found[offset] = Raw(item.key.encode(), codec.encode(item))
        return [found[offset] for offset in offsets]
