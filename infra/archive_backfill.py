"""Back-filled records in the archive's file format: one root for each instrument and kind, beside what the sink wrote.

    <data_dir>/backfill/<feed>/<symbol>/<kind>/<table>/date=2026-11-21/0-<first>-<last>.parquet

- A kind is what was asked of the venue: trades, agg_trades, klines_1m. Several fill the same table, each with numbers
  of its own.
- Its log is named ``history:<instrument>:<kind>`` and has one partition, 0. The offsets are the venue's: trade ids, or
  for records without ids the event time in a unit that gives each record its own.
- Nothing in a row depends on when it was fetched, so a back-fill that is done again gives the same bytes.
- One writer for each root; a file that is written again under its name takes the place of the old one.
- <symbol> is escaped as in an address, so that no symbol leaves its folder.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import polars as pl

from infra import archive
from schemas import Record
from schemas.batch import Batch, Lineage
from schemas.columns import Column, Keys, Table
from schemas.pieces import Ints

FOLDER = "backfill"
LOG = "history:"


def root_of(data_dir: Path, instrument: str, kind: str) -> Path:
    """The folder of the tables of an instrument's kind; there or not.

    >>> root_of(Path("data"), "binance:ETH/USDT", "trades").as_posix()
    'data/backfill/binance/ETH%2FUSDT/trades'
    """
    feed, _, symbol = instrument.partition(":")
    return data_dir / FOLDER / archive.escaped(feed) / archive.escaped(symbol) / archive.escaped(kind)


def kinds(data_dir: Path) -> Iterator[tuple[str, str]]:
    """Every instrument and kind that something was back-filled of, by name."""
    for folder in sorted((data_dir / FOLDER).glob("*/*/*")):
        if folder.is_dir():
            yield f"{unquote(folder.parts[-3])}:{unquote(folder.parts[-2])}", unquote(folder.name)


def batch(record: type[Record], instrument: str, kind: str, offsets: Ints, columns: Mapping[str, Column]) -> Batch:
    """Back-filled records of one instrument, for ``write`` of the archive and for sinks.

    ``offsets`` rise; ``columns`` are all fields but the instrument.

    >>> from schemas import Funding
    >>> fields = {name: np.array([7]) for name in Funding.__struct_fields__ if name != "instrument"}
    >>> batch(Funding, "binance:ETH", "fundings", np.array([7]), fields).lineage.positions()
    [Position(topic='history:binance:ETH:fundings', partition=0, offset=7, ordinal=0)]
    """
    count, keys = len(offsets), Keys()
    event_ns = np.asarray(columns["event_ns"], np.int64)
    code = np.full(count, keys.code(instrument), np.int32)
    lineage = Lineage(
        offset=np.asarray(offsets, np.int64),
        cause_topic=pl.repeat(f"{LOG}{instrument}:{kind}", count, dtype=pl.String, eager=True),
        cause_partition=np.zeros(count, np.int64),
        cause_offset=np.asarray(offsets, np.int64),
        cause_ordinal=np.zeros(count, np.int64),
        exchange_ns=event_ns,
        received_ns=event_ns,
        produced_ns=event_ns,
        kafka_ns=event_ns,
    )
    return Batch(record.topic, 0, keys, [Table(record, np.arange(count), code, columns)], lineage)


def keep(root: Path, records: Batch, date: str) -> Path:
    """Write a batch that ``batch`` gave as one file under a date; it survives a loss of power. Gives its path."""
    (table,) = records.tables
    return archive.write(root, table.record.table, 0, date, records.frame(table))


def kept(root: Path, record: type[Record]) -> list[archive.Piece]:
    """The files of a root's records, by offset: what a back-fill that goes on has done already."""
    return archive.pieces(root, record.table) if root.is_dir() else []
