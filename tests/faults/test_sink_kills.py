"""A hundred SIGKILLs while the sink writes lose nothing and double nothing."""

import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from infra.clickhouse import connect, query
from infra.settings import load_settings
from tests.data import ROOT
from tests.faults import sink_writer
from tests.waiting import PATIENCE_S

SEED = 20_251_125
KILLS = 100
LANES = 2  # databases written, and killed, side by side
COMMITS = 4  # a writer is killed after fewer
LONGEST_WRITE_S = 0.15
NEVER = 2**62


class Nursery:
    """Starts writers one after the other; hears what they say."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process, self._folder = process, folder
        self._said: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, seed: int, end: int = NEVER) -> int:
        """Start a writer; its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self._folder} {seed} {end}\n")
        self._process.stdin.flush()
        return int(self.hears("started", PATIENCE_S).removeprefix("started "))

    def hears(self, word: str, timeout_s: float) -> str:
        """The next line that begins with a word; the empty text where it does not come in time."""
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            try:
                line = self._said.get(timeout=left)
            except queue.Empty:
                return ""
            if line.startswith(word):
                return line
            assert word == "ended" or not line.startswith("ended"), f"a writer {line} by itself"
        return ""

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line.strip())


@contextmanager
def nursery(folder: Path) -> Iterator[Nursery]:
    command = [sys.executable, "-m", "tests.faults.sink_writer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield Nursery(process, folder)
        finally:
            process.kill()


def kill_again_and_again(folder: Path, seed: int, kills: int) -> tuple[int, int]:
    """Kill writers at random moments, some before they write: how many wrote, and how many left rows uncommitted."""
    rng = random.Random(seed)
    folder.mkdir()
    writing = uncommitted = 0
    with nursery(folder) as writers:
        for number in range(kills):
            pid = writers.start(seed + number)
            began = writers.hears("writing", rng.uniform(0.0, 1.0) if rng.random() < 0.1 else PATIENCE_S)
            for _ in range(rng.randrange(COMMITS) if began else 0):
                assert writers.hears("committed", PATIENCE_S)
            time.sleep(rng.uniform(0.0, LONGEST_WRITE_S))
            os.kill(pid, signal.SIGKILL)
            assert writers.hears("ended", PATIENCE_S) == f"ended {-signal.SIGKILL}"
            writing += bool(began)
            uncommitted += began not in ("", "writing 0")
        reached = sink_writer.committed(folder)
        writers.start(seed, reached + 2 * sink_writer.LARGEST)  # past all that was written and not committed
        assert writers.hears("ended", PATIENCE_S) == "ended 0"
    return writing, uncommitted


def test_a_hundred_kills_while_writing_lose_and_double_nothing(tmp_path: Path) -> None:
    folders = [tmp_path / str(lane) for lane in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        seeds = [SEED + 1_000 * lane for lane in range(LANES)]
        found = list(pool.map(kill_again_and_again, folders, seeds, [KILLS // LANES] * LANES))
    writing, uncommitted = (sum(numbers) for numbers in zip(*found, strict=True))
    rows = [compare(folder) for folder in folders]
    print(f"{KILLS} kills: {writing} while writing, {uncommitted} left rows uncommitted; {rows} rows, each there once")
    assert writing >= 0.8 * KILLS
    assert uncommitted >= 0.1 * KILLS  # else hardly a kill fell between a write and its commit, and little was shown


def compare(folder: Path) -> int:
    """Hold the tables against the logs up to the last commit; how many rows there are."""
    total = sink_writer.committed(folder)
    client = connect(load_settings(env_file=None, data_dir=folder))
    ticks = query(client, "SELECT trade_id, toInt64(_offset), price FROM ticks FINAL ORDER BY trade_id").rows()
    numbers = query(client, "SELECT ticks FROM buckets FINAL ORDER BY ticks")["ticks"].to_list()
    client.close()
    assert ticks == [(number, number, sink_writer.tick(number).price) for number in range(total)]
    assert numbers == sorted({sink_writer.bucket_at(offset) for offset in range(total)})
    return len(ticks) + len(numbers)
