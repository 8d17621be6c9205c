"""SIGKILLs while the archive is written and put together lose nothing and double nothing."""

import random
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from infra.archive import tables
from infra.archive_check import damages, holes
from infra.archive_compaction import compact
from processors.replay.sources import archive
from tests.data import ROOT
from tests.faults import archive_writer
from tests.faults.sink_writer import committed

SEED = 20_251_121
KILLS = 25
NEVER = 2**62
LONGEST_WRITE_S = 0.25


class Writer:
    """A writer that has started and waits for its work."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.archive_writer"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def begin(self, folder: Path, seed: int, end: int = NEVER) -> None:
        """Have it write."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{folder} {seed} {end}\n")
        self.process.stdin.flush()
        self.hears("writing")

    def hears(self, word: str) -> None:
        """Wait for a word of it."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if line.strip() == word:
                return
        raise AssertionError(f"a writer ended with {self.process.wait()} by itself")

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.communicate()


def test_kills_while_writing_and_putting_together_lose_and_double_nothing(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    root = tmp_path / "archive"
    doubled = 0
    writer = Writer()
    for number in range(KILLS):
        following = Writer()
        writer.begin(tmp_path, SEED + number)
        writer.hears(rng.choice(["committed", "together"]))
        time.sleep(rng.uniform(0.0, LONGEST_WRITE_S))
        writer.kill()
        rows = sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in root.rglob("*.parquet"))
        whole = offsets(root)
        assert whole == list(range(len(whole))), number
        assert len(whole) >= committed(tmp_path), number
        doubled += rows > len(whole)
        writer = following
    writer.begin(tmp_path, SEED, committed(tmp_path) + 2 * archive_writer.LARGEST)
    assert writer.process.wait() == 0
    writer.process.communicate()
    total = committed(tmp_path)
    found = [record for run in archive.runs(root, "ticks") for _, record in run.records()]
    assert found == [archive_writer.tick(number) for number in range(total)]
    assert [damage for table in tables(root) for damage in damages(root, table)] == []
    assert [hole.missing for hole in holes(root, "ticks", {})] == [[]]
    list(compact(root, "9999-12-31"))
    assert sorted(pl.read_parquet(root / "ticks", columns=["_offset"])["_offset"]) == list(range(total))
    print(f"{KILLS} kills, {doubled} left rows in two files; {total} rows, each there once")
    assert doubled >= 0.1 * KILLS  # else hardly a kill fell where it could have done harm


def offsets(root: Path) -> list[int]:
    """The offsets that reading gives."""
    return [int(offset) for run in archive.runs(root, "ticks") for offset in run.batch.lineage.offset]
