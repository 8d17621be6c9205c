"""Live runs on a broker: workers as processes of their own, what they wrote, and what they had to write."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import confluent_kafka
from confluent_kafka import Message, TopicPartition

from infra.broker import consumer_config, full_name, partitions
from infra.publisher import Publisher
from infra.settings import Settings
from processors.chain import EventChain
from processors.live.encoding import Source, dead_letters, refused
from processors.live.worker import warm
from processors.stage import stages, writes
from processors.wiring import plan, usual
from schemas import Record, Rejected
from schemas.codec import Codec
from schemas.position import Log, Position, Seen, position_of
from tests.data import ROOT
from tests.waiting import PATIENCE_S, until

CHAINS = plan(usual(stages()))
DERIVED = tuple(sorted({record.topic for stage in usual(stages()) for record in writes(stage)} | {"dead_letters"}))
POISON = (b"", b"junk", b"\x00\x00\x00\x03\xe7nothing", b"\x00\x00\x00\x00\x0b\x10x", None)
CODEC = Codec()


class Entry(NamedTuple):
    """A derived record: all of it that must be the same live and replayed."""

    partition: int
    position: bytes
    key: bytes
    value: bytes


class Workers:
    """Worker processes on the topics of some settings; a context manager that leaves none behind."""

    def __init__(self, settings: Settings, folder: Path, **overrides: object) -> None:
        self._settings, self._folder = settings, folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        given = settings.model_dump(include={"brokers", "topic_prefix", "group", "partitions"}, exclude_none=True)
        given |= {"checkpoint_interval_ms": 200, "session_timeout_ms": 6_000, **overrides}
        self._environment = {f"TIDEMILL_{name.upper()}": str(value) for name, value in given.items()}

    def __enter__(self) -> "Workers":
        for topic, chain in CHAINS.items():  # or every worker compiles for itself
            warm(topic, chain, {}, CODEC)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def start(self, name: str, *arguments: str, **overrides: object) -> "subprocess.Popen[bytes]":
        """Start a worker under a name; its log is added to the name's file."""
        more = {f"TIDEMILL_{key.upper()}": str(value) for key, value in overrides.items()}
        command = [sys.executable, "-m", "processors", "--instance", name, *arguments]
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **self._environment, **more}, stdout=log, stderr=log
            )
        return self._running[name]

    def ready(self, name: str) -> None:
        """Wait until a worker has taken over partitions."""
        self.wait_for(name, "partitions taken over")

    def wait_for(self, name: str, words: str) -> None:
        """Wait until a worker has told something."""

        def has_told() -> bool:
            assert self._running[name].poll() is None, self.told(name)[-4_000:]
            return words in self.told(name)

        until(has_told, lambda: self.told(name))

    def kill(self, name: str) -> None:
        """End a worker as kill -9 does."""
        assert self._running[name].poll() is None, self.told(name)
        self._running[name].kill()
        self._running[name].wait()

    def stop(self, name: str) -> int:
        """End a worker with SIGTERM; its exit code."""
        self._running[name].send_signal(signal.SIGTERM)
        return self._running[name].wait(PATIENCE_S)

    def log(self, name: str) -> Path:
        """The file with what a worker has printed."""
        return self._folder / f"worker-{name}.log"

    def told(self, name: str) -> str:
        """What a worker has printed."""
        return self.log(name).read_text()

    def alive(self) -> None:
        """Fail where a worker has ended by itself."""
        for name, process in self._running.items():
            assert process.poll() in (None, -signal.SIGKILL, 0), f"{name}: {process.poll()}\n{self.told(name)[-4_000:]}"


class Process:
    """A tidemill command that can be killed and started again; a context manager that leaves none behind."""

    def __init__(self, settings: Settings, *arguments: str) -> None:
        given = {
            "TIDEMILL_BROKERS": settings.brokers,
            "TIDEMILL_TOPIC_PREFIX": settings.topic_prefix,
            "TIDEMILL_GROUP": settings.group,
            "TIDEMILL_DATA_DIR": str(settings.data_dir),
            "TIDEMILL_WORKER_ID": "one",
        }
        self._environment = os.environ | given
        self._command = [sys.executable, "-m", "infra.cli", *arguments]
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self._log = settings.data_dir / f"{arguments[0]}.log"
        self.start()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._running.kill()
        self._running.wait()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self._running.poll() is None, self.told()[-4_000:]
        self._running.kill()
        self._running.wait()

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until it has told something, so many times since it was first started."""

        def has_told() -> bool:
            assert self._running.poll() is None, self.told()[-4_000:]
            return self.told().count(words) >= times

        until(has_told, self.told)

    def told(self) -> str:
        """What it has printed."""
        return self._log.read_text()

    def stop(self) -> None:
        self._running.terminate()
        assert self._running.wait(PATIENCE_S) == 0, self.told()[-4_000:]


def write(settings: Settings, records: Sequence[Record], seed: int, seconds: float = 0.0) -> Iterator[int]:
    """Write records, with poison among them, in some seconds; yields how many are out, now and then."""
    chance = random.Random(seed)
    began = time.monotonic()
    with Publisher(settings, CODEC) as publisher:
        for number, record in enumerate(records):
            publisher.publish(record)
            if chance.random() < 0.01:
                place = chance.randrange(partitions(settings, record.topic))
                publisher.publish_raw(record.topic, chance.choice(POISON), b"x:a", place)
            if number % 50 == 0:
                publisher.poll()
                time.sleep(max(0.0, began + seconds * number / len(records) - time.monotonic()))
                yield number


def read(settings: Settings, topic: str) -> list[list[Message]]:
    """All records of a topic, by partition."""
    client = confluent_kafka.Consumer(consumer_config(settings, f"{settings.group}-look"))
    with contextlib.closing(client):
        return [_partition(client, full_name(settings, topic), place) for place in range(partitions(settings, topic))]


def _partition(client: confluent_kafka.Consumer, topic: str, place: int) -> list[Message]:
    """All that a partition holds now; what is written meanwhile is left out, for it may never stop."""
    low, high = bounds(client, TopicPartition(topic, place))
    client.assign([TopicPartition(topic, place, low)])
    found: list[Message] = []
    while low < high:
        for message in client.consume(10_000, 0.1):
            if message.error() is not None:
                raise confluent_kafka.KafkaException(message.error())
            low = (message.offset() or 0) + 1
            if low <= high:
                found.append(message)
    return found


def bounds(client: confluent_kafka.Consumer, place: TopicPartition) -> tuple[int, int]:
    """The first offset and the end; a broker that has just come back may not lead its partitions yet."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            low, high = client.get_watermark_offsets(place, timeout=60.0)
        except confluent_kafka.KafkaException:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return low, high


def new(settings: Settings, topic: str) -> tuple[list[Entry], int]:
    """The derived records of a topic without re-deliveries, and how many those were."""
    found: list[Entry] = []
    seen, repeated = Seen(), 0
    for place, messages in enumerate(read(settings, topic)):
        for message in messages:
            headers = message.headers()
            position = position_of(headers, (topic, place), message.offset() or 0)  # type: ignore[arg-type]
            if seen.is_new((topic, place), position):
                found.append(Entry(place, position.header(), message.key() or b"", message.value() or b""))
            else:
                repeated += 1
    return sorted(found, key=_log), repeated


def expected(settings: Settings) -> dict[str, list[Entry]]:
    """What the source logs must give: each partition through ``on_event``, one record after the other."""
    found: dict[str, list[Entry]] = {topic: [] for topic in DERIVED}
    for topic, chain in CHAINS.items():
        for place, messages in enumerate(read(settings, topic)):
            running = EventChain(chain)
            for message in messages:
                _derive(running, (topic, place), message, found)
    return {topic: sorted(entries, key=_log) for topic, entries in found.items()}


def _log(entry: Entry) -> tuple[int, bytes]:
    """Partition and source of a record: those of different sources may come in any order."""
    return entry.partition, entry.position.partition(b":")[0]


def _derive(chain: EventChain, log: Log, message: Message, found: dict[str, list[Entry]]) -> None:
    source = Source(message.offset() or 0, message.timestamp()[1], message.key(), message.value())
    try:
        derived, rejections = chain.on_event(CODEC.decode(source.value))
        refusals = refused([], rejections)
    except Rejected as error:
        derived, refusals = [], refused([(0, str(error))], [])
    letters: list[Record] = [letter for _, letter in dead_letters(refusals, *log, lambda _: source)]
    counts: Counter[str] = Counter()
    for record in [*derived, *letters]:
        position = Position(*log, source.offset, counts[record.topic])
        counts[record.topic] += 1
        key = record.key.encode()
        found[record.topic].append(Entry(log[1], position.header(), key, CODEC.encode(record)))


def wait_for(settings: Settings, workers: Workers) -> dict[str, int]:
    """Wait until the derived topics hold what they must, and check it; the re-deliveries of each."""
    wanted = expected(settings)
    repeats: dict[str, int] = {}
    for topic in DERIVED:
        found, repeats[topic] = new(settings, topic)
        end = time.monotonic() + PATIENCE_S
        while len(found) < len(wanted[topic]) and time.monotonic() < end:
            workers.alive()
            time.sleep(0.3)
            before = len(found)
            found, repeats[topic] = new(settings, topic)
            if len(found) > before:
                end = time.monotonic() + PATIENCE_S
        assert len(found) == len(wanted[topic]), f"{topic}: {len(found)} records, {len(wanted[topic])} expected"
        for number, pair in enumerate(zip(found, wanted[topic], strict=True)):
            assert pair[0] == pair[1], f"{topic}: record {number} of {len(found)}"
    return repeats


def sink_lag(settings: Settings) -> int:
    """How many records of ticks and buckets the sink has not committed."""
    own = settings.model_copy(update={"worker_id": ""})
    names = [full_name(settings, topic) for topic in ("ticks", "buckets")]
    places = [TopicPartition(name, number) for name in names for number in range(partitions(settings, "ticks"))]
    with contextlib.closing(confluent_kafka.Consumer(consumer_config(own, f"{settings.group}-clickhouse"))) as client:
        ends = [bounds(client, place)[1] for place in places]
        done = [max(place.offset, 0) for place in client.committed(places, timeout=60.0)]
    return sum(ends) - sum(done)
