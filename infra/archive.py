"""The files of the archive: rows of one table and partition, named by the offsets of the first and the last of them.

    <root>/<table>/date=2026-11-21/<partition>-<first>-<last>.parquet

- A file comes into being whole, by a rename, or not at all. Names that end in .part are left from a crash.
- Files may overlap: a batch that was written but not committed comes again, cut elsewhere. Read in the order of their
  names' numbers, leaving out rows up to an offset already read, a partition gives each row once, in log order.
- A date is the day that event time had reached in the log, so no row lies under a day before its own, and late ones
  under the next at most.
"""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import UserError

DAY_NS = 86_400_000_000_000
ROWS = 65_536  # read at a time
UNFINISHED = ".part"
DATE = re.compile(r"date=\d{4}-\d\d-\d\d")
NAME = re.compile(r"(\d+)-(\d+)-(\d+)\.parquet")


class Piece(NamedTuple):
    """One file."""

    first: int
    last: int
    partition: int
    date: str
    path: Path


def write(root: Path, table: str, partition: int, date: str, rows: pl.DataFrame) -> Path:
    """Keep rows in log order; when this returns they survive a loss of power."""
    first, last = rows["_offset"][0], rows["_offset"][-1]
    folder = root / table / f"date={date}"
    _make(folder)
    path = folder / f"{partition}-{first}-{last}.parquet"
    unfinished = path.with_suffix(UNFINISHED)
    with unfinished.open("wb") as file:
        rows.write_parquet(file, compression="zstd", compression_level=3)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    _sync(folder)
    return path


def escaped(name: str) -> str:
    """A key as the name of a file, as addresses are escaped.

    >>> escaped("binance:ETH/USDT"), escaped("..")
    ('binance%3AETH%2FUSDT', '%2E%2E')
    """
    return name.replace(".", "%2E") if name in {".", ".."} else quote(name, safe="")


def pieces(root: Path, table: str) -> list[Piece]:
    """The files of a table in reading order.

    Raises:
        UserError: something that is no file of ours lies among them.

    """
    found: list[Piece] = []
    for folder in sorted((root / table).glob("*")):
        if not DATE.fullmatch(folder.name) or not folder.is_dir():
            raise UserError(f"{folder}: not a folder of the archive; expected date=YYYY-MM-DD")
        for path in folder.iterdir():
            name = NAME.fullmatch(path.name)
            if name is not None and int(name[2]) <= int(name[3]):
                found.append(Piece(int(name[2]), int(name[3]), int(name[1]), folder.name[5:], path))
            elif path.suffix != UNFINISHED:
                raise UserError(f"{path}: not a file of the archive; expected <partition>-<first>-<last>.parquet")
    return sorted(found)


def rows(files: Sequence[Piece], columns: Collection[str], optional: Collection[str] = ()) -> Iterator[pl.DataFrame]:
    """Rows of one table and partition, each once and in log order, about ``ROWS`` at a time.

    ``files`` stand in reading order. ``_offset`` is among ``columns``; the ``optional`` ones may be missing in a file.

    Raises:
        UserError: a file is damaged, or is none of ours; its path and what is wrong.

    """
    waiting: list[pl.DataFrame] = []
    last = -1
    for piece in files:
        if piece.last <= last:
            continue
        for part in _parts(piece, columns, optional):
            new = part if part["_offset"][0] > last else part.filter(part["_offset"] > last)
            if len(new):
                last = new["_offset"][-1]
                waiting.append(new)
            if sum(map(len, waiting)) >= ROWS or (waiting and waiting[0].columns != new.columns):
                yield from _joined(waiting)
                waiting = []
    yield from _joined(waiting)


def _joined(parts: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Frames with the same columns as one."""
    start = 0
    for end in range(1, len(parts) + 1):
        if end == len(parts) or parts[end].columns != parts[start].columns:
            yield parts[start] if end - start == 1 else pl.concat(parts[start:end])
            start = end


def _parts(piece: Piece, columns: Collection[str], optional: Collection[str]) -> Iterator[pl.DataFrame]:
    """A file in parts, checked against its name; a damaged part is never given."""
    before, reached = piece.first - 1, -1
    try:
        with pq.ParquetFile(piece.path) as file:
            missing = set(columns) - set(file.schema_arrow.names) - set(optional)
            if missing:
                raise UserError(f"{piece.path}: not a file of the archive; column {min(missing)} is missing")
            wanted = [name for name in file.schema_arrow.names if name in columns]
            for batch in file.iter_batches(ROWS, columns=wanted, use_threads=False):
                part = pl.DataFrame(pl.from_arrow(batch))
                _check(piece, part, before)
                before = reached = part["_offset"][-1]
                yield part
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{piece.path}: damaged: {error}") from None
    if reached != piece.last:
        raise UserError(f"{piece.path}: damaged: ends at offset {reached}, not {piece.last}")


def _check(piece: Piece, part: pl.DataFrame, before: int) -> None:
    offsets = part["_offset"]
    if offsets.dtype != pl.Int64 or part.null_count().sum_horizontal()[0]:
        raise UserError(f"{piece.path}: not a file of the archive; values are missing")
    first = offsets[0]
    rising = first > before and (len(part) == 1 or bool((offsets.diff().slice(1) > 0).all()))
    if not rising or (before == piece.first - 1 and first != piece.first):
        raise UserError(f"{piece.path}: damaged: offsets do not rise from {piece.first}")


def _make(folder: Path) -> None:
    """Make a folder and its parents so that they survive a loss of power."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
