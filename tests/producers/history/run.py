"""Back-fills in a test: run in this process against a venue of server.py, and what they have kept."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from infra import archive_rows
from infra.archive_backfill import root_of
from infra.archive_rows import Wanted
from infra.settings import load_settings
from producers.history.command import day, fill
from producers.history.plan import nanoseconds
from producers.history.report import Result, lines
from producers.history.series import sources
from producers.history.web import Web
from schemas import Record
from tests.producers.history.server import Venue


class Run(NamedTuple):
    """What a back-fill came to."""

    results: list[Result]
    told: list[str]

    @property
    def whole(self) -> bool:
        return all(result.proof.whole for result in self.results)

    @property
    def lines(self) -> list[str]:
        return [line for result in self.results for line in lines(result)]


def backfill(
    venue: Venue,
    folder: Path,
    symbols: str = "BTCUSDT",
    kind: str = "trades",
    source: str = "binance",
    *,
    start: str = "2025-01-01",
    end: str = "2025-01-04",
    now: str = "2025-03-01T12:00:00",
    **more: Any,
) -> Run:
    """Fill some series; ``now`` is what the back-fill takes for the present."""
    settings = load_settings(env_file=None, data_dir=folder)
    now_ns = moment(now)
    found = sources()[source]
    web = Web(found.headers, via=venue.url, pause_s=0.01)
    wanted = day("start", start), day("end", end) if end else now_ns
    try:
        return Run(*fill(found, symbols.split(","), kind, wanted, settings, web, now_ns, **more))
    finally:
        web.close()


def moment(text: str) -> int:
    """A time in ns since the epoch."""
    return nanoseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


def kept(folder: Path, record: type[Record], instrument: str = "binance:BTCUSDT", kind: str = "trades") -> pl.DataFrame:
    """All rows that a reader of the archive gets."""
    root = root_of(folder, instrument, kind)
    lineage = "_partition", "_offset", "_cause_topic", "_cause_offset"
    wanted = Wanted(record.table, frozenset((*record.__struct_fields__, *lineage)))
    frames = list(archive_rows.rows(archive_rows.listing(root, wanted, 0), wanted))
    return pl.concat(frames) if frames else pl.DataFrame({"_offset": []})


def digest(rows: pl.DataFrame) -> tuple[int, int]:
    """Count and hash of rows, which their order decides."""
    return len(rows), hash(tuple(rows.hash_rows(seed=1).to_list()))
