"""Sinks on a broker: everything kept once, whatever fails between writing and committing."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from consumers.archive import Archive
from consumers.runner import Limits, Runner
from infra.errors import UserError
from infra.publisher import Publisher
from infra.settings import Settings
from processors.replay.sources import archive
from processors.replay.sources.kafka import Reading
from schemas import DeadLetter, Ema, Record
from schemas.batch import Batch
from schemas.codec import Codec
from schemas.position import Position
from tests.data import ROOT
from tests.streams import raw
from tests.waiting import PATIENCE_S, until

STREAM = list(raw(seed=3, count=1_200))
LIMITS = Limits(records=300, seconds=0.2)


class Broken(Exception):
    pass


class Breaking:
    """An archive that fails after some of its writes, when the rows are there and nothing is committed."""

    name = "archive"

    def __init__(self, root: Path, after: int, limit: int = 0) -> None:
        self.inner, self.left, self.seen, self.limit = Archive(root), after, 0, limit

    def write(self, batches: Sequence[Batch]) -> None:
        self.inner.write(batches)
        self.seen += sum(map(len, batches))
        self.left -= 1
        if self.left == 0:
            raise Broken

    def close(self) -> None:
        self.inner.close()


def publish(settings: Settings, records: Sequence[Record]) -> None:
    with Publisher(settings, Codec()) as publisher:
        for record in records:
            publisher.publish(record, partition=1)


def run_until(runner: Runner, done: Callable[[], bool]) -> list[BaseException]:
    """Run a sink until something is so; what it raised."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            runner.run()
        except Broken as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: done() or bool(failures))
    runner.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    return failures


def archived(root: Path, topic: str) -> list[Record]:
    return [record for run in archive.runs(root, topic) for _, record in run.records()]


def test_what_was_written_and_not_committed_comes_again_and_is_kept_once(live: Settings, tmp_path: Path) -> None:
    publish(live, STREAM)
    root = tmp_path / "archive"
    broken = Breaking(root, after=2)
    assert run_until(Runner(live, Codec(), broken, limits=LIMITS), lambda: False)
    assert 0 < broken.seen < len(STREAM) + 300
    good = Breaking(root, after=0)
    runner = Runner(live, Codec(), good, limits=LIMITS)
    assert run_until(runner, lambda: broken.seen + good.seen >= len(STREAM) + 1 or runner.written >= len(STREAM)) == []
    assert broken.seen + good.seen > len(STREAM)
    assert archived(root, "ticks") == STREAM


def test_repeated_derived_records_are_kept_once_and_junk_is_told(live: Settings, tmp_path: Path) -> None:
    emas = [Ema("a:B", number, 4_800, 0.1, 0.0, number, 100.0, False, 0) for number in range(5)]
    with Publisher(live, Codec()) as publisher:
        for number in (0, 1, 2, 1, 2, 3, 4):
            publisher.publish(emas[number], partition=0, position=Position("ticks", 0, 10 + number))
        publisher.publish_raw("emas", b"junk", b"a:B", 0)
        publisher.publish_raw("ticks", b"junk", b"a:B", 0)
        publisher.publish_raw("emas", b"\\0\\0\\0\\0\\7", b"a:B", 0, [("tidemill-position", b"no position")])
    root = tmp_path / "archive"
    runner = Runner(live, Codec(), Archive(root), judged={"ticks"}, limits=LIMITS)
    assert run_until(runner, lambda: runner.written >= 10 + 2) == []
    assert archived(root, "emas") == emas
    letters = [letter for letter in archived(root, "dead_letters") if isinstance(letter, DeadLetter)]
    assert [(letter.source, letter.offset, letter.payload) for letter in letters] == [
        ("emas", 7, b"junk"),
        ("emas", 8, b"\\0\\0\\0\\0\\7"),
    ]


def test_kafka_is_read_to_what_was_there_at_the_start(live: Settings) -> None:
    publish(live, STREAM[:500])
    reading = Reading(live, Codec(), "ticks")
    assert reading.total == 500
    publish(live, STREAM[500:600])
    runs = list(reading.runs())
    assert [record for run in runs for _, record in run.records()] == STREAM[:500]
    assert {run.batch.partition for run in runs} == {1}
    part = Reading(live, Codec(), "ticks", {1: (100, 250)})
    assert [record for run in part.runs() for _, record in run.records()] == STREAM[100:250]
    rest = Reading(live, Codec(), "ticks", {1: (550, None)})
    assert [record for run in rest.runs() for _, record in run.records()] == STREAM[550:600]


def test_junk_in_kafka_keeps_its_bytes_for_the_dead_letter(live: Settings) -> None:
    with Publisher(live, Codec()) as publisher:
        publisher.publish_raw("ticks", b"junk", b"a:B", 2)
    (run,) = Reading(live, Codec(), "ticks").runs()
    assert [item.row for item in run.unreadable] == [0]
    assert run.raw([0]) == [(b"a:B", b"junk")]


@pytest.mark.parametrize("offsets", [{9: (0, None)}, {1: (5, None)}])
def test_stretches_that_are_not_there_are_refused(live: Settings, offsets: dict[int, tuple[int, int | None]]) -> None:
    with pytest.raises(UserError, match="--offsets: "):
        Reading(live, Codec(), "ticks", offsets)


def test_the_command_keeps_what_is_there_and_ends_well_when_told_to(live: Settings) -> None:
    publish(live, STREAM)
    own = {"BROKERS": live.brokers, "TOPIC_PREFIX": live.topic_prefix, "GROUP": live.group}
    environment = os.environ | {f"TIDEMILL_{name}": value for name, value in own.items()}
    environment["TIDEMILL_DATA_DIR"] = str(live.data_dir)
    process = subprocess.Popen([sys.executable, "-m", "consumers", "archive"], env=environment, cwd=ROOT)
    root = live.data_dir / "archive"
    try:
        until(lambda: any(root.rglob("*.parquet")) and len(archived(root, "ticks")) == len(STREAM), every_s=0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
    assert archived(root, "ticks") == STREAM


def test_a_signal_that_another_thread_has_taken_ends_the_sinks() -> None:
    code = """
import signal, threading, time
from consumers.__main__ import run_all

class Sink:
    written = 0
    over = threading.Event()
    def run(self):
        time.sleep(0.5)  # the main thread waits by now
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        self.over.wait()
    def stop(self):
        self.over.set()

run_all([Sink()])
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=PATIENCE_S, check=True)
