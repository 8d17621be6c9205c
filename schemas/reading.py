"""The way from bytes to records and tables, for the schema of one id."""

import io
from collections.abc import Mapping
from typing import Any

import fastavro
import numpy as np
import polars as pl
from fastavro.schema import to_parsing_canonical_form
from numpy.typing import NDArray

from schemas import kernels
from schemas.checks import Checks
from schemas.columns import ALL, Column, Keys, Table
from schemas.layout import BOOLEAN, DOUBLE, LONG, TEXT, layout
from schemas.pieces import Ints
from schemas.record import EVERY_KEY, Record, Rejected
from schemas.wire import HEADER_BYTES

Texts = tuple[NDArray[np.int32], list[Any]]  # for each row the number of its value, and the different values
FEW = 500  # rows below which a list is faster than a gather in polars, whose fixed cost is some 50 µs
_NUMBERS: dict[str, Any] = {"long": np.int64, "double": np.float64, "boolean": np.bool_}
_TEXTS: dict[str, Any] = {"string": pl.String, "bytes": pl.Binary}


class Reader:
    """What it takes to read records that were written with one schema, current or older."""

    def __init__(self, record: type[Record], definition: Mapping[str, Any], written: Mapping[str, Any]) -> None:
        self.record = record
        same = to_parsing_canonical_form(dict(written)) == to_parsing_canonical_form(dict(definition))
        self._written = fastavro.parse_schema(dict(written))
        self._current = None if same else fastavro.parse_schema(dict(definition))  # resolving doubles the time
        self._check = Checks(definition)
        self._fields: list[Mapping[str, Any]] = definition["fields"]
        self._layout = layout(
            written["fields"], {field["name"]: field["check"] for field in self._fields if "check" in field}
        )
        if self._layout and not self._resolves(dict(zip(self._layout.names, self._layout.types, strict=True))):
            self._layout = None

    def _resolves(self, written: Mapping[str, str]) -> bool:
        """Whether columns as written give the current fields by renaming nothing, widening or a default."""
        if self.record.key_field not in (EVERY_KEY, *written):
            return False
        return all(
            written[field["name"]] == field["type"] or (written[field["name"]], field["type"]) == ("long", "double")
            if field["name"] in written
            else "default" in field
            for field in self._fields
        )

    def decode(self, data: bytes) -> Record:
        """The record in a framed value, by fastavro.

        Raises:
            Rejected: the body is not as its schema says, or a value fails its check.

        """
        name = self.record.__name__
        body = io.BytesIO(data)
        body.seek(HEADER_BYTES)
        try:
            values: Any = fastavro.schemaless_reader(body, self._written, self._current)
        except EOFError as error:  # its text may hold an address in memory, and a reason must be the same each time
            raise Rejected(f"{name} breaks off: {len(data)} bytes are too few") from error
        except Exception as error:  # fastavro raises whatever its parts raise
            raise Rejected(f"{name} of {len(data)} bytes cannot be read: {type(error).__name__}: {error}") from error
        if body.tell() != len(data):
            raise Rejected(f"{name} ends after {body.tell()} bytes, {len(data) - body.tell()} more follow")
        record = self.record(**values)
        self._check(record)
        return record

    def table(
        self, buffer: NDArray[np.uint8], starts: Ints, ends: Ints, causes: Ints, keys: Keys
    ) -> tuple[Table | None, Ints]:
        """The plainly right rows as a table, and the causes of the others, which ``decode`` must judge."""
        plan = self._layout
        if plan is None or not len(causes):
            return None, causes
        longs, doubles, booleans, text_starts, text_lengths, bad = kernels.unpack(
            buffer, starts, ends, plan.kinds, plan.rules, plan.slots, plan.counts
        )
        lines = {LONG: longs, DOUBLE: doubles, BOOLEAN: booleans}
        columns: dict[str, Any] = {}
        texts: dict[str, Texts] = {}
        for name, kind, slot in zip(plan.names, plan.kinds.tolist(), plan.slots.tolist(), strict=True):
            if kind == TEXT:
                texts[name] = codes, values = self._texts(name, buffer, text_starts[slot], text_lengths[slot])
                if None in values:
                    bad |= np.isin(codes, [code for code, value in enumerate(values) if value is None])
            else:
                columns[name] = lines[kind][slot]
        for low, high in self._check.order:
            bad |= columns[low] > columns[high]
        if bad.any():
            table, others = self.table(buffer, starts[~bad], ends[~bad], causes[~bad], keys)
            return table, np.concatenate([causes[bad], others])
        return self._resolved(columns, texts, causes, keys), causes[:0]

    def _texts(self, name: str, buffer: NDArray[np.uint8], starts: Ints, lengths: Ints) -> Texts:
        """The texts of a field; a value that is no text, or no key of its own, is None."""
        codes, firsts = kernels.distinct(buffer, starts, lengths)
        begins = starts[firsts]
        pieces = [
            buffer[start:stop].tobytes()
            for start, stop in zip(begins.tolist(), (begins + lengths[firsts]).tolist(), strict=True)
        ]
        plan = self._layout
        if plan is None or plan.types[plan.names.index(name)] == "bytes":
            return codes, pieces
        return codes, [_text(piece, name == self.record.key_field) for piece in pieces]

    def _resolved(self, columns: dict[str, Any], texts: dict[str, Texts], causes: Ints, keys: Keys) -> Table:
        """The table with the current fields."""
        found: dict[str, Column] = {}
        key = np.full(len(causes), ALL, np.int32)
        for field in self._fields:
            name, held = field["name"], field["type"]
            if name == self.record.key_field:
                codes, values = texts[name]
                key = np.array([keys.code(value) for value in values], np.int32)[codes]
            elif name in texts:
                codes, values = texts[name]
                found[name] = _series(name, values, held, codes)
            elif name in columns:
                found[name] = columns[name] if held != "double" else columns[name].astype(np.float64, copy=False)
            elif held in _TEXTS:
                found[name] = _series(name, [field["default"]], held, np.zeros(len(causes), np.int32))
            else:
                found[name] = np.full(len(causes), field["default"], _NUMBERS[held])
        return Table(self.record, causes, key, found)


def merged(tables: list[Table]) -> list[Table]:
    """Tables of one record type as one, its rows in log order; types in order of first appearance."""
    groups: dict[type[Record], list[Table]] = {}
    for table in tables:
        groups.setdefault(table.record, []).append(table)
    return [group[0] if len(group) == 1 else _joined(group) for group in groups.values()]


def _joined(group: list[Table]) -> Table:
    cause = np.concatenate([table.cause for table in group])
    order = np.argsort(cause, kind="stable")
    columns = {name: _stacked([table.columns[name] for table in group])[order] for name in group[0].columns}
    return Table(group[0].record, cause[order], np.concatenate([table.key for table in group])[order], columns)


def _stacked(columns: list[Any]) -> Any:
    return pl.concat(columns) if isinstance(columns[0], pl.Series) else np.concatenate(columns)


def _series(name: str, values: list[Any], held: str, codes: NDArray[np.int32]) -> pl.Series:
    if len(codes) < FEW:
        return pl.Series(name, [values[code] for code in codes.tolist()], _TEXTS[held])
    series = pl.Series(name, values, _TEXTS[held])
    return series if len(values) == len(codes) else series.gather(codes)


def _text(piece: bytes, is_key: bool) -> str | None:
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return None
    return None if is_key and text == EVERY_KEY else text
