"""Rows out of the archive: one table and partition, each row once and in log order, in constant memory.

- Files are merged by offset, a row group of each at a time; an offset that two files hold is given once. A file is
  opened when the merge comes to its first offset and held open only while a row group is read, so that neither the
  number of keys nor that of files has a limit.
- Row groups that hold nothing of the wanted stretch of time or of offsets are not read, by their statistics.
- Compaction may take a file away under us: then the files are listed again and reading goes on at the next offset.
- A field that came after a file was written has its default in every row of it.
"""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from infra import archive
from infra.archive import Piece
from infra.errors import UserError
from schemas import RECORDS, Record
from schemas.batch import LINEAGE, Lineage
from schemas.columns import Column
from schemas.generate import definitions

ROWS = 65_536  # given at a time, about
HELD = 1 << 17  # rows of all files together that are held, about, unless single row groups are larger
TRIES = 10  # at listing files of which one is gone when it is opened
LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of a table, and which of their columns.

    ``names`` are keys with or without what stands before their colon, None for all; they are asked of tables that are
    keyed by instrument only. Rows outside the stretch of event time come along where they share a row group with it.
    """

    table: str
    columns: frozenset[str]  # _offset among them, and the key where names are given
    names: frozenset[str] | None = None
    start_ns: int = 0
    end_ns: int = LARGEST
    after: int = -1  # offset
    until: int = LARGEST  # the last offset

    def has(self, key: str) -> bool:
        """Whether rows of a key are wanted.

        >>> wanted = Wanted("ticks", frozenset(), frozenset({"ETH-USD", "x:BTC"}))
        >>> [wanted.has(key) for key in ("a:ETH-USD", "x:BTC", "y:BTC")]
        [True, True, False]
        """
        return self.names is None or key in self.names or key.partition(":")[2] in self.names

    @property
    def filtered(self) -> bool:
        """Whether only some keys are wanted."""
        return self.names is not None and RECORDS[self.table].key_field == "instrument"


def rows(listed: Callable[[], Sequence[Piece]], wanted: Wanted) -> Iterator[pl.DataFrame]:
    """Rows of the files of one partition, listed anew when one of them is gone.

    Raises:
        UserError: a file is damaged, or is none of ours; its path and what is wrong.

    """
    after, tries = wanted.after, TRIES
    while True:
        try:
            for frame in merged(listed(), wanted, after):
                after, tries = frame["_offset"][-1], TRIES
                yield frame
        except Gone as gone:
            tries -= 1
            if not tries:
                raise UserError(f"{gone}: cannot be opened") from None
        else:
            return


def merged(files: Sequence[Piece], wanted: Wanted, after: int = -1) -> Iterator[pl.DataFrame]:
    """Rows of files that stand in the order of their first offsets, above the offset ``after``.

    Raises:
        UserError: a file is damaged, or is none of ours; its path and what is wrong.
        Gone: a file is not there any more.

    """
    coming = deque(piece for piece in files if _holds(piece, wanted))
    streams: list[_Stream] = []
    ready: list[pl.DataFrame] = []
    last = max(after, wanted.after)
    while coming or streams:
        bound = min((stream.reached for stream in streams), default=None)
        while coming and (bound is None or coming[0].first <= bound):
            piece = coming.popleft()
            if piece.last > last:
                stream = _Stream(piece, wanted, last)
                if stream.fill(HELD // (len(streams) + 1)):
                    streams.append(stream)
                    bound = stream.reached if bound is None else min(bound, stream.reached)
        if bound is None:
            break
        frame = _in_order([part for stream in streams if len(part := stream.take(bound))], last)
        last = bound
        if len(frame):
            ready.append(frame)
        most = HELD // len(streams)
        streams = [stream for stream in streams if stream.fill(most)]
        if sum(map(len, ready)) >= ROWS:
            yield _joined(ready)
            ready = []
    if ready:
        yield _joined(ready)


def _holds(piece: Piece, wanted: Wanted) -> bool:
    if piece.first > wanted.until or piece.last <= wanted.after:
        return False
    return piece.key is None or not wanted.filtered or wanted.has(piece.key)


def _in_order(parts: list[pl.DataFrame], last: int) -> pl.DataFrame:
    """Parts that may overlap as one frame by offset, each offset above ``last`` once."""
    if not parts:
        return pl.DataFrame()
    frame = _joined(parts).rechunk()  # gathering from many chunks takes nine times as long
    offsets = frame["_offset"].to_numpy()
    if len(parts) == 1 or (np.diff(offsets) > 0).all():
        return frame if offsets[0] > last else frame.filter(frame["_offset"] > last)
    lowest = max(int(offsets.min()), last + 1)
    span = int(offsets.max()) - lowest + 1
    if span > 8 * len(offsets):
        found = np.unique(offsets, return_index=True)[1]
        return frame[found[offsets[found] > last]]
    above = np.flatnonzero(offsets > last)
    places = np.full(max(span, 0), -1, np.int64)
    places[offsets[above] - lowest] = above
    return frame[places[places >= 0]]


def _joined(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return parts[0] if len(parts) == 1 else pl.concat(parts)


class Gone(Exception):
    """A file that was listed has been taken away or replaced; its path."""


class _Stream:
    """One file on its way: the rows up to the offset ``reached`` are in memory, less those taken."""

    def __init__(self, piece: Piece, wanted: Wanted, after: int) -> None:
        self.reached = -1
        self._piece, self._wanted = piece, wanted
        self._identity: tuple[int, ...] = ()
        self._metadata: Any = None
        self._metadata = self._opened(lambda file: file.metadata)
        names = set(self._metadata.schema.to_arrow_schema().names)
        absent = wanted.columns - names
        self._filled = {name: value for name, value in defaults(RECORDS[wanted.table]).items() if name in absent}
        if lacking := absent - self._filled.keys():
            raise UserError(f"{piece.path}: not a file of the archive; column {min(lacking)} is missing")
        self._columns = sorted(wanted.columns - absent)
        if piece.key is not None and (key := RECORDS[wanted.table].key_field) in self._columns:
            self._columns.remove(key)
            self._filled[key] = piece.key
        self._groups = deque(self._chosen(after))
        self._frame = pl.DataFrame()
        self._offsets = np.empty(0, np.int64)  # of the frame
        self._at = 0  # the first row of the frame that is not taken

    def fill(self, most: int) -> bool:
        """Hold about so many rows once half of them are taken; False where there is nothing left."""
        held = len(self._offsets) - self._at
        groups: list[int] = []
        while self._groups and held <= most // 2:
            group, size, self.reached = self._groups.popleft()
            groups.append(group)
            held += size
        if groups:
            left, frame = self._frame.slice(self._at), self._read(groups)
            self._frame = pl.concat([left, frame], rechunk=True) if len(left) else frame
            self._offsets, self._at = self._frame["_offset"].to_numpy(), 0
        return bool(groups) or held > 0

    def take(self, bound: int) -> pl.DataFrame:
        """The rows up to an offset."""
        begin = self._at
        self._at = len(self._offsets)
        if bound < self.reached:
            self._at = begin + int(np.searchsorted(self._offsets[begin:], bound, side="right"))
        return self._frame.slice(begin, self._at - begin)

    def _chosen(self, after: int) -> Iterator[tuple[int, int, int]]:
        """Index, rows and last offset of each row group that is wanted."""
        metadata, wanted, path = self._metadata, self._wanted, self._piece.path
        places = {name: place for place, name in enumerate(metadata.schema.names)}
        before = self._piece.first - 1
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            first, last = _span(group.column(places["_offset"]), path)
            if not before < first <= last or (number == 0 and first != self._piece.first):
                raise UserError(f"{path}: damaged: offsets do not rise from {self._piece.first}")
            before = last
            earliest, latest = _span(group.column(places["event_ns"]), path)
            timely = latest >= wanted.start_ns and earliest < wanted.end_ns
            if timely and last > after and first <= wanted.until:
                yield number, group.num_rows, last
        if before != self._piece.last:
            raise UserError(f"{path}: damaged: ends at offset {before}, not {self._piece.last}")

    def _read(self, groups: list[int]) -> pl.DataFrame:
        wanted = self._wanted
        read = self._opened(lambda file: file.read_row_groups(groups, columns=self._columns, use_threads=False))
        frame = pl.DataFrame(pl.from_arrow(read, rechunk=True))
        _check(self._piece.path, frame, self.reached)
        columns = {name: frame[name] for name in self._columns}
        columns |= {name: pl.Series([value]).new_from_index(0, len(frame)) for name, value in self._filled.items()}
        frame = pl.DataFrame({name: columns[name] for name in sorted(columns)})
        if wanted.filtered and self._piece.key is None:
            key = RECORDS[wanted.table].key_field
            frame = frame.filter(frame[key].is_in([name for name in frame[key].unique() if wanted.has(name)]))
        return frame

    def _opened(self, read: Callable[[pq.ParquetFile], Any]) -> Any:
        """What is read of the file while it is open, if it is still the one of which the metadata was read."""
        path = self._piece.path
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = status.st_ino, status.st_mtime_ns, status.st_size
                if self._identity not in {(), identity}:
                    raise Gone(path)
                self._identity = identity
                return read(pq.ParquetFile(file, metadata=self._metadata))
        except FileNotFoundError:
            raise Gone(path) from None
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path}: damaged: {error}") from None


def _span(column: Any, path: Path) -> tuple[int, int]:
    """The least and the largest value of a column of a row group."""
    if not column.is_stats_set or not column.statistics.has_min_max or column.physical_type != "INT64":
        raise UserError(f"{path}: not a file of the archive; {column.path_in_schema} has no statistics")
    return column.statistics.min, column.statistics.max


def _check(path: Path, frame: pl.DataFrame, reached: int) -> None:
    """See that what was read is what the statistics promised."""
    if any(frame.null_count().row(0)):
        raise UserError(f"{path}: not a file of the archive; values are missing")
    offsets = frame["_offset"].to_numpy()
    if offsets[-1] != reached or not (np.diff(offsets) > 0).all():
        raise UserError(f"{path}: damaged: offsets do not rise to {reached}")


@functools.cache
def defaults(record: type[Record]) -> dict[str, Any]:
    """The fields that came after the first rows were written, with what they are in those."""
    (schema,) = (schema for schema in definitions() if schema["table"] == record.table)
    return {
        field["name"]: field["default"].encode("latin-1") if field["type"] == "bytes" else field["default"]
        for field in schema["fields"]
        if "default" in field
    }


def lineage_of(frame: pl.DataFrame) -> Lineage:
    """The lineage columns of rows."""
    columns: dict[str, Any] = {name[1:]: column_of(frame[name]) for name in LINEAGE}
    return Lineage(**columns)


def column_of(series: pl.Series) -> Column:
    """A column as tables hold it."""
    return series if series.dtype in (pl.String, pl.Binary) else series.to_numpy()


def listing(root: Path, wanted: Wanted, partition: int) -> Callable[[], list[Piece]]:
    """What lists the files of a partition, for ``rows``."""
    bounds = wanted.start_ns or None, None if wanted.end_ns == LARGEST else wanted.end_ns
    return lambda: [piece for piece in archive.pieces(root, wanted.table, *bounds) if piece.partition == partition]
