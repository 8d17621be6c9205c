"""The commands over an archive as a user calls them: what is there, put together, and what is wrong is told."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from consumers.archive import Archive
from consumers.archive_command import app
from infra.errors import UserError
from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings
from processors.replay.runs import run_of
from processors.replay.sources import archive
from schemas import Bucket, Clock, DeadLetter, Record
from schemas.columns import Keys
from schemas.position import Position
from tests.history import batch
from tests.streams import MILLISECOND, NOON, quote


def ticks(first: int, last: int) -> list[Record]:
    return [
        quote(f"x:{number % 3}", NOON + number * MILLISECOND, 100.0, trade_id=number) for number in range(first, last)
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An archive of 30 files of ticks, with clocks between them."""
    sink = Archive(tmp_path)
    for first in range(0, 600, 20):
        records = [*ticks(first, first + 19), Clock(NOON + (first + 19) * MILLISECOND)]
        sink.write([run_of(records, "ticks", 1, first, Keys()).batch])
    return tmp_path


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_what_is_there_is_listed_before_and_after_it_is_put_together(root: Path) -> None:
    def listed() -> list[dict[str, object]]:
        return [json.loads(line) for line in call("ls", "--file", root, "--json").splitlines()]

    before = listed()
    assert [(day["table"], day["files"], day["fresh"], day["rows"]) for day in before] == [
        ("clocks", 30, 30, 30), ("ticks", 30, 30, 570)
    ]  # fmt: skip
    assert (before[1]["first_ns"], before[1]["last_ns"]) == (NOON, NOON + 598 * MILLISECOND)
    assert "60 files to 4, 600 rows" in call("compact", "--file", root)
    assert [(day["keys"], day["files"], day["fresh"], day["rows"]) for day in listed()] == [
        (1, 1, 0, 30), (3, 3, 0, 570)
    ]  # fmt: skip
    assert "0 files to 0" in call("compact", "--file", root)
    assert "570" in call("ls", "ticks", "--file", root)


def test_an_archive_that_is_whole_is_found_so(root: Path) -> None:
    told = call("verify", "--offline", "--file", root)
    assert "ticks 1: offsets 0 to 599, 600 rows" in told
    assert "every file is whole, no log has a hole" in told
    call("compact", "--file", root)
    assert "every file is whole, no log has a hole" in call("verify", "--offline", "--file", root)


def test_a_batch_that_came_twice_is_told_and_no_damage(root: Path) -> None:
    Archive(root).write([run_of(ticks(5, 15), "ticks", 1, 5, Keys()).batch])
    assert "600 rows, 10 of them in two files" in call("verify", "--offline", "--file", root)


def test_a_hole_is_told_unless_its_records_were_refused(root: Path) -> None:
    Archive(root).write([run_of(ticks(0, 20), "ticks", 1, 610, Keys()).batch])
    assert "10 offsets missing in 1 holes: 600-609" in call("verify", "--offline", "--file", root)
    letters = [DeadLetter("ticks", NOON, 1, offset, "codec", "bad", b"", b"", 0, 0) for offset in range(600, 610)]
    Archive(root).write([run_of(letters, "dead_letters", 1, 0, Keys()).batch])
    told = call("verify", "--offline", "--file", root)
    assert "10 refused as unreadable" in told
    assert "no log has a hole" in told


@pytest.mark.parametrize("damage", ["cut", "renamed", "elsewhere"])
@pytest.mark.parametrize("together", [False, True], ids=["fresh", "by key"])
def test_a_damaged_file_is_named_and_ends_with_1(root: Path, damage: str, together: bool) -> None:
    if together:
        call("compact", "--file", root)
    path = sorted((root / "ticks").rglob("*.parquet"))[1]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "renamed":
        path = path.rename(path.with_name("1-3-9999.parquet"))
    else:
        day = root / "ticks" / "date=2001-01-01"
        day.mkdir()
        path = path.rename(day / path.name)
    told = call("verify", "--offline", "--file", root, code=1)
    assert f"{path}: " in told.replace("\n", "")
    assert "1 files are damaged" in told


def test_a_flipped_bit_is_noticed_where_it_changes_a_row(root: Path) -> None:
    path = sorted((root / "ticks").rglob("*.parquet"))[0]
    data, chance = path.read_bytes(), np.random.default_rng(1)
    want = [record for run in archive.runs(root, "ticks") for _, record in run.records()]
    for place in chance.integers(4, len(data) // 2, 40).tolist():
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        result = CliRunner().invoke(app, ["verify", "--offline", "--file", str(root)])
        try:
            found = [record for run in archive.runs(root, "ticks") for _, record in run.records()]
        except UserError:
            found = None
        assert result.exit_code == 1 or found == want, place


def test_holes_are_explained_by_what_kafka_has_there(live: Settings, tmp_path: Path) -> None:
    written = ticks(0, 40)
    causes = [Position("ticks", 0, offset) for offset in (*range(30), *range(20, 30))]
    with Publisher(live, codec(live)) as publisher:
        for record in written:
            publisher.publish(record, partition=0)
        publisher.publish_raw("ticks", b"junk", b"x", 0)
        for number, cause in enumerate(causes):
            publisher.publish(
                Bucket("x:1", NOON + number, 160, 1.0, 1.0, 0.0, 1, 0, False, 0), partition=1, position=cause
            )
    sink, keys = Archive(tmp_path), Keys()

    def kept(first: int, last: int) -> None:
        sink.write([run_of(written[first:last], "ticks", 0, first, keys).batch])

    kept(0, 10)
    kept(15, 40)
    sink.write([run_of(ticks(0, 1), "ticks", 0, 60, keys).batch])
    buckets = [Bucket("x:1", NOON + number, 160, 1.0, 1.0, 0.0, 1, 0, False, 0) for number in range(30)]
    sink.write([batch(buckets, 0, 1, causes[:30]), batch(buckets[:1], 40, 1, [Position("ticks", 0, 99)])])
    environment = {"TIDEMILL_BROKERS": live.brokers, "TIDEMILL_TOPIC_PREFIX": live.topic_prefix}
    arguments = ["verify", "--file", str(tmp_path)]
    result = CliRunner().invoke(app, arguments, env=environment, catch_exceptions=False)
    assert "ticks 0: 10-14: 5 in Kafka and not in the archive" in result.output
    assert "ticks 0: 40-59: 19 gone from Kafka, 1 unreadable" in result.output
    assert "buckets 1: 30-39: 10 repeats of their writer" in result.output
    assert result.exit_code == 1
    kept(10, 15)
    assert CliRunner().invoke(app, arguments, env=environment, catch_exceptions=False).exit_code == 0


def test_no_archive_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no archive"):
        call("ls", "--file", tmp_path / "nowhere")
    with pytest.raises(UserError, match="no archive of emas"):
        call("ls", "emas", "--file", tmp_path)
