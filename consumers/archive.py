"""Sink to Parquet files: every record of every topic under the table of its type (infra/archive.py).

A batch that comes again, cut anywhere, only adds rows that reading leaves out by their offsets; a record that its
writer has repeated at another offset keeps its cause's position, by which a replay drops it. Checkpoints are left out:
they are of use to a worker only. The merged log is an archive of its own under the root, as its tables hold copies.
"""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from infra import archive, logs, metrics
from infra.archive_compaction import compact
from infra.errors import UserError
from schemas import Checkpoint, Merge, Record
from schemas.batch import Batch

PAUSE_S = 600.0  # between two looks for what can be put together
log = logs.logger(__name__)
Place = tuple[type[Record], int]  # and partition


class Archive:
    """Writes one file for each table, partition and day of what it is given.

    ``compact_after_h`` hours after a day's end (UTC) its files are put together by key, and those of today into larger
    ones now and then; 0: never.

    >>> from schemas import Clock
    >>> Archive(Path("archive")).name
    'archive'
    """

    name = "archive"

    def __init__(self, root: Path, compact_after_h: int = 0) -> None:
        self.root = root
        self._after = timedelta(hours=compact_after_h)
        self._closing = threading.Event()
        self._compacting = threading.Thread(target=self._compact, name="compaction")
        self._roots = (root, root / archive.MERGED)
        for path in [path for each in self._roots for path in archive.clean(each)]:
            log.info("removed what a crash had left", path=str(path))
        if compact_after_h:
            self._compacting.start()

    def write(self, batches: Sequence[Batch]) -> None:
        for merged, root in enumerate(self._roots):
            given = [batch for batch in batches if (batch.topic == Merge.topic) == merged]
            for (record, partition), rows in gathered(given).items():
                for day, part in archive.days(rows):
                    archive.write(root, record.table, partition, archive.date_of(day), part)
                metrics.ROWS.labels(record.table).inc(len(rows))

    def close(self) -> None:
        """Leave off putting files together; what is half done is done anew another time."""
        self._closing.set()
        if self._compacting.is_alive():
            self._compacting.join()

    def _compact(self) -> None:
        while not self._closing.wait(PAUSE_S):
            over = datetime.now(UTC) - self._after
            try:
                for root in filter(Path.is_dir, self._roots):
                    for done in compact(root, over.strftime("%Y-%m-%d"), self._closing.is_set):
                        log.info("put together", **done._asdict())
            except (UserError, OSError) as error:  # the sink goes on, and so does reading from small files
                log.warning("files not put together", error=str(error))


def gathered(batches: Sequence[Batch]) -> dict[Place, pl.DataFrame]:
    """The rows of several batches by table and partition, in log order."""
    frames: dict[Place, list[pl.DataFrame]] = {}
    for batch in batches:
        for table in batch.tables:
            if len(table) and table.record is not Checkpoint:
                frames.setdefault((table.record, batch.partition), []).append(batch.frame(table))
    return {place: pl.concat(parts) for place, parts in frames.items()}
