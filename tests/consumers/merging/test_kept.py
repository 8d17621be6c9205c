"""What sinks make of a merged log: the archive keeps it whole and replays it, the history leaves the copies out."""

from pathlib import Path
from typing import Any

import pytest

from consumers.archive import Archive
from consumers.clickhouse import ClickHouse
from infra.clickhouse import query
from infra.settings import load_settings
from processors.replay.replay import Replay, needs
from processors.replay.runs import Run, run_of
from processors.replay.sources import archive
from processors.replay.tape import Tape
from processors.stage import Stage, name, stages
from schemas import Merge, Record, Tick
from schemas.columns import Keys
from tests.conformance.test_stages import merged
from tests.streams import NOON

EXECUTORS = [stage for stage in stages() if stage.log is not None]


def records(count: int = 300) -> list[Record]:
    return [Merge(NOON, "ticks,books", ""), *merged(7, count)]


def whole(given: list[Record]) -> Run:
    return run_of(given, "merges", 2, 0, Keys())


def digests(stage: type[Stage[Any, Any]], runs: list[Run]) -> dict[str, str]:
    tape = Tape()
    for batch in Replay([stage]).over(runs):
        tape.add(batch)
    return tape.digests()


@pytest.mark.parametrize("stage", EXECUTORS, ids=name)
def test_the_archive_replays_a_merged_log_as_it_was(stage: type[Stage[Any, Any]], tmp_path: Path) -> None:
    run = whole(records())
    sink = Archive(tmp_path)
    third = len(run.batch) // 3
    sink.write([run.batch.part(0, 2 * third)])
    sink.write([run.batch.part(third, len(run.batch))])  # as after a crash between writing and committing
    sink.close()
    kept = list(archive.runs(tmp_path, "merges", needs([stage])))
    assert digests(stage, kept) == digests(stage, [run])
    assert not archive.holds(tmp_path, "ticks")


def test_the_history_keeps_marks_of_a_merged_log_and_no_copies(tmp_path: Path) -> None:
    sink = ClickHouse(load_settings(env_file=None, data_dir=tmp_path))
    given = records(50)
    assert any(isinstance(record, Tick) for record in given)
    sink.write([whole(given).batch])
    counts = {table: query(sink.client, f"SELECT count() FROM {table}").rows()[0][0] for table in ("merges", "ticks")}
    sink.close()
    assert counts == {"merges": 1, "ticks": 0}
