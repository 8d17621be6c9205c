"""The Confluent wire format: a zero byte, the schema's id in four bytes, big-endian, and the Avro body."""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.kernels import Ints, schema_ids
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


def split(values: Sequence[bytes | None]) -> tuple[NDArray[np.uint8], Ints, Ints, Ints]:
    """Values end to end, where each starts and ends, and its schema id, -1 where it has no header."""
    try:
        joined = b"".join(values)  # type: ignore[arg-type]
        lengths = np.fromiter(map(len, values), np.int64, len(values))  # type: ignore[arg-type]
    except TypeError:
        return split([value or b"" for value in values])
    buffer = np.frombuffer(joined, np.uint8)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    return buffer, starts, ends, schema_ids(buffer, starts, ends)
