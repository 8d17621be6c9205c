"""What a user of any stream library writes in plain Python: stock fastavro, and the stages one record at a time."""

import io
from collections.abc import Iterator
from typing import Any

import fastavro
from msgspec.structs import asdict

from processors.buckets import Buckets
from processors.emas import Emas
from processors.jump_losses import JumpLosses
from schemas import Bucket, Clock, Ema, JumpLoss, Record, Tick
from schemas.codec import committed_ids
from schemas.generate import definitions, history
from schemas.wire import HEADER_BYTES, header

_SCHEMAS = {schema["table"]: fastavro.parse_schema(schema) for schema in definitions()}
_IDS = committed_ids(history())
_HEADERS: dict[type[Record], bytes] = {record: header(_IDS[record.table]) for record in (Bucket, Ema, JumpLoss)}
_READ = {header(_IDS[record.table]): (record, _SCHEMAS[record.table]) for record in (Tick, Clock)}


def decode(data: bytes) -> Any:
    """The tick or clock in some framed bytes."""
    record, schema = _READ[data[:HEADER_BYTES]]
    body = io.BytesIO(data)
    body.seek(HEADER_BYTES)
    return record(**fastavro.schemaless_reader(body, schema, None))  # type: ignore[arg-type]


def encode(record: Record) -> bytes:
    """A derived record as framed bytes."""
    body = io.BytesIO()
    body.write(_HEADERS[type(record)])
    fastavro.schemaless_writer(body, _SCHEMAS[record.table], asdict(record))
    return body.getvalue()


class Instrument:
    """The three stages of one instrument, state in memory."""

    def __init__(self, key: str) -> None:
        self.stages = Buckets(key), Emas(key), JumpLosses(key)

    def on_event(self, event: Tick | Clock) -> Iterator[Record]:
        """All that an event causes."""
        buckets, emas, losses = self.stages
        for bucket in buckets.on_event(event):
            yield bucket
            for ema in emas.on_event(bucket):
                yield ema
                yield from losses.on_event(ema)


class Instruments:
    """The instruments of one partition; a clock goes to all of them."""

    def __init__(self) -> None:
        self._found: dict[str, Instrument] = {}

    def on_event(self, event: Tick | Clock) -> Iterator[Record]:
        """All that an event causes."""
        if isinstance(event, Clock):
            for key in sorted(self._found):
                yield from self._found[key].on_event(event)
            return
        instrument = self._found.get(event.instrument)
        if instrument is None:
            instrument = self._found[event.instrument] = Instrument(event.instrument)
        yield from instrument.on_event(event)


def values_of(state: Any) -> list[Any]:
    """A stage's state as a list, cheaper than ``dataclasses.asdict``."""
    return [getattr(state, name) for name in state.__slots__]
