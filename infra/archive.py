"""The files of the archive: rows of one table and partition in log order, named by the first and the last offset.

    <root>/<table>/date=2026-11-21/<partition>-<first>-<last>.parquet                          fresh: all keys
    <root>/<table>/date=2026-11-21/key=coinbase%3AETH-USD/<partition>-<first>-<last>.parquet   put together: one key

- Under <root>/.merges is an archive of the merged log, whose tables hold copies.
- A sink writes fresh files; archive_compaction.py puts those of a day together by key. archive_rows.py reads both.
- A file comes into being whole, by a rename, or not at all. Until then it lies in <root>/.writing, where a crash may
  leave some.
- Files may overlap: a batch that was written but not committed comes again, cut elsewhere, and what is put together is
  there before what it was made of goes. Every row keeps its offset, by which reading gives it once.
- A date is the day that event time had reached in the log, so no row lies under a day before its own, and late ones
  under the next at most.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from infra import durable
from infra.errors import UserError

DAY_NS = 86_400_000_000_000
GROUP = 16_384  # rows in a row group of a fresh file
WRITING = ".writing"  # under the root
MERGED = ".merges"  # under the root
UNFINISHED = ".part"
EARLIEST = -(1 << 63)  # before any day
LEFT_S = 3_600.0  # a .part that nobody has touched for so long is nobody's
DATE = re.compile(r"date=\d{4}-\d\d-\d\d")
NAME = re.compile(r"(\d+)-(\d+)-(\d+)\.parquet")
KEY = "key="
LONGEST = 200  # of the name of a key; a file system takes 255


class Piece(NamedTuple):
    """One file."""

    first: int
    last: int
    partition: int
    date: str
    path: Path
    key: str | None = None  # None: rows of all keys


def write(root: Path, table: str, partition: int, date: str, rows: pl.DataFrame) -> Path:
    """Keep rows in log order; when this returns they survive a loss of power."""
    first, last = rows["_offset"][0], rows["_offset"][-1]
    folder = root / table / f"date={date}"
    durable.make(folder)
    path = folder / f"{partition}-{first}-{last}.parquet"
    durable.make(root / WRITING)
    unfinished = root / WRITING / f"{table}.{date}.{path.stem}{UNFINISHED}"
    columns = rows.to_arrow()
    with unfinished.open("wb") as file:
        pq.write_table(columns, file, row_group_size=GROUP, **encoding(columns.schema))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    durable.sync(folder)
    return path


def encoding(schema: pa.Schema) -> dict[str, Any]:
    """How columns are written: whole numbers as differences, all else by a dictionary; pages with a checksum."""
    whole = {field.name for field in schema if pa.types.is_int64(field.type)}
    return {
        "compression": "zstd",
        "compression_level": 3,
        "write_page_checksum": True,
        "use_dictionary": [name for name in schema.names if name not in whole],
        "column_encoding": dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
    }


def escaped(name: str) -> str:
    """A key as the name of a file, as addresses are escaped.

    >>> escaped("binance:ETH/USDT"), escaped("..")
    ('binance%3AETH%2FUSDT', '%2E%2E')
    """
    found = name.replace(".", "%2E") if name in {".", ".."} else quote(name, safe="")
    if len(found) > LONGEST:
        raise UserError(f"key {name[:50]!r}… is too long for the name of a file")
    return found


def tables(root: Path) -> list[str]:
    """The tables that there are, by name."""
    return sorted(folder.name for folder in root.glob("[!.]*") if folder.is_dir())


def pieces(root: Path, table: str, start_ns: int | None = None, end_ns: int | None = None) -> list[Piece]:
    """The files of a table by offset; those of days that hold nothing of a stretch of event time are left out.

    Compaction may be at work: only what two looks in a row agree on is known to be all there is.

    Raises:
        UserError: something that is no file of ours lies among them.

    """
    found = _look(root / table, start_ns, end_ns)
    while (again := _look(root / table, start_ns, end_ns)) != found:
        found = again
    return found


def _look(folder: Path, start_ns: int | None, end_ns: int | None) -> list[Piece]:
    found: list[Piece] = []
    for day in sorted(folder.glob("*")):
        if not DATE.fullmatch(day.name) or not day.is_dir():
            raise UserError(f"{day}: not a folder of the archive; expected date=YYYY-MM-DD")
        date = day.name[5:]
        if not _touches(date, start_ns, end_ns):
            continue
        for path in day.iterdir():
            if path.name.startswith(KEY):
                key = unquote(path.name.removeprefix(KEY))
                found += [piece for inner in path.iterdir() for piece in _piece(inner, date, key)]
            else:
                found += _piece(path, date, None)
    return sorted(found, key=lambda piece: piece[:5])


def _piece(path: Path, date: str, key: str | None) -> Iterator[Piece]:
    name = NAME.fullmatch(path.name)
    if name is not None and int(name[2]) <= int(name[3]):
        yield Piece(int(name[2]), int(name[3]), int(name[1]), date, path, key)
    elif path.suffix != UNFINISHED:
        raise UserError(f"{path}: not a file of the archive; expected <partition>-<first>-<last>.parquet")


def _touches(date: str, start_ns: int | None, end_ns: int | None) -> bool:
    day = day_of(date)
    after = end_ns is not None and day > end_ns // DAY_NS + 1
    return not after and (start_ns is None or day >= start_ns // DAY_NS)


def day_of(date: str) -> int:
    """The day of a date, counted from 1970-01-01.

    >>> day_of("1970-01-03"), date_of(2)
    (2, '1970-01-03')
    """
    return int(np.datetime64(date, "D").astype(np.int64))


def date_of(day: int) -> str:
    """The date of a day counted from 1970-01-01."""
    return str(np.datetime64(day, "D"))


def days(rows: pl.DataFrame, least: int = EARLIEST) -> Iterator[tuple[int, pl.DataFrame]]:
    """Rows cut where their event time reaches a new day after ``least``; a late row stays with its neighbours."""
    if not len(rows):
        return
    reached = np.maximum(np.maximum.accumulate(rows["event_ns"].to_numpy()) // DAY_NS, least)
    cuts = [0, *(np.flatnonzero(np.diff(reached)) + 1).tolist(), len(rows)]
    for begin, end in pairwise(cuts):
        yield int(reached[begin]), rows.slice(begin, end - begin)


def clean(root: Path) -> list[Path]:
    """Remove what a crash left unfinished; gives its paths."""
    places = (f"{WRITING}/*{UNFINISHED}", f"*/date=*/*{UNFINISHED}")  # the latter where they were before
    left: list[Path] = []
    for path in [path for place in places for path in root.glob(place)]:
        with contextlib.suppress(FileNotFoundError):  # it is finished meanwhile
            if time.time() - path.stat().st_mtime > LEFT_S:
                path.unlink()
                left.append(path)
    return left
