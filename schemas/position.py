"""Where a record comes from, as Kafka headers: the position of its cause, and the times of its lineage.

A derived record carries the position of the input that caused it. Writers repeat themselves after a crash, so every
reader drops what it has seen: within one log the positions of one cause partition only rise. A record copied into a
merged log keeps its position and carries the log it was read from, for only among that log's records do they rise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from schemas.kernels import decimals
from schemas.pieces import Ints, Pieces
from schemas.record import Rejected

POSITION_HEADER = "tidemill-position"
TIMES_HEADER = "tidemill-times"
LOG_HEADER = "tidemill-log"

Log = tuple[str, int]  # a topic and a partition of it
Headers = Sequence[tuple[str, bytes | None]] | None  # as confluent-kafka and aiokafka give them


class Position(NamedTuple):
    """The input that caused a record, and which of its outputs on one derived topic the record is.

    >>> Position("ticks", 0, 123, 1).header()
    b'ticks:0:123:1'
    >>> Position.parse(b"ticks:0:123:1")
    Position(topic='ticks', partition=0, offset=123, ordinal=1)
    """

    topic: str
    partition: int
    offset: int
    ordinal: int = 0

    def header(self) -> bytes:
        """The header's value."""
        return f"{self.topic}:{self.partition}:{self.offset}:{self.ordinal}".encode()

    @classmethod
    def parse(cls, value: bytes) -> "Position":
        """The position in a header's value.

        Raises:
            Rejected: it is no position.

        """
        topic, *numbers = _text(value).split(":")
        if not topic or len(numbers) != 3:
            raise Rejected(f"position {value!r} is not topic:partition:offset:ordinal")
        return cls(topic, *(_natural(number, value) for number in numbers))


class Times(NamedTuple):
    """When the cause of a record happened at its venue, reached us, and was written to its raw topic: ns, epoch."""

    exchange_ns: int
    received_ns: int
    produced_ns: int

    def header(self) -> bytes:
        """The header's value."""
        return f"{self.exchange_ns} {self.received_ns} {self.produced_ns}".encode()

    @classmethod
    def parse(cls, value: bytes) -> "Times":
        """The times in a header's value.

        Raises:
            Rejected: they are not three times.

        """
        numbers = _text(value).split(" ")
        if len(numbers) != 3:
            raise Rejected(f"times {value!r} are not exchange_ns received_ns produced_ns")
        return cls(*(_natural(number, value) for number in numbers))


def position_of(headers: Headers, log: Log, offset: int) -> Position:
    """The position of a record read at ``offset`` of ``log``; without a header it is its own cause.

    In a merged log the position's topic names the log that the record was copied from, too.

    Raises:
        Rejected: the header is there and no position, or the record is a copy out of another partition.

    >>> position_of([("tidemill-position", b"merges.paper:0:7:1"), ("tidemill-log", b"fills:0")], ("merges", 0), 9)
    Position(topic='fills/merges.paper', partition=0, offset=7, ordinal=1)

    """
    value = header_value(headers, POSITION_HEADER)
    position = Position(*log, offset, 0) if value is None else Position.parse(value)
    copied = header_value(headers, LOG_HEADER)
    return position if copied is None else position._replace(topic=f"{_topic_of(copied, log)}/{position.topic}")


def position_headers(topic: str, partition: int, offsets: Ints, ordinals: Ints) -> Pieces:
    """The header's value for records of which the causes lie in one partition.

    >>> position_headers("ticks", 0, np.array([7, 123]), np.array([0, 11])).to_list()
    [b'ticks:0:7:0', b'ticks:0:123:11']
    """
    front = np.frombuffer(f"{topic}:{partition}:".encode(), np.uint8)
    return Pieces(*decimals(front, offsets, ord(":"), ordinals))


def times_of(headers: Headers) -> Times | None:
    """The lineage times of a record, None where it carries none.

    Raises:
        Rejected: the header is there and unreadable.

    """
    value = header_value(headers, TIMES_HEADER)
    return None if value is None else Times.parse(value)


def header_value(headers: Headers, name: str) -> bytes | None:
    """The last value of a header."""
    return next((value for key, value in reversed(headers or ()) if key == name), None)


@dataclass(slots=True)
class Seen:
    """What a reader has had of each log, so that a repeated record is taken once.

    >>> seen = Seen()
    >>> [seen.is_new(("emas", 0), Position("ticks", 0, *where)) for where in ((7, 0), (7, 1), (7, 0), (8, 0))]
    [True, True, False, True]
    """

    _highest: dict[Log, dict[Log, tuple[int, int]]] = field(default_factory=dict)

    def is_new(self, log: Log, position: Position) -> bool:
        """Whether a record of ``log`` has a position above all before it; its position counts as seen from now on."""
        highest = self._highest.get(log)
        if highest is None:
            highest = self._highest[log] = {}
        source, place = position[:2], position[2:]
        if place <= highest.get(source, (-1, -1)):
            return False
        highest[source] = place
        return True

    def forget(self, log: Log) -> None:
        """Drop what is known of a log, as when its partition goes to another reader."""
        self._highest.pop(log, None)

    def snapshot(self) -> dict[str, dict[str, list[int]]]:
        """What was seen as plain values, ready for msgpack or JSON."""
        return {
            _joined(log): {_joined(source): list(place) for source, place in highest.items()}
            for log, highest in self._highest.items()
        }

    def restore(self, snapshot: dict[str, dict[str, list[int]]]) -> None:
        """Continue from a snapshot."""
        self._highest = {
            _parted(log): {_parted(source): (place[0], place[1]) for source, place in highest.items()}
            for log, highest in snapshot.items()
        }


def _topic_of(header: bytes, log: Log) -> str:
    """The topic that a record of a merged log was copied from."""
    topic, _, partition = _text(header).rpartition(":")
    if not topic or _natural(partition, header) != log[1]:
        raise Rejected(f"log {header[:100]!r} is no topic with the partition {log[1]}")
    return topic


def _joined(log: Log) -> str:
    return f"{log[0]}:{log[1]}"


def _parted(text: str) -> Log:
    topic, _, partition = text.rpartition(":")
    return topic, int(partition)


def _text(value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError as error:
        raise Rejected(f"header {value[:100]!r} is not ASCII") from error


def _natural(number: str, value: bytes) -> int:
    if not number.isdigit() or len(number) > 19:
        raise Rejected(f"{number[:100]!r} in header {value[:100]!r} is no whole number of at least 0")
    return int(number)
