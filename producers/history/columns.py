"""Back-filled records as columns, checked as the codec checks records."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from schemas import Record, Rejected
from schemas.generate import definitions

TYPES: dict[Any, Any] = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean, bytes: pl.Binary}
DEFINITIONS = {schema["table"]: schema for schema in definitions()}


def columns(record: type[Record]) -> dict[str, Any]:
    """The polars type of each field."""
    return {name: TYPES[kind] for name, kind in record.__annotations__.items() if name in record.__struct_fields__}


def frame(record: type[Record], records: Sequence[Record]) -> pl.DataFrame:
    """Records as columns."""
    return pl.DataFrame(
        {name: [getattr(item, name) for item in records] for name in record.__struct_fields__}, columns(record)
    )


def check(record: type[Record], rows: pl.DataFrame) -> None:
    """See that every value is as the schema wants it.

    Raises:
        Rejected: naming the field and the first value that is not.

    """
    definition = DEFINITIONS[record.table]
    for field in definition["fields"]:
        column = pl.col(field["name"])
        good = column.is_not_null()
        if field["type"] == "double":
            good &= column.is_finite()
        if field.get("check") == "positive":
            good &= column > 0
        elif field.get("check") == "non-negative":
            good &= column >= 0
        _hold(record, rows, good, field["name"])
    for low, high in definition.get("order", []):
        _hold(record, rows, pl.col(low) <= pl.col(high), low)


def _hold(record: type[Record], rows: pl.DataFrame, good: pl.Expr, name: str) -> None:
    bad = rows.filter(~good)
    if len(bad):
        raise Rejected(f"{record.__name__}.{name}: {len(bad)} values are not as they should be; first {bad.row(0)}")
