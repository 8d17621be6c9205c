"""One file of the archive read a few row groups at a time, and which rows of it are wanted.

- A file is open only while it is read; one that was taken away or replaced meanwhile is noticed.
- Row groups that hold nothing of the wanted stretch of time or of offsets are not read, by their statistics.
- A field that came after a file was written has its default in every row of it.
"""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from infra.archive import Piece
from infra.errors import UserError
from schemas import RECORDS, Record
from schemas.generate import definitions

LARGEST = (1 << 63) - 1
# Polars reads small row groups twice as fast as Arrow, and panics on some files that it cannot read.
DAMAGED = (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


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


class Gone(Exception):
    """A file that was listed has been taken away or replaced; its path."""


class File:
    """One file on its way: the rows up to the offset ``reached`` are in memory, less those taken."""

    def __init__(self, piece: Piece, wanted: Wanted, after: int) -> None:
        self.reached = -1
        self._piece, self._wanted, self._after = piece, wanted, after
        self._identity: tuple[int, ...] = ()
        self._metadata: Any = None
        self._filled: dict[str, Any] = {}  # columns that are not read, with their value in every row
        self._columns: list[str] = []
        self._groups: deque[tuple[int, int, int]] = deque()
        self._frame = pl.DataFrame()
        self._offsets = np.empty(0, np.int64)  # of the frame
        self._at = 0  # the first row of the frame that is not taken

    @property
    def more(self) -> bool:
        """Whether there are rows that are not in memory."""
        return bool(self._groups)

    @property
    def held(self) -> int:
        """How many rows are in memory."""
        return len(self._offsets) - self._at

    @property
    def head(self) -> int:
        """The first offset in memory."""
        return int(self._offsets[self._at]) if self._at < len(self._offsets) else LARGEST

    def fill(self, most: int) -> bool:
        """Hold about so many rows once half of them are taken; False where there is nothing left."""
        if self._metadata is None or (self._groups and self.held <= most // 2):
            frame = self._opened(lambda file: self._read(file, most))
            if len(frame):
                left = self._frame.slice(self._at)
                self._frame = pl.concat([left, frame], rechunk=True) if len(left) else frame
                self._offsets, self._at = self._frame["_offset"].to_numpy(), 0
        return self.held > 0 or self.more

    def take(self, bound: int) -> pl.DataFrame:
        """The rows up to an offset."""
        begin = self._at
        self._at = len(self._offsets)
        if bound < self.reached:
            self._at = begin + int(self._offsets[begin:].searchsorted(bound, side="right"))
        return self._frame.slice(begin, self._at - begin)

    def _begin(self, file: BinaryIO) -> None:
        """Look at what there is."""
        wanted, self._metadata = self._wanted, pq.read_metadata(file)
        absent = wanted.columns - set(self._metadata.schema.names)
        self._filled = {name: value for name, value in defaults(RECORDS[wanted.table]).items() if name in absent}
        if lacking := absent - self._filled.keys():
            raise UserError(f"{self._piece.path}: not a file of the archive; column {min(lacking)} is missing")
        self._columns = sorted(wanted.columns - absent)
        if self._piece.key is not None and (key := RECORDS[wanted.table].key_field) in self._columns:
            self._columns.remove(key)
            self._filled[key] = self._piece.key
        self._groups.extend(self._chosen(self._after))

    def _chosen(self, after: int) -> Iterator[tuple[int, int, int]]:
        """First row, rows and last offset of each row group that is wanted."""
        metadata, wanted, path = self._metadata, self._wanted, self._piece.path
        places = {name: place for place, name in enumerate(metadata.schema.names)}
        before, row = self._piece.first - 1, 0
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            first, last = _span(group.column(places["_offset"]), path)
            if not before < first <= last or (number == 0 and first != self._piece.first):
                raise UserError(f"{path}: damaged: offsets do not rise from {self._piece.first}")
            before = last
            earliest, latest = _span(group.column(places["event_ns"]), path)
            timely = latest >= wanted.start_ns and earliest < wanted.end_ns
            if timely and last > after and first <= wanted.until:
                yield row, group.num_rows, last
            row += group.num_rows
        if before != self._piece.last:
            raise UserError(f"{path}: damaged: ends at offset {before}, not {self._piece.last}")

    def _read(self, file: BinaryIO, most: int) -> pl.DataFrame:
        """The next row groups, as long as they follow each other, so that about so many rows are held.

        A short group comes along with the one before it: to read it by itself would cost as much as a whole one.
        """
        if self._metadata is None:
            self._begin(file)
        if not self._groups:
            return pl.DataFrame()
        wanted = self._wanted
        begin, size, self.reached = self._groups.popleft()
        short = size // 2
        while self._groups and self._groups[0][0] == begin + size:
            if self.held + size > most // 2 and self._groups[0][1] > short:
                break
            _, more, self.reached = self._groups.popleft()
            size += more
        file.seek(0)
        source = pl.scan_parquet(file, glob=False, hive_partitioning=False, parallel="none").select(self._columns)
        whole = size == self._metadata.num_rows  # then there is nothing to cut out, which costs a fifth
        frame = (source if whole else source.slice(begin, size)).collect()
        _check(self._piece.path, frame, self.reached)
        for place, name in enumerate(sorted({*self._columns, *self._filled})):
            if name in self._filled:
                frame.insert_column(place, pl.Series(name, [self._filled[name]]).new_from_index(0, len(frame)))
        if wanted.filtered and self._piece.key is None:
            key = RECORDS[wanted.table].key_field
            frame = frame.filter(frame[key].is_in([name for name in frame[key].unique() if wanted.has(name)]))
        return frame

    def _opened(self, read: Callable[[BinaryIO], pl.DataFrame]) -> pl.DataFrame:
        """What is read of the file while it is open, if it is still the one of which the metadata was read."""
        path = self._piece.path
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = status.st_ino, status.st_mtime_ns, status.st_size
                if self._identity not in {(), identity}:
                    raise Gone(path)
                self._identity = identity
                return read(file)
        except FileNotFoundError:
            raise Gone(path) from None
        except DAMAGED as error:
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
