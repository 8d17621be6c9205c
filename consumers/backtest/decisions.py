"""The decision log of a live or paper run: its quotes, order requests, fills and equities."""

from collections.abc import Callable, Iterator
from pathlib import Path

from consumers.backtest.comparison import DECISIONS
from consumers.reader import read
from infra import clickhouse
from infra.errors import UserError
from infra.registry import codec
from infra.settings import Settings
from processors.replay.sources import archive
from schemas import Record
from schemas.columns import Keys

ARCHIVE = "archive"


def decided(
    settings: Settings, log: str, folder: Path | None, instrument: str, start_ns: int | None, end_ns: int | None
) -> Iterator[Record]:
    """What was decided on an instrument and what came of it, record type by record type."""
    sources: dict[str, Callable[[], Iterator[Record]]] = {
        "archive": lambda: _archive(folder or settings.data_dir / ARCHIVE, instrument),
        "kafka": lambda: _kafka(settings, instrument),
        "history": lambda: _history(settings, instrument),
    }
    for record in sources[log]():
        if (start_ns or 0) <= record.event_ns and (end_ns is None or record.event_ns < end_ns):
            yield record


def _archive(root: Path, instrument: str) -> Iterator[Record]:
    selection = archive.Selection(names=frozenset({instrument}))
    there = [kind for kind in DECISIONS if archive.holds(root, kind.topic)]
    if not there:
        raise UserError(f"{root}: no archive of decisions")
    for kind in there:
        for partition in archive.partitions(root, kind.topic):
            for run in archive.log(root, kind.topic, partition, Keys(), None, selection):
                yield from (record for _, record in run.records() if record.key == instrument)


def _kafka(settings: Settings, instrument: str) -> Iterator[Record]:
    for received in read(settings, codec(settings), DECISIONS, start="earliest", to_end=True):
        if received.record.key == instrument:
            yield received.record


def _history(settings: Settings, instrument: str) -> Iterator[Record]:
    client = clickhouse.connect(settings)
    try:
        for kind in DECISIONS:
            fields = ", ".join(kind.__struct_fields__)
            sql = f"SELECT {fields} FROM {kind.table} FINAL WHERE instrument = {{name:String}} ORDER BY event_ns"
            frame = clickhouse.query(client, sql, {"name": instrument})
            yield from (kind(**row) for row in frame.iter_rows(named=True))
    finally:
        client.close()
