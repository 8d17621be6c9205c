"""What an archive holds, whether every file of it is whole, and which offsets of its logs it does not have."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from infra import archive
from infra.archive import Piece
from infra.archive_file import Wanted
from infra.archive_rows import listing, rows
from infra.errors import UserError
from schemas import RECORDS, DeadLetter
from schemas.batch import LINEAGE
from schemas.catalogue import TOPICS
from schemas.pieces import Ints
from schemas.position import Log
from schemas.record import EVERY_KEY

SPAN_OF = ("event_ns", "_offset")


class Day(NamedTuple):
    """A day of a table."""

    table: str
    date: str
    keys: int  # that have files of their own
    files: int
    fresh: int  # of them, that hold all keys
    rows: int  # in the files, those that two of them hold counted twice
    bytes: int
    first_ns: int  # event time
    last_ns: int


class Damage(NamedTuple):
    """A file that cannot be trusted."""

    path: Path
    problem: str


class Holes(NamedTuple):
    """What an archive has of a log, and what it lacks between its first and its last offset."""

    topic: str
    partition: int
    first: int
    last: int
    rows: int
    repeated: int  # rows that several files hold
    refused: int  # offsets of records that nobody could read, by the dead letters
    missing: list[tuple[int, int]]  # first and last offset of each stretch


def days(root: Path, table: str = "") -> Iterator[Day]:
    """What there is, by table and date; ``table`` limits it to one.

    Raises:
        UserError: there is nothing, or something that is not the archive's.

    """
    found = [name for name in archive.tables(root) if table in {"", name}]
    if not found:
        raise UserError(f"{root}: no archive{f' of {table}' if table else ''}")
    for name in found:
        pieces = sorted(archive.pieces(root, name), key=lambda piece: piece.date)
        for date, files in groupby(pieces, key=lambda piece: piece.date):
            yield _day(name, date, list(files))


def _day(table: str, date: str, files: Sequence[Piece]) -> Day:
    count, size, first_ns, last_ns = 0, 0, [], []
    for piece in files:
        try:
            metadata = pq.read_metadata(piece.path)
            size += piece.path.stat().st_size
        except (pa.ArrowException, OSError):  # verify tells; compaction may have taken it
            continue
        count += metadata.num_rows
        place = metadata.schema.names.index("event_ns")
        for number in range(metadata.num_row_groups):
            statistics = metadata.row_group(number).column(place).statistics
            first_ns.append(statistics.min)
            last_ns.append(statistics.max)
    keys = {piece.key for piece in files} - {None}
    fresh = sum(piece.key is None for piece in files)
    return Day(
        table, date, len(keys), len(files), fresh, count, size, min(first_ns, default=0), max(last_ns, default=0)
    )


def damages(root: Path, table: str) -> Iterator[Damage]:
    """Every file of a table that is not what it should be; each is read whole."""
    if table not in RECORDS:
        yield Damage(root / table, "no record has this table")
        return
    record = RECORDS[table]
    columns = frozenset({*record.__struct_fields__, "_partition", *LINEAGE})
    for piece in archive.pieces(root, table):
        try:
            _read(piece, columns, record.key_field)
        except UserError as error:
            yield Damage(piece.path, str(error).removeprefix(f"{piece.path}: "))
        except (pa.ArrowException, OSError) as error:
            if piece.path.exists():  # else compaction has taken it
                yield Damage(piece.path, f"damaged: {error}")


def _read(piece: Piece, columns: frozenset[str], key: str) -> None:
    with pq.ParquetFile(piece.path, page_checksum_verification=True) as file:
        for number in range(file.num_row_groups):
            file.read_row_group(number, use_threads=False)
    table = piece.path.parent.parent.name if piece.key is None else piece.path.parents[2].name
    wanted, day_ns = Wanted(table, columns), (archive.day_of(piece.date) + 1) * archive.DAY_NS
    for frame in rows(lambda: [piece._replace(key=None)], wanted):
        if (frame["_partition"] != piece.partition).any():
            raise UserError(f"{piece.path}: rows of another partition")
        if frame["event_ns"].max() >= day_ns:  # type: ignore[operator]
            raise UserError(f"{piece.path}: rows of a later day")
        if piece.key is not None and key != EVERY_KEY and (frame[key] != piece.key).any():
            raise UserError(f"{piece.path}: rows of another key")


def holes(root: Path, topic: str, refused: Mapping[Log, Ints]) -> Iterator[Holes]:
    """What is missing of each partition of a topic; ``refused`` as ``refusals`` gives it.

    A topic of which Kafka keeps the newest record of each key only has nothing missing.
    """
    tables = [record.table for record in TOPICS[topic].records if (root / record.table).is_dir()]
    partitions = {piece.partition for table in tables for piece in archive.pieces(root, table)}
    for partition in sorted(partitions):
        known = refused.get((topic, partition), np.empty(0, np.int64))
        first, last, count, explained = -1, -1, 0, 0
        missing: list[tuple[int, int]] = []
        for offsets in _offsets(root, tables, partition):
            if first < 0:
                first, last = int(offsets[0]), int(offsets[0]) - 1
            count += len(offsets)
            whole = np.union1d(offsets, between := known[(known > last) & (known < offsets[-1])])
            explained += len(whole) - len(offsets) if len(between) else 0
            ends = np.concatenate(([last], whole))
            gaps = np.flatnonzero(np.diff(ends) > 1)
            missing += [(int(ends[at]) + 1, int(ends[at + 1]) - 1) for at in gaps.tolist()]
            last = int(offsets[-1])
        held = sum(
            _held(piece) for table in tables for piece in archive.pieces(root, table) if piece.partition == partition
        )
        gone = [] if TOPICS[topic].compact else missing
        yield Holes(topic, partition, first, last, count, held - count, explained, gone)


def _held(piece: Piece) -> int:
    try:
        return int(pq.read_metadata(piece.path).num_rows)
    except (pa.ArrowException, OSError):
        return 0


def _offsets(root: Path, tables: Sequence[str], partition: int) -> Iterator[Ints]:
    """The offsets of a partition's rows over all tables, rising."""
    streams = {}
    for table in tables:
        wanted = Wanted(table, frozenset({"_offset"}))
        streams[table] = rows(listing(root, wanted, partition), wanted)
    waiting: dict[str, Ints] = {}
    while True:
        for table in [table for table in streams if table not in waiting]:
            frame = next(streams[table], None)
            if frame is None:
                del streams[table]
            else:
                waiting[table] = frame["_offset"].to_numpy()
        if not waiting:
            return
        bound = min((waiting[table][-1] for table in streams), default=max(part[-1] for part in waiting.values()))
        yield np.sort(np.concatenate([part[part <= bound] for part in waiting.values()]))
        waiting = {table: part[part > bound] for table, part in waiting.items() if part[-1] > bound}


def refusals(root: Path) -> dict[Log, Ints]:
    """The offsets of records that the codec refused, by log: those are in the dead letters and in no table."""
    wanted = Wanted(DeadLetter.table, frozenset({"_offset", "source", "partition", "offset", "by"}))
    found: dict[Log, list[int]] = {}
    if (root / DeadLetter.table).is_dir():
        for home in {piece.partition for piece in archive.pieces(root, DeadLetter.table)}:
            for frame in rows(listing(root, wanted, home), wanted):
                codec = frame.filter((frame["by"] == "codec") & (frame["offset"] >= 0))
                for source, partition, offset in codec.select("source", "partition", "offset").iter_rows():
                    found.setdefault((source, partition), []).append(offset)
    return {log: np.unique(offsets) for log, offsets in found.items()}
