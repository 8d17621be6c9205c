"""A producer that takes records by the thousand: librdkafka's C API, called from compiled loops.

confluent-kafka makes a Python object or three of each record it sends, and one more of each delivery report. At some
hundred thousand derived records a second that is most of a worker's time, and its batches leave so slowly that the
broker drowns in small requests. So a worker sends through the very library that confluent-kafka is linked with: the
values, keys and headers of a run lie in a few buffers, and one call hands all of them over.

Functions, constants and the layouts of ``rd_kafka_vu_t`` and ``rd_kafka_message_t`` are those of librdkafka's
rdkafka.h, which keeps them stable over all 1.x and 2.x.
"""

import ctypes
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import llvmlite.binding
import numpy as np
from confluent_kafka import KafkaError, KafkaException, cimpl
from numba import types
from numpy.typing import NDArray

from schemas.jit import kernel
from schemas.pieces import Ints, Pieces

PRODUCER = 0  # RD_KAFKA_PRODUCER
TOPIC, PARTITION, VALUE, KEY, OPAQUE, FLAGS, HEADER = 2, 3, 4, 5, 6, 7, 9  # RD_KAFKA_VTYPE_, TOPIC being RKT
COPY = 2  # RD_KAFKA_MSG_F_COPY
DELIVERIES, LOG = 1, 4  # RD_KAFKA_EVENT_DR, RD_KAFKA_EVENT_LOG
VU_WORDS, MESSAGE_WORDS = 9, 9  # 8-byte words of the two structs
FIXED = 6  # parts of a record before its headers
LOG_LEVELS = [logging.CRITICAL] * 3 + [logging.ERROR, logging.WARNING, logging.INFO, logging.INFO]  # by syslog's

Words = NDArray[np.uint64]
Segments = Sequence[tuple[str, int]]  # topics and how many records go to each, in the order of the records

# A symbol is looked for in what the module is linked with, too. Calls that return at once keep the interpreter's lock.
_library, _waiting_library = ctypes.PyDLL(cimpl.__file__), ctypes.CDLL(cimpl.__file__)
_log = logging.getLogger("kafka")


def _function(name: str, result: Any, *arguments: Any, waits: bool = False) -> Any:
    function = getattr(_waiting_library if waits else _library, f"rd_kafka_{name}")
    function.restype, function.argtypes = result, arguments
    return function


_HANDLE, _TEXT, _INT, _SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t
_conf_new = _function("conf_new", _HANDLE)
_conf_set = _function("conf_set", _INT, _HANDLE, _TEXT, _TEXT, _TEXT, _SIZE)
_conf_set_events = _function("conf_set_events", None, _HANDLE, _INT)
_new = _function("new", _HANDLE, _INT, _HANDLE, _TEXT, _SIZE)
_destroy = _function("destroy", None, _HANDLE, waits=True)
_outq_len = _function("outq_len", _INT, _HANDLE)
_topic_new = _function("topic_new", _HANDLE, _HANDLE, _TEXT, _HANDLE)
_topic_name = _function("topic_name", _TEXT, _HANDLE)
_topic_destroy = _function("topic_destroy", None, _HANDLE)
_queue_get_main = _function("queue_get_main", _HANDLE, _HANDLE)
_queue_look = _function("queue_poll", _HANDLE, _HANDLE, _INT)
_queue_wait = _function("queue_poll", _HANDLE, _HANDLE, _INT, waits=True)
_queue_destroy = _function("queue_destroy", None, _HANDLE)
_set_log_queue = _function("set_log_queue", _INT, _HANDLE, _HANDLE)
_event_type = _function("event_type", _INT, _HANDLE)
_event_message_count = _function("event_message_count", _SIZE, _HANDLE)
_event_log = _function("event_log", _INT, _HANDLE, *[ctypes.POINTER(kind) for kind in (_TEXT, _TEXT, _INT)])
_event_destroy = _function("event_destroy", None, _HANDLE)

_produceva_once = _function("produceva", _HANDLE, _HANDLE, _HANDLE, _SIZE)
_error_code_of = _function("error_code", _INT, _HANDLE)
_error_free = _function("error_destroy", None, _HANDLE)

for _name in ("rd_kafka_produceva", "rd_kafka_error_code", "rd_kafka_error_destroy", "rd_kafka_event_message_next"):
    llvmlite.binding.add_symbol(_name, ctypes.cast(getattr(_library, _name), ctypes.c_void_p).value)

_word: Any = types.uint64
_external: Any = types.ExternalFunction
_produceva = _external("rd_kafka_produceva", _word(_word, _word, _word))
_error_code = _external("rd_kafka_error_code", types.int32(_word))
_error_destroy = _external("rd_kafka_error_destroy", types.void(_word))
_event_message_next = _external("rd_kafka_event_message_next", _word(_word))
_memcpy = _external("memcpy", _word(_word, _word, _word))


@kernel
def _produce(
    client: int,
    topics: Words,
    partition: int,
    mark: int,
    names: Words,
    places: Words,
    sizes: Words,
    first: int,
) -> tuple[int, int]:
    """Send records from ``first`` on; the number of the first that was not taken, and why.

    ``topics`` holds the handle of each record's topic; ``places`` and ``sizes`` have a line for the values, one for the
    keys and one for each header of ``names``.
    """
    parts = np.zeros((FIXED + len(names), VU_WORDS), np.uint64)
    parts[0, 0] = TOPIC
    parts[1, 0], parts[1, 1] = PARTITION, partition
    parts[2, 0], parts[2, 1] = FLAGS, COPY
    parts[3, 0], parts[3, 1] = OPAQUE, mark
    parts[4, 0], parts[5, 0] = VALUE, KEY
    for header in range(len(names)):
        parts[FIXED + header, 0], parts[FIXED + header, 1] = HEADER, names[header]
    address = np.uint64(parts.ctypes.data)
    for row in range(first, len(topics)):
        parts[0, 1] = topics[row]
        for line in range(2):
            parts[4 + line, 1], parts[4 + line, 2] = places[line, row], sizes[line, row]
        for line in range(2, len(places)):
            parts[4 + line, 2], parts[4 + line, 3] = places[line, row], sizes[line, row]
        error = _produceva(np.uint64(client), address, np.uint64(len(parts)))
        if error:
            code = _error_code(error)
            _error_destroy(error)
            return row, code
    return len(topics), 0


@kernel
def _reports(event: int, count: int) -> Ints:
    """Mark, error code, topic and number of equal records in a row, of those that an event tells of."""
    found = np.empty((4, count), np.int64)
    message = np.zeros(MESSAGE_WORDS, np.uint64)
    last = -1
    for _ in range(count):
        _memcpy(np.uint64(message.ctypes.data), _event_message_next(np.uint64(event)), np.uint64(8 * MESSAGE_WORDS))
        code, topic, mark = (
            np.int64(np.int32(message[0] & np.uint64(0xFFFFFFFF))),
            np.int64(message[1]),
            np.int64(message[8]),
        )
        if last < 0 or found[0, last] != mark or found[1, last] != code or found[2, last] != topic:
            last += 1
            found[0, last], found[1, last], found[2, last], found[3, last] = mark, code, topic, 0
        found[3, last] += 1
    return found[:, : last + 1]


class Reports(NamedTuple):
    """What has become of records sent before."""

    confirmed: Counter[int]  # by mark
    failed: list[tuple[str, KafkaError]]  # a topic's full name, and why


class _Memory(ctypes.Structure):
    _fields_: ClassVar[Any] = [("data", ctypes.c_char_p), ("size", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    _fields_: ClassVar[Any] = [("name", ctypes.c_char_p), ("data", ctypes.c_char_p), ("size", ctypes.c_ssize_t)]


class _Union(ctypes.Union):
    _fields_: ClassVar[Any] = [
        ("number", ctypes.c_uint64),
        ("memory", _Memory),
        ("header", _Header),
        ("_pad", ctypes.c_char * 64),
    ]


class _Part(ctypes.Structure):
    _fields_: ClassVar[Any] = [("kind", ctypes.c_int), ("of", _Union)]


class _Single:
    """One record after the other, through one set of parts: for a few this is quicker than any array."""

    def __init__(self, headers: Sequence[str]) -> None:
        kinds = [TOPIC, PARTITION, FLAGS, OPAQUE, VALUE, KEY, *[HEADER] * len(headers)]
        self._parts = (_Part * len(kinds))()
        for part, kind in zip(self._parts, kinds, strict=True):
            part.kind = kind
        self._parts[2].of.number = COPY
        self._fields = [self._parts[4].of.memory, self._parts[5].of.memory]
        for part, name in zip(self._parts[FIXED:], headers, strict=True):
            part.of.header.name = name.encode()
            self._fields.append(part.of.header)
        self._topic, self._partition, self._mark = (self._parts[index].of for index in (0, 1, 3))
        self._address, self._count = ctypes.addressof(self._parts), len(kinds)

    def send(self, client: int, topic: int, partition: int, mark: int, values: Sequence[bytes]) -> int:
        """Send a record, given as its value, its key and its headers' values; gives an error code."""
        self._topic.number, self._partition.number, self._mark.number = topic, partition, mark
        for field, value in zip(self._fields, values, strict=True):
            field.data, field.size = value, len(value)
        error = _produceva_once(client, self._address, self._count)
        if not error:
            return 0
        code = int(_error_code_of(error))
        _error_free(error)
        return code


class BatchProducer:
    """An idempotent producer of records that lie in columns.

    Args:
        config: librdkafka's settings; ``logger`` is left out, logs go to the logger "kafka" as ``reports`` meets them.
        headers: the names of the headers that records have.

    Raises:
        ValueError: a setting that librdkafka does not take.

    """

    def __init__(self, config: Mapping[str, Any], headers: Sequence[str]) -> None:
        error = ctypes.create_string_buffer(512)
        settings = _conf_new()
        for name, value in {**config, "log.queue": True}.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if name != "logger" and _conf_set(settings, name.encode(), text.encode(), error, len(error)):
                raise ValueError(error.value.decode())
        _conf_set_events(settings, DELIVERIES | LOG)
        self._client = _new(PRODUCER, settings, error, len(error))
        if not self._client:
            raise ValueError(error.value.decode())
        _set_log_queue(self._client, None)
        self._queue = _queue_get_main(self._client)
        self._topics: dict[str, int] = {}
        self._names = [ctypes.create_string_buffer(header.encode()) for header in headers]
        self._addresses = np.array([ctypes.addressof(name) for name in self._names], np.uint64)
        self._single, self._plain = _Single(headers), _Single([])
        self.send_columns([], 0, 0, [Pieces.of([])] * (2 + len(headers)), 0)  # has the loops compiled
        _reports(0, 0)

    def __len__(self) -> int:
        """Records that no report has told of yet."""
        return int(_outq_len(self._client)) if self._client else 0

    def send_rows(
        self, segments: Segments, partition: int, mark: int, parts: Sequence[Sequence[bytes]], first: int = 0
    ) -> int:
        """Hand over records from number ``first`` on; how many of all were taken: fewer where the memory is full.

        Args:
            segments: the topics, and how many of the records go to each, in order.
            partition: in each of the topics.
            mark: a number that ``reports`` counts them under.
            parts: values, keys, and each header's values; or values and keys, for records without headers.
            first: number of the first record to send.

        Raises:
            KafkaException: a record cannot be sent; those before it were.

        """
        topics = [handle for topic, count in segments for handle in [self._topic(topic)] * count]
        single = self._single if len(parts) > 2 else self._plain
        for row, record in enumerate(zip(*parts, strict=True)):
            if row >= first:
                code = single.send(self._client, topics[row], partition, mark, record)
                if code:
                    return _taken(row, code)
        return len(topics)

    def send_columns(
        self, segments: Segments, partition: int, mark: int, parts: Sequence[Pieces], first: int = 0
    ) -> int:
        """As ``send_rows``, for many records at once."""
        topics = np.array([self._topic(topic) for topic, _ in segments], np.uint64)
        topics = topics.repeat([count for _, count in segments])
        places = np.array([each.starts + each.data.ctypes.data for each in parts], np.uint64)
        sizes = np.array([each.ends - each.starts for each in parts], np.uint64)
        return _taken(*_produce(self._client, topics, partition, mark, self._addresses, places, sizes, first))

    def reports(self, timeout_s: float = 0.0) -> Reports:
        """What there is to tell of records sent; waits for the first word of it."""
        found = Reports(Counter(), [])
        event = _queue_wait(self._queue, int(timeout_s * 1_000)) if timeout_s else _queue_look(self._queue, 0)
        while event:
            if _event_type(event) == DELIVERIES:
                self._take(event, found)
            elif _event_type(event) == LOG:
                _pass_on(event)
            _event_destroy(event)
            event = _queue_look(self._queue, 0)
        return found

    def close(self) -> None:
        """Drop what is on its way, and end."""
        client, self._client = self._client, None
        for topic in self._topics.values():
            _topic_destroy(topic)
        _queue_destroy(self._queue)
        _destroy(client)

    def _topic(self, topic: str) -> int:
        handle = self._topics.get(topic)
        if handle is None:
            handle = self._topics[topic] = int(_topic_new(self._client, topic.encode(), None))
        return handle

    def _take(self, event: int, found: Reports) -> None:
        for mark, code, topic, count in _reports(event, _event_message_count(event)).T.tolist():
            if code == 0:
                found.confirmed[mark] += count
            else:
                found.failed.append((_topic_name(topic).decode(), KafkaError(code)))


def _taken(row: int, code: int) -> int:
    """The number of the first record that was not taken, if it was for want of memory."""
    if code not in (0, KafkaError._QUEUE_FULL):
        raise KafkaException(KafkaError(code))
    return row


def _pass_on(event: int) -> None:
    facility, text, level = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int()
    _event_log(event, ctypes.byref(facility), ctypes.byref(text), ctypes.byref(level))
    severity = LOG_LEVELS[level.value] if level.value < len(LOG_LEVELS) else logging.DEBUG
    _log.log(severity, "%s %s", (facility.value or b"").decode(), (text.value or b"").decode(errors="replace"))
