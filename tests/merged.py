"""What a merged log holds, and what it has to hold."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from confluent_kafka import Message

from infra.settings import Settings
from schemas.position import LOG_HEADER, POSITION_HEADER, Position, Seen, header_value, position_of
from tests.live import read

Logs = dict[str, list["Copied"]]  # by log


class Copied(NamedTuple):
    """All of a record that its copy must have, too."""

    position: bytes
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]  # without those that a copy may add


def originals(settings: Settings, topics: Collection[str], keys: Collection[bytes]) -> Logs:
    """The records of some topics and keys, without repeats."""
    found: Logs = defaultdict(list)
    for topic in topics:
        for place, messages in enumerate(read(settings, topic)):
            seen = Seen()
            for message in messages:
                own = Position(topic, place, message.offset() or 0)
                position = Position.parse(header_value(_headers(message), POSITION_HEADER) or own.header())
                if message.key() in keys and seen.is_new((topic, place), position):
                    found[f"{topic}:{place}"].append(_copied(message, position))
    return dict(found)


def copies(settings: Settings) -> tuple[Logs, int]:
    """The copies in the merged log by the log they were read from, without repeats, and how many those were."""
    found: Logs = defaultdict(list)
    seen, repeats = Seen(), 0
    for place, messages in enumerate(read(settings, "merges")):
        for message in messages:
            headers = _headers(message)
            log = header_value(headers, LOG_HEADER)
            position = position_of(headers, ("merges", place), message.offset() or 0)
            if not seen.is_new(("merges", place), position):
                repeats += 1
            elif log is not None:
                own = Position.parse(header_value(headers, POSITION_HEADER) or b"")
                found[log.decode()].append(_copied(message, own))
    return dict(found), repeats


def has_log(message: Message) -> bool:
    """Whether a record of a merged log is a copy."""
    return header_value(_headers(message), LOG_HEADER) is not None


def _copied(message: Message, position: Position) -> Copied:
    headers = tuple(pair for pair in _headers(message) if pair[0] not in (LOG_HEADER, POSITION_HEADER))
    key: Any = message.key()
    value: Any = message.value()
    return Copied(position.header(), key, value or b"", headers)


def _headers(message: Message) -> Any:
    return message.headers() or []
