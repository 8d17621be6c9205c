"""Where a series lands: files in the archive's format under a root of its own, cut by day and by ``ROWS``.

Files may overlap: what a hole lacked lies in a file of its own, and reading gives each number once, in order.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from infra import archive, archive_backfill, archive_rows
from infra.archive_file import LARGEST, Wanted
from producers.history.columns import check, frame
from producers.history.parts import File, Part
from producers.history.plan import Span
from producers.history.runs import Chain
from producers.history.series import Series
from schemas import Record, Rejected
from schemas.batch import Batch

ROWS = 250_000  # of a file, about


class Landed:
    """What was written of a part."""

    def __init__(self, step: int) -> None:
        self.chain = Chain(step)
        self.files: list[File] = []
        self.paths: list[Path] = []


class Landing:
    """The archive of one series."""

    def __init__(self, data_dir: Path, series: Series) -> None:
        self.series = series
        self.root = archive_backfill.root_of(data_dir, series.instrument, series.kind)

    def numbered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with their numbers, by which they are in order.

        Raises:
            Rejected: a value is not as the schema wants it.

        """
        check(self.series.record, rows)
        if "width_ms" in rows.columns and len(odd := rows.filter(pl.col("event_ns") % self.series.slot_ns != 0)):
            raise Rejected(f"{self.series.record.__name__}.event_ns {odd['event_ns'][0]} lies between two slots")
        numbered = rows.with_columns(self.series.offset().alias("_offset"))
        return numbered if numbered["_offset"].is_sorted() else numbered.sort("_offset", maintain_order=True)

    def write(self, frames: Iterable[pl.DataFrame]) -> Landed:
        """Keep numbered rows; the files of a stream that fails are removed.

        Raises:
            Rejected: rows come in no order.

        """
        landed, day = Landed(self.series.step), -1
        waiting: list[pl.DataFrame] = []
        try:
            for rows in frames:
                new = rows.filter(landed.chain.take(rows["_offset"].to_numpy(), rows["event_ns"].to_numpy()))
                for reached, part in archive.days(new, day):
                    if waiting and (reached != day or sum(len(rows) for rows in waiting) >= ROWS):
                        self._keep(landed, waiting, day)
                        waiting = []
                    waiting.append(part)
                    day = reached
            if waiting:
                self._keep(landed, waiting, day)
        except BaseException:
            for path in landed.paths:
                path.unlink(missing_ok=True)
            raise
        return landed

    def pieces(self) -> list[archive.Piece]:
        """The files that are there."""
        return archive_backfill.kept(self.root, self.series.record)

    def holds(self, part: Part, pieces: Sequence[archive.Piece]) -> bool:
        """Whether the files of a part are there, perhaps joined with others."""
        return all(
            any(piece.first <= file.first and file.last <= piece.last for piece in pieces) for file in part.files
        )

    def remove(self, part: Part) -> None:
        """Remove the files of a part."""
        own = set(part.files)
        for piece in self.pieces():
            if File(piece.first, piece.last) in own:
                piece.path.unlink()

    def batches(self, part: Part) -> Iterator[list[Batch]]:
        """The rows of a part, for sinks, about ``ROWS`` at a time."""
        together: list[Batch] = []
        for file in part.files:
            for rows in self._rows(self.series.record, file.first, file.last):
                own = rows.filter(pl.col("_offset").is_between(file.first, file.last))
                if len(own):
                    together.append(batch(self.series.record, self.series, own))
                if sum(len(some) for some in together) >= ROWS:
                    yield together
                    together = []
        if together:
            yield together

    def replace(self, record: type[Record], offsets: Sequence[int], records: Sequence[Record]) -> Batch:
        """Keep some few records of another type, in place of those of that type that are there."""
        for piece in archive_backfill.kept(self.root, record):
            piece.path.unlink()
        rows = frame(record, records).with_columns(pl.Series("_offset", offsets, pl.Int64)).sort("_offset")
        for reached, part in archive.days(rows, -1):
            archive_backfill.keep(self.root, batch(record, self.series, part), archive.date_of(reached))
        return batch(record, self.series, rows)

    def there(self, record: type[Record]) -> pl.DataFrame:
        """All rows of another type; without columns where there are none."""
        frames = list(self._rows(record))
        return pl.concat(frames) if frames else pl.DataFrame()

    def _rows(self, record: type[Record], first: int = 0, last: int = LARGEST) -> Iterator[pl.DataFrame]:
        columns = frozenset((*record.__struct_fields__, "_offset"))
        wanted = Wanted(record.table, columns, after=first - 1, until=last)
        return archive_rows.rows(archive_rows.listing(self.root, wanted, 0), wanted)

    def _keep(self, landed: Landed, rows: list[pl.DataFrame], day: int) -> None:
        path = archive_backfill.keep(
            self.root, batch(self.series.record, self.series, pl.concat(rows)), archive.date_of(day)
        )
        landed.paths.append(path)
        landed.files.append(File(rows[0]["_offset"][0], rows[-1]["_offset"][-1]))


def part_of(
    source: str, landed: Landed, time: Span, asked: tuple[int, int] | None, name: str = "", sha256: str = ""
) -> Part:
    """What was landed, as its journal keeps it."""
    told = landed.chain
    return Part(source, name, sha256, *time, asked, told.rows, told.duplicates, told.runs, landed.files)


def batch(record: type[Record], series: Series, rows: pl.DataFrame) -> Batch:
    """Numbered rows as a batch of a series' log."""
    columns: dict[str, Any] = {
        name: rows[name] if rows[name].dtype in (pl.String, pl.Binary) else rows[name].to_numpy()
        for name in record.__struct_fields__
        if name != "instrument"
    }
    return archive_backfill.batch(record, series.instrument, series.kind, rows["_offset"].to_numpy(), columns)
