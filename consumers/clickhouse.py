"""Sink to ClickHouse: every record of every topic into the table of its type (infra/tables.py).

``write`` puts all rows of a table into one insert, which the database takes wholly or not at all. Killed between two
tables, the batches come again and the rows that were there already are replaced. Copies in a merged log are left out:
their originals are there.
"""

from collections.abc import Sequence

import polars as pl

from infra import metrics
from infra.clickhouse import connect
from infra.settings import Settings
from infra.tables import ensure_tables, inserted
from schemas import Record
from schemas.batch import Batch


class ClickHouse:
    """Writes batches through a client of its own; the tables are made first.

    Raises:
        UserError: the database cannot be opened, or a table there does not fit its record.

    """

    name = "clickhouse"

    def __init__(self, settings: Settings) -> None:
        self.client = connect(settings)
        ensure_tables(self.client)

    def write(self, batches: Sequence[Batch]) -> None:
        frames: dict[type[Record], list[pl.DataFrame]] = {}
        for batch in batches:
            for table in batch.tables:
                if table.record.topic != batch.topic:
                    continue
                frames.setdefault(table.record, []).append(batch.frame(table).select(inserted(table.record)))
        for record, parts in frames.items():
            rows = pl.concat(parts)
            if len(rows):
                self.client.insert_arrow(record.table, rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
                metrics.ROWS.labels(record.table).inc(len(rows))

    def close(self) -> None:
        self.client.close()
