"""The first record of a series that the live archive has: what a back-fill must reach up to."""

from pathlib import Path

import polars as pl

from infra import archive_rows
from infra.archive import pieces
from infra.archive_rows import Wanted
from producers.history.proof import Live
from producers.history.series import Series


def first(root: Path, series: Series, from_ns: int) -> Live | None:
    """The live record of the lowest number from a time on; None where there is none."""
    table, fields = series.record.table, series.record.__struct_fields__
    if not (root / table).is_dir():
        return None
    wanted = Wanted(table, frozenset((*fields, "_offset")), frozenset({series.instrument}), start_ns=from_ns)
    found = [
        _first(root, series, wanted, partition) for partition in {piece.partition for piece in pieces(root, table)}
    ]
    return min((live for live in found if live is not None), default=None)


def _first(root: Path, series: Series, wanted: Wanted, partition: int) -> Live | None:
    """The first one of a partition, in log order: of a feed that starts, the one of the lowest number."""
    for rows in archive_rows.rows(archive_rows.listing(root, wanted, partition), wanted):
        own = rows.filter(_same_kind(series) & (pl.col("event_ns") >= wanted.start_ns))
        if len(own):
            row = own.with_columns(series.offset().alias("_offset")).sort("_offset").row(0, named=True)
            return Live(row["_offset"], row["event_ns"])
    return None


def _same_kind(series: Series) -> pl.Expr:
    bars = "width_ms" in series.record.__struct_fields__
    return pl.col("width_ms") == series.slot_ns // 1_000_000 if bars else pl.lit(True)
