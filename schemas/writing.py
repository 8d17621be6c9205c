"""The columnar way from tables to bytes, for one record type."""

from collections.abc import Mapping
from typing import Any

import fastavro
import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas import kernels
from schemas.checks import Checks
from schemas.columns import ALL, Column, Keys, Table
from schemas.layout import TEXT, layout
from schemas.pieces import Ints, Pieces
from schemas.record import EVERY_KEY, Record, Rejected
from schemas.wire import header

_DTYPES = {"long": ("i", np.dtype("i8")), "double": ("f", np.dtype("f8")), "boolean": ("b", np.dtype("?"))}


class Writer:
    """What it takes to write one record type with its current schema under one id."""

    def __init__(self, record: type[Record], definition: Mapping[str, Any], schema_id: int) -> None:
        self.record = record
        self.schema = fastavro.parse_schema(dict(definition))
        self.header = header(schema_id)
        self.check = Checks(definition)
        checks = {field["name"]: field["check"] for field in definition["fields"] if "check" in field}
        found = layout(definition["fields"], checks)
        if found is None:
            raise ValueError(f"{record.__name__} has fields of types that records cannot have")
        self._layout = found
        self._header = np.frombuffer(self.header, np.uint8)

    def pack(self, table: Table, keys: Keys) -> Pieces | None:
        """The bytes of each row; None where something is not plainly right."""
        if not len(table):
            return Pieces.of([])
        if self.record.key_field != EVERY_KEY and table.key.min() == ALL:
            raise Rejected(f"{self.record.__name__}.{self.record.key_field} is '*', which is no key of its own")
        if any(bool((table.columns[low] > table.columns[high]).any()) for low, high in self.check.order):
            return None
        longs, doubles, booleans = (self._numbers(table, kind) for kind in ("long", "double", "boolean"))
        texts = self._texts(table, keys)
        if texts is None or longs is None or doubles is None or booleans is None:
            return None
        text, starts, lengths = texts
        plan = self._layout
        out, ends, good = kernels.pack(
            self._header,
            longs,
            doubles,
            booleans,
            text,
            starts,
            lengths,
            plan.kinds,
            plan.rules,
            plan.slots,
            plan.counts,
            len(table),
        )
        return Pieces(out[: ends[-1]], np.concatenate(([0], ends[:-1])), ends) if good else None

    def _numbers(self, table: Table, kind: str) -> NDArray[Any] | None:
        """All columns of one Avro type as the lines of one array."""
        wanted, dtype = _DTYPES[kind]
        names = [name for name, held in zip(self._layout.names, self._layout.types, strict=True) if held == kind]
        lines = np.empty((len(names), len(table)), dtype)
        for line, name in enumerate(names):
            column = table.columns[name]
            if not isinstance(column, np.ndarray) or column.dtype.kind != wanted or column.dtype.itemsize > 8:
                return None
            lines[line] = column
        return lines

    def _texts(self, table: Table, keys: Keys) -> tuple[NDArray[np.uint8], Ints, Ints] | None:
        """All texts end to end, and start and length of each field's in each row."""
        plan = self._layout
        starts = np.empty((plan.counts[TEXT], len(table)), np.int64)
        lengths = np.empty_like(starts)
        pieces: list[bytes] = []
        size = 0
        for line, (name, held) in enumerate(
            (name, held) for name, held, kind in zip(plan.names, plan.types, plan.kinds, strict=True) if kind == TEXT
        ):
            if name == self.record.key_field:
                used, places = np.unique(table.key, return_inverse=True)
                values, rows = _encoded([keys.names[code] for code in used.tolist()], held), places
            else:
                values, rows = _encoded(_listed(table.columns[name]), held), None
            if values is None:
                return None
            sizes = np.fromiter(map(len, values), np.int64, len(values))
            begins = size + np.cumsum(sizes) - sizes
            starts[line] = begins if rows is None else begins[rows]
            lengths[line] = sizes if rows is None else sizes[rows]
            pieces += values
            size += int(sizes.sum())
        return np.frombuffer(b"".join(pieces), np.uint8), starts, lengths


def _listed(column: Column) -> list[Any]:
    return column.to_list() if isinstance(column, pl.Series) else column.tolist()


def _encoded(values: list[Any], held: str) -> list[bytes] | None:
    if held == "bytes":
        return values if all(type(value) is bytes for value in values) else None
    try:
        return list(map(str.encode, values))
    except (TypeError, UnicodeEncodeError):
        return None
