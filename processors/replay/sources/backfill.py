"""Runs out of back-filled records (infra/archive_backfill.py), up to where the live records of an instrument begin.

Each instrument and kind is a log of its own, whose records go into the chain of the partition that the instrument's key
belongs to, so that its state goes on from back-filled records into live ones. A trade counts as live if the live ones
begin with its id or a lower one, any other record if they begin at its event time or earlier.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]

from infra.archive_backfill import LOG, kinds, root_of
from infra.archive_file import Wanted
from infra.archive_rows import listing, rows
from processors.replay.runs import Run
from processors.replay.sources import archive
from processors.replay.sources.archive import Needs, Selection
from schemas import Record, Trade
from schemas.catalogue import TOPICS
from schemas.columns import Keys
from schemas.position import Log

LAST = np.iinfo(np.int64).max


class Kind(NamedTuple):
    """A back-filled kind of an instrument that has records of a topic."""

    instrument: str
    kind: str
    root: Path
    records: tuple[type[Record], ...]

    @property
    def log(self) -> Log:
        """The log that they count as."""
        return f"{LOG}{self.instrument}:{self.kind}", 0


def there(data_dir: Path, topic: str, names: frozenset[str] | None = None) -> list[Kind]:
    """What was back-filled of a topic; of single and aggregated trades of an instrument the single ones."""
    found: dict[tuple[str, object], Kind] = {}
    for instrument, kind in kinds(data_dir):
        if not Wanted("", frozenset(), names).has(instrument):
            continue
        root = root_of(data_dir, instrument, kind)
        records = tuple(record for record in TOPICS[topic].records if (root / record.table).is_dir())
        if records:  # agg_trades come before trades
            found[instrument, Trade if Trade in records else kind] = Kind(instrument, kind, root, records)
    return list(found.values())


def partition_of(instrument: str, partitions: int) -> int:
    """The partition that writers put an instrument into.

    >>> [partition_of(name, 4) for name in ("coinbase:ETH-USD", "coinbase:BTC-USD")]
    [0, 1]
    """
    return int((murmur2(instrument.encode()) & 0x7FFFFFFF) % partitions)


def log(
    item: Kind, live: Path, topic: str, home: int, keys: Keys, needs: Needs | None, selection: Selection
) -> Iterator[Run]:
    """The runs of a kind, as a log of its own in the chain of the partition ``home``."""
    own = needs
    if needs is not None and Trade in needs:
        own = dict(needs) | {Trade: needs[Trade] and {*needs[Trade], "last_id"}}  # type: ignore[misc]
    begins = {record: _begin(live, record, item.instrument, home) for record in item.records}
    plain = Selection(selection.start_ns, selection.end_ns)
    for run in archive.log(item.root, topic, 0, keys, own, plain, item.log, home):
        wanted = np.ones(len(run.batch), np.bool_)
        for table in run.batch.tables:
            field, value = begins[table.record]
            wanted[table.cause] = np.asarray(table.columns[field]) < value
        if not wanted.any():
            return
        yield run.only(wanted)


def _begin(live: Path, record: type[Record], instrument: str, home: int) -> tuple[str, int]:
    """A field of back-filled records, and its least value that is live."""
    if not (live / record.table).is_dir():
        return "event_ns", LAST
    columns = {"instrument", "event_ns", "_offset"} | ({"first_id"} if record is Trade else set())
    wanted = Wanted(record.table, frozenset(columns), frozenset({instrument}))
    first = next(rows(listing(live, wanted, home), wanted), None)
    if first is None:
        return "event_ns", LAST
    if record is Trade and first["first_id"][0] > 0:
        return "last_id", int(first["first_id"][0])
    return "event_ns", int(first["event_ns"][0])
