"""Records as columns: what a stage with a columnar path works on, and what archives and sinks store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.pieces import Pieces
from schemas.record import EVERY_KEY, Record

ALL = -1  # the code of EVERY_KEY
Column = NDArray[Any] | pl.Series


@dataclass(slots=True)
class Keys:
    """Keys as small integers, in order of first appearance.

    >>> keys = Keys()
    >>> [keys.code(name) for name in ("b", "a", "b", "*")]
    [0, 1, 0, -1]
    >>> keys.sorted_codes().tolist()
    [1, 0]
    """

    names: list[str] = field(default_factory=list)
    _codes: dict[str, int] = field(default_factory=dict)
    _sorted: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32), compare=False, repr=False)
    _encoded: Pieces = field(default_factory=lambda: Pieces.of([EVERY_KEY.encode()]), compare=False, repr=False)

    def code(self, name: str) -> int:
        """The integer for a key, given out at its first appearance."""
        if name == EVERY_KEY:
            return ALL
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self.names)
            self.names.append(name)
        return code

    def codes(self, names: pl.Series) -> NDArray[np.int32]:
        """The integers for a column of keys."""
        distinct = names.unique(maintain_order=True)
        codes = [self.code(name) for name in distinct.to_list()]
        if len(codes) == 1:
            return np.full(len(names), codes[0], np.int32)
        return names.replace_strict(distinct, codes, return_dtype=pl.Int32).to_numpy()

    def sorted_codes(self) -> NDArray[np.int32]:
        """All integers in the order of their keys' names: the order in which ``*`` addresses them."""
        if len(self._sorted) < len(self.names):
            self._sorted = np.array(sorted(range(len(self.names)), key=self.names.__getitem__), np.int32)
        return self._sorted

    def encoded(self) -> Pieces:
        """The keys as UTF-8 by their codes, with ``*`` last, where ``ALL`` finds it.

        Raises:
            UnicodeEncodeError: one of them cannot be text.

        """
        if len(self._encoded.starts) <= len(self.names):
            self._encoded = Pieces.of([*map(str.encode, self.names), EVERY_KEY.encode()])
        return self._encoded


@dataclass(slots=True)
class Table:
    """Rows of one record type in log order.

    ``cause`` says for each row which event of the batch it stems from (an input stems from itself), ``key`` holds
    the code of its key. ``columns`` holds every field but the key's own.
    """

    record: type[Record]
    cause: NDArray[np.int64]
    key: NDArray[np.int32]
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.cause)

    def records(self, keys: Keys) -> Iterator[Record]:
        """The rows as records."""
        made = [
            [keys.names[code] for code in self.key.tolist()]
            if name == self.record.key_field
            else _values(self.columns[name])
            for name in self.record.__struct_fields__
        ]
        return map(self.record, *made)


def _values(column: Column) -> list[Any]:
    return column.to_list() if isinstance(column, pl.Series) else column.tolist()


def tables(records: Iterable[tuple[int, Record]], keys: Keys) -> list[Table]:
    """Records, each with the index of its cause, as one table for each type, types in order of first appearance."""
    rows: dict[type[Record], list[tuple[int, Record]]] = {}
    for cause, record in records:
        rows.setdefault(type(record), []).append((cause, record))
    return [_table(record, group, keys) for record, group in rows.items()]


def _table(record: type[Record], rows: Sequence[tuple[int, Record]], keys: Keys) -> Table:
    fields = [name for name in record.__struct_fields__ if name != record.key_field]
    columns = {name: _column([getattr(row, name) for _, row in rows], record.__annotations__[name]) for name in fields}
    cause = np.array([cause for cause, _ in rows], np.int64)
    return Table(record, cause, np.array([keys.code(row.key) for _, row in rows], np.int32), columns)


def _column(values: list[Any], kind: type) -> Column:
    """Text as a Series: a numpy array of bytes drops the zeros at their ends."""
    return pl.Series(values) if kind in (str, bytes) else np.fromiter(values, kind, len(values))
