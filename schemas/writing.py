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
from schemas.layout import layout
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
        fields = list(zip(found.names, found.types, strict=True))
        self._numeric = {kind: [name for name, held in fields if held == kind] for kind in _DTYPES}
        self._textual = [(name, held) for name, held in fields if held not in _DTYPES]
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
        names = self._numeric[kind]
        lines = np.empty((len(names), len(table)), dtype)
        for line, name in enumerate(names):
            column = table.columns[name]
            if not isinstance(column, np.ndarray) or column.dtype.kind != wanted or column.dtype.itemsize > 8:
                return None
            lines[line] = column
        return lines

    def _texts(self, table: Table, keys: Keys) -> tuple[NDArray[np.uint8], Ints, Ints] | None:
        """All texts end to end, and start and length of each field's in each row."""
        starts = np.empty((len(self._textual), len(table)), np.int64)
        lengths = np.empty_like(starts)
        pieces = [np.empty(0, np.uint8)]
        size = 0
        for line, (name, held) in enumerate(self._textual):
            values = _names(keys, table) if name == self.record.key_field else _encoded(table.columns[name], held)
            if values is None:
                return None
            np.add(values.starts, size, out=starts[line])
            np.subtract(values.ends, values.starts, out=lengths[line])
            pieces.append(values.data)
            size += len(values.data)
        return np.concatenate(pieces), starts, lengths


def _names(keys: Keys, table: Table) -> Pieces | None:
    try:
        return keys.encoded().take(table.key)
    except UnicodeEncodeError:
        return None


def _encoded(column: Column, held: str) -> Pieces | None:
    values = column.to_list() if isinstance(column, pl.Series) else column.tolist()
    try:
        return Pieces.of(values if held == "bytes" else list(map(str.encode, values)))
    except (TypeError, UnicodeEncodeError):
        return None
