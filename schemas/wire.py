"""The Confluent wire format: a zero byte, the schema's id in four bytes, big-endian, and the Avro body."""

import struct
from collections.abc import Sequence

from schemas.kernels import schema_ids
from schemas.pieces import Ints, Pieces
from schemas.record import Rejected

HEADER_BYTES = 5
_HEADER = struct.Struct(">bI")


def header(schema_id: int) -> bytes:
    """The five bytes before a body.

    >>> header(11).hex()
    '000000000b'
    """
    return _HEADER.pack(0, schema_id)


def schema_id(data: bytes | None) -> int:
    """The schema id of a framed record.

    Raises:
        Rejected: there is no value, or no header at its front.

    """
    if not data:
        raise Rejected("no value" if data is None else "empty value")
    if len(data) < HEADER_BYTES:
        raise Rejected(f"{len(data)} bytes, too short for the {HEADER_BYTES}-byte header: {data.hex()}")
    magic, number = _HEADER.unpack_from(data)
    if magic:
        raise Rejected(f"first byte is {data[0]:#04x}, not 0x00: not in the Confluent wire format")
    return int(number)


def split(values: Sequence[bytes | None]) -> tuple[Pieces, Ints]:
    """Values end to end, and the schema id of each, -1 where it has no header."""
    try:
        pieces = Pieces.of(values)  # type: ignore[arg-type]
    except TypeError:
        pieces = Pieces.of([value or b"" for value in values])
    return pieces, schema_ids(*pieces)
