"""The archive gives back each row once and in log order, whatever happened while it was written."""

import dataclasses
import os
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.archive import Archive
from infra import archive as files
from infra.errors import UserError
from processors.replay.replay import Replay, needs
from processors.replay.runs import run_of
from processors.replay.sources import archive as source
from processors.stage import stages
from processors.wiring import plan
from schemas import Clock, Heartbeat, Record, Tick
from schemas.batch import Batch
from schemas.columns import Keys
from tests.processors.replay.replays import replayed, rows, whole
from tests.streams import raw

STREAM = list(raw(seed=23, count=1_500))


def keep(root: Path, records: list[Record], first: int, last: int, partition: int = 0) -> None:
    Archive(root).write([run_of(records[first:last], "ticks", partition, first, Keys()).batch])


def read(root: Path, topic: str = "ticks") -> list[Record]:
    return [record for run in source.runs(root, topic) for _, record in run.records()]


def paths(root: Path) -> list[Path]:
    return sorted(root.rglob("*.parquet"))


def test_a_replay_of_the_archive_equals_one_of_the_records(tmp_path: Path) -> None:
    for first in range(0, len(STREAM), 97):
        keep(tmp_path, STREAM, first, first + 97, partition=2)
    want = replayed([whole(STREAM, partition=2)])
    assert replayed(source.runs(tmp_path, "ticks")) == want
    assert replayed(source.runs(tmp_path, "ticks", needs(plan(stages())["ticks"]))) == want
    assert replayed(source.runs(tmp_path, "ticks"), events=True) == want
    assert "dead_letters 2" in want


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_batches_that_come_again_cut_elsewhere_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    root, first, chance = tmp_path_factory.mktemp("archive"), 0, random.Random(seed)
    stream = STREAM[:300]
    while first < len(stream):
        last = first + chance.randint(1, 80)
        keep(root, stream, first, last)
        uncommitted = chance.random() < 0.6
        first = max(0, first - chance.randint(0, 60)) if uncommitted else last
    assert read(root) == stream


def test_a_record_that_its_writer_repeated_is_replayed_once(tmp_path: Path) -> None:
    (once,) = (batch for batch in Replay(stages()).take(whole(STREAM)) if batch.topic == "emas")
    half = once.only(np.arange(len(once)) >= len(once) // 2)
    later = dataclasses.replace(half.lineage, offset=half.lineage.offset + len(once))
    sink = Archive(tmp_path)
    sink.write([once])
    sink.write([dataclasses.replace(half, lineage=later)])
    assert sum(len(pl.read_parquet(path)) for path in paths(tmp_path)) == len(once) + len(half)
    assert read(tmp_path, "emas") == list(once.tables[0].records(once.keys))


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_crash_before_the_rename_leaves_nothing_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    keep(tmp_path, STREAM, 0, 100)

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os if step == "fsync" else Path, step, die)
        with pytest.raises(Killed):
            keep(tmp_path, STREAM, 100, 200)
    assert list(tmp_path.rglob("*.part"))
    assert read(tmp_path) == STREAM[:100]
    keep(tmp_path, STREAM, 100, 200)
    assert read(tmp_path) == STREAM[:200]


def test_rows_lie_under_the_day_that_event_time_had_reached(tmp_path: Path) -> None:
    day = files.DAY_NS
    clocks: list[Record] = [Clock(event_ns) for event_ns in (day - 2, day + 1, day - 1, 2 * day - 1, 3 * day)]
    keep(tmp_path, clocks, 0, 5)
    assert [path.parent.name for path in paths(tmp_path)] == ["date=1970-01-01", "date=1970-01-02", "date=1970-01-04"]
    assert [path.name for path in paths(tmp_path)] == ["0-0-0.parquet", "0-1-3.parquet", "0-4-4.parquet"]
    assert read(tmp_path) == clocks


def test_files_of_other_days_are_not_opened(tmp_path: Path) -> None:
    day = files.DAY_NS
    clocks: list[Record] = [Clock(number * day + 5) for number in range(6)]
    for number in range(6):
        keep(tmp_path, clocks, number, number + 1)
    for path in paths(tmp_path):
        if path.parent.name in {"date=1970-01-01", "date=1970-01-06"}:
            path.write_bytes(b"junk")
    runs = source.runs(tmp_path, "ticks", selection=source.Selection(2 * day, 3 * day))
    assert [record for run in runs for _, record in run.records()] == clocks[2:3]


def test_a_foreign_file_is_refused_by_name(tmp_path: Path) -> None:
    keep(tmp_path, STREAM, 0, 100)
    (tmp_path / "ticks" / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"notes\.txt: not a folder of the archive"):
        read(tmp_path)
    (tmp_path / "ticks" / "notes.txt").unlink()
    stray = next((tmp_path / "ticks").iterdir()) / "ticks.parquet"
    stray.write_bytes(b"")
    with pytest.raises(UserError, match=r"ticks\.parquet: not a file of the archive"):
        read(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "byte", "renamed", "column"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    keep(tmp_path, [Heartbeat("a:B", number, number, number, 0) for number in range(5_000)], 0, 5_000)
    (path,) = paths(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "byte":
        path.write_bytes(b"PAR1" + bytes(len(data) - 8) + b"PAR1")
    elif damage == "renamed":
        path.rename(path.with_name("0-0-7000.parquet"))
    else:
        pl.read_parquet(path).drop("sequence").write_parquet(path)
    with pytest.raises(UserError, match=r"0-0-\d+\.parquet: (damaged|not a file of the archive)"):
        read(tmp_path)


def test_an_archive_without_the_topic_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no archive of topic emas"):
        read(tmp_path, "emas")


def test_a_long_archive_is_read_in_constant_memory(tmp_path: Path) -> None:
    def ticks(first: int, count: int) -> list[Record]:
        return [
            Tick("a:B", number * 10**6, number * 10**6, 99.0, 101.0, 1.0, 1.0, 100.0, 1.0, "buy", number, number + 1)
            for number in range(first, first + count)
        ]

    def peak(root: Path) -> int:
        tracemalloc.start()
        counted = sum(
            len(batch) for batch in Replay(stages()).over(source.runs(root, "ticks")) if batch.topic == "emas"
        )
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert counted > 0
        return highest

    size = 70_000
    for number in range(8):
        part = ticks(number * size, size)
        for root in [tmp_path / "long"] + [tmp_path / "short"] * (number < 2):
            Archive(root).write([run_of(part, "ticks", 0, number * size, Keys()).batch])
    peak(tmp_path / "short")  # compiles, fills caches
    assert peak(tmp_path / "long") < 1.5 * peak(tmp_path / "short")


def test_topics_of_one_kind_come_back_as_they_were(tmp_path: Path) -> None:
    derived = Replay(stages()).take(whole(STREAM))
    Archive(tmp_path).write(derived)

    def archived() -> Iterator[Batch]:
        for batch in derived:
            for run in source.runs(tmp_path, batch.topic):
                yield run.batch

    assert rows(archived()) == rows(derived)
