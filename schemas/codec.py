"""Records to bytes and back: Avro in the Confluent wire format, one at a time and in columns.

One at a time fastavro does it, and its verdict is the reference; the columnar paths give the same, record by record.
A record is written with the current schema of its type and read with the schema whose id it carries, fields that
came later taking their defaults. Every value is checked on the way in and on the way out.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import fastavro
import numpy as np
from fastavro.schema import to_parsing_canonical_form
from msgspec.structs import asdict

from schemas.columns import Keys, Table, tables
from schemas.generate import definitions, history
from schemas.pieces import Pieces
from schemas.reading import Reader, merged
from schemas.record import Record, Rejected
from schemas.records import RECORDS
from schemas.wire import HEADER_BYTES, schema_id, split
from schemas.writing import Writer


class Codec:
    """Encoder and decoder for every record type.

    Args:
        ids: for each table the id of its current schema; by default as numbered in history/.
        schemas: for each id that may be met its Avro schema as JSON, those in ``ids`` included; by default history/.
        lookup: asked for the schema of any other id that is met; None where it knows none either.

    >>> from schemas import Clock
    >>> Codec().encode(Clock(event_ns=1)).hex()
    '000000000402'
    >>> Codec().decode(bytes.fromhex("000000000402"))
    Clock(event_ns=1)

    """

    def __init__(
        self,
        ids: Mapping[str, int] | None = None,
        schemas: Mapping[int, str] | None = None,
        lookup: Callable[[int], str | None] | None = None,
    ) -> None:
        current = {schema["table"]: schema for schema in definitions()}
        schemas = history() if schemas is None else schemas
        ids = committed_ids(schemas) if ids is None else ids
        self._writers = {
            record: Writer(record, current[table], ids[table]) for table, record in RECORDS.items() if table in ids
        }
        self._current = {schema["name"]: schema for schema in current.values()}
        self._lookup = lookup
        self._readers: dict[int, Reader] = {}
        for number, text in schemas.items():
            self._learn(number, text)

    def encode(self, record: Record) -> bytes:
        """The bytes of a record.

        Raises:
            Rejected: a value is not as the schema wants it, or the record type has no id.

        """
        writer = self._writer(type(record))
        writer.check(record)
        body = io.BytesIO()
        body.write(writer.header)
        fastavro.schemaless_writer(body, writer.schema, asdict(record))
        return body.getvalue()

    def decode(self, data: bytes | None) -> Record:
        """The record in some bytes.

        Raises:
            Rejected: with the reason; whatever the bytes are, nothing else is raised.

        """
        return self._reader(schema_id(data)).decode(data or b"")

    def encode_table(self, table: Table, keys: Keys) -> Pieces:
        """The bytes of each row, equal to ``encode`` of it.

        Raises:
            Rejected: as ``encode`` of the first bad row.

        """
        packed = self._writer(table.record).pack(table, keys)
        return Pieces.of([self.encode(record) for record in table.records(keys)]) if packed is None else packed

    def decode_tables(self, values: Sequence[bytes | None], keys: Keys) -> tuple[list[Table], list[tuple[int, str]]]:
        """The readable values as one table for each record type, and index and reason of each of the others.

        A row's cause is the index of its value; types stand in order of first appearance.
        """
        (buffer, starts, ends), ids = split(values)
        found: list[Table] = []
        doubtful: list[int] = []
        for number in dict.fromkeys(ids.tolist()):
            rows = np.flatnonzero(ids == number)
            reader = self._readers.get(number)
            if reader is None:
                doubtful += rows.tolist()
                continue
            table, others = reader.table(buffer, starts[rows] + HEADER_BYTES, ends[rows], rows, keys)
            doubtful += others.tolist()
            if table is not None:
                found.append(table)
        return self._settle(values, doubtful, found, keys)

    def _settle(
        self, values: Sequence[bytes | None], doubtful: Iterable[int], found: list[Table], keys: Keys
    ) -> tuple[list[Table], list[tuple[int, str]]]:
        """Let ``decode`` judge the doubtful values; put those that it reads into the tables."""
        records: list[tuple[int, Record]] = []
        rejects: list[tuple[int, str]] = []
        for index in sorted(doubtful):
            try:
                records.append((index, self.decode(values[index])))
            except Rejected as error:
                rejects.append((index, str(error)))
        return merged(found + tables(records, keys)), rejects

    def _writer(self, record: type[Record]) -> Writer:
        writer = self._writers.get(record)
        if writer is None:
            raise Rejected(f"no schema id is known for {record.__name__}")
        return writer

    def _reader(self, number: int) -> Reader:
        reader = self._readers.get(number)
        if reader is None and self._lookup is not None:
            text = self._lookup(number)
            reader = None if text is None else self._learn(number, text)
        if reader is None:
            raise Rejected(f"unknown schema id {number}")
        return reader

    def _learn(self, number: int, text: str) -> Reader | None:
        """Read an id's records from now on; None where its schema is none of ours."""
        schema = json.loads(text)
        current = self._current.get(schema["name"].rpartition(".")[2]) if isinstance(schema, dict) else None
        if current is None:
            return None
        self._readers[number] = Reader(RECORDS[current["table"]], current, schema)
        return self._readers[number]


def committed_ids(schemas: Mapping[int, str]) -> dict[str, int]:
    """For each table the highest id whose schema has the canonical form of the current one."""
    forms = {to_parsing_canonical_form(schema): schema["table"] for schema in definitions()}
    found: dict[str, int] = {}
    for number in sorted(schemas):
        table = forms.get(schemas[number])
        if table is not None:
            found[table] = number
    return found
