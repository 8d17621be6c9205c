"""Puts small files together: those of a day that is over by key, those of a day still going on into larger ones.

- What is put together is written aside, in <root>/.compaction, then renamed to its place, and only then is what it was
  made of removed. Killed anywhere, the archive holds every row, some twice, which reading gives once; doing it again
  ends where it would have ended.
- A row whose cause was there before is left out: its writer had repeated it.
- Sinks and readers go on meanwhile; of two compactions the second is refused.
- Memory does not grow with rows, files or keys: rows wait in row groups to be filled, for so many keys at a time.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow.parquet as pq

from infra import archive, durable
from infra.archive import Piece
from infra.archive_file import Wanted
from infra.archive_rows import lineage_of, merged
from infra.errors import UserError
from schemas import RECORDS
from schemas.batch import LINEAGE, Fresh
from schemas.record import EVERY_KEY

ASIDE = ".compaction"  # under the root
GROUP = 4_096  # rows in a row group, and half as many again; a replay holds one of each key in memory
PENDING = 1 << 19  # rows that wait for their row group to fill, of all keys together
KEYS = 256  # files written at a time
MANY = 16  # fresh files of a day still going on that are worth putting together
SMALL = 32 << 20  # bytes; a larger one is left as it is until its day is over
EVERYTHING = ""  # the key of rows of all keys


class Done(NamedTuple):
    """What was done with the files of one partition and day."""

    table: str
    date: str
    partition: int
    before: int  # files
    after: int
    rows: int


def compact(root: Path, today: str, stopping: Callable[[], bool] = lambda: False) -> Iterator[Done]:
    """Put together what can be, a table, day and partition at a time; ``today`` and later dates are not over.

    Raises:
        UserError: another compaction is at work, or a file is damaged or of a newer version.

    """
    with _aside(root) as aside:
        archive.clean(root)
        for table in archive.tables(root):
            found = sorted(archive.pieces(root, table), key=lambda piece: (piece.date, piece.partition))
            for (date, _), unit in groupby(found, key=lambda piece: (piece.date, piece.partition)):
                files = sorted(unit)
                over = date < today
                chosen = _unsorted(files) if over else _small(files)
                if chosen and not stopping():
                    yield from _Unit(root, table, chosen, aside, over, stopping).put_together()


def _unsorted(files: list[Piece]) -> list[Piece]:
    """All files of a day, unless there is one for each key."""
    keys = [piece.key for piece in files]
    return files if None in keys or len(set(keys)) < len(keys) else []


def _small(files: list[Piece]) -> list[Piece]:
    """The fresh files that are small, if they are many."""
    small = [piece for piece in files if piece.key is None and piece.path.stat().st_size < SMALL]
    return small if len(small) >= MANY else []


@contextlib.contextmanager
def _aside(root: Path) -> Iterator[Path]:
    """The folder to write in, empty and ours alone."""
    folder = root / ASIDE
    durable.make(folder)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{root}: another compaction is at work") from None
        for path in folder.glob(f"*{archive.UNFINISHED}"):
            path.unlink()
        yield folder


class _Unit:
    """The files of one partition and day on their way to what they become."""

    def __init__(
        self, root: Path, table: str, files: Sequence[Piece], aside: Path, by_key: bool, stopping: Callable[[], bool]
    ) -> None:
        self._table, self._files, self._aside, self._stopping = table, files, aside, stopping
        self._day = root / table / f"date={files[0].date}"
        record = RECORDS[table]
        self._key = record.key_field
        self._by_key = by_key
        self._columns = [*record.__struct_fields__, "_partition", *LINEAGE]
        self._written: dict[str, _File] = {}

    def put_together(self) -> Iterator[Done]:
        """Write, rename, remove; nothing where it is to stop."""
        self._refuse_newer()
        more = True
        while more:
            more = self._pass()
            if self._stopping():
                return
        places = self._publish()
        rows = sum(file.rows for file in self._written.values())
        for piece in self._files:
            if piece.path not in places:
                piece.path.unlink(missing_ok=True)
        for folder in {piece.path.parent for piece in self._files}:
            durable.sync(folder)
        first = self._files[0]
        yield Done(self._table, first.date, first.partition, len(self._files), len(places), rows)

    def _refuse_newer(self) -> None:
        for piece in self._files:
            unknown = set(pq.read_schema(piece.path).names) - set(self._columns)
            if unknown:
                raise UserError(f"{piece.path}: column {min(unknown)} is not known: written by a newer version?")

    def _pass(self) -> bool:
        """Write the rows of as many keys as have room; whether keys are left."""
        files: dict[str, _File] = {}
        fresh, left, pending = Fresh(), False, 0
        for frame in merged(self._files, Wanted(self._table, frozenset(self._columns))):
            new = frame.filter(pl.Series(fresh.mask(lineage_of(frame)))).select(self._columns)
            for key, rows in self._parts(new):
                if key in self._written:
                    continue
                if key not in files and len(files) == KEYS:
                    left = True
                    continue
                if key not in files:
                    number = len(self._written) + len(files)
                    files[key] = _File(self._aside / f"{number}{archive.UNFINISHED}")
                pending += files[key].add(rows)
            while pending > PENDING:
                pending -= max(files.values(), key=lambda file: file.pending).flush()
            if self._stopping():
                break
        for file in files.values():
            file.close()
        self._written |= files
        return left

    def _parts(self, frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        if not self._by_key:
            yield EVERYTHING, frame
        elif self._key == EVERY_KEY:
            yield EVERY_KEY, frame
        else:
            for key, rows in frame.partition_by(self._key, as_dict=True).items():
                yield str(key[0]), rows

    def _publish(self) -> set[Path]:
        """Rename what was written to its place; when this returns that survives a loss of power."""
        partition, places = self._files[0].partition, set()
        for key, file in self._written.items():
            folder = self._day / f"{archive.KEY}{archive.escaped(key)}" if self._by_key else self._day
            durable.make(folder)
            place = folder / f"{partition}-{file.first}-{file.last}.parquet"
            file.path.rename(place)
            places.add(place)
        for folder in {place.parent for place in places}:
            durable.sync(folder)
        return places


class _File:
    """One file being written, rows waiting until they fill a row group."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first = self.last = -1
        self.rows = self.pending = 0
        self._waiting: list[pl.DataFrame] = []
        self._file = path.open("wb")
        self._writer: Any = None

    def add(self, rows: pl.DataFrame) -> int:
        """Take rows; by how many more are pending now."""
        before = self.pending
        if self.first < 0:
            self.first = rows["_offset"][0]
        self.last = rows["_offset"][-1]
        self.rows += len(rows)
        self.pending += len(rows)
        self._waiting.append(rows)
        if self.pending >= GROUP + GROUP // 2:  # a short rest would cost a reader as much as a whole group
            self.flush()
        return self.pending - before

    def flush(self) -> int:
        """Write what is pending; how much that was."""
        count = self.pending
        table = pl.concat(self._waiting, rechunk=True).to_arrow()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema, **archive.encoding(table.schema))
        self._writer.write_table(table, row_group_size=-(-count // max(count // GROUP, 1)))
        self._waiting, self.pending = [], 0
        return count

    def close(self) -> None:
        """Have everything on the disk."""
        if self.pending:
            self.flush()
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
