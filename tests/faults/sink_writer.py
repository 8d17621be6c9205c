"""Processes to be killed: each writes a made-up log through the ClickHouse sink, on from the last committed offset.

``python -m tests.faults.sink_writer`` is their nursery: for each line ``FOLDER SEED END`` on stdin it forks a writer,
says ``started PID`` and, when it is dead, ``ended STATUS``. So the imports, which are most of a start, are done once;
the database is opened by the writers only, since nothing may fork once it is open.

A writer says ``writing N`` when the sink is open, N being the rows that are stored and not committed. Then it writes
batches of random sizes and commits each as the runner does, after ``write`` has returned, saying ``committed``. It ends
by itself when END is committed.

Offset n of the log of ``ticks`` holds tick n. The log of ``buckets`` was written by a worker that was killed as well:
each hundred of its offsets holds 80 new buckets and the last 20 of them once more.
"""

import os
import random
import sys
from pathlib import Path

from consumers.clickhouse import ClickHouse
from infra.clickhouse import query
from infra.settings import load_settings
from schemas import Bucket, Tick
from schemas.batch import Batch
from schemas.position import Position
from tests.history import batch
from tests.streams import MILLISECOND, NOON, quote

LARGEST = 600


def tick(number: int) -> Tick:
    """Tick ``number``."""
    return quote(f"x:{number % 5}", NOON + number * MILLISECOND, 100.0 + number % 1_000 / 7, trade_id=number)


def bucket(number: int) -> Bucket:
    """Bucket ``number``."""
    mid = 100.0 + number % 1_000 / 7
    return Bucket(f"x:{number % 5}", NOON + number * MILLISECOND, 160, mid, mid, 0.0, number, 0, False, 0)


def bucket_at(offset: int) -> int:
    """Which bucket an offset of the log of buckets holds."""
    hundred, place = divmod(offset, 100)
    return hundred * 80 + (place if place < 80 else place - 20)


def batches(start: int, end: int) -> list[Batch]:
    """Both logs between two offsets."""
    numbers = [bucket_at(offset) for offset in range(start, end)]
    causes = [Position("ticks", 0, number) for number in numbers]
    return [
        batch([tick(offset) for offset in range(start, end)], start),
        batch([bucket(number) for number in numbers], start, positions=causes),
    ]


def committed(folder: Path) -> int:
    """The first offset that is not known to be written."""
    file = folder / "committed"
    return int(file.read_text()) if file.exists() else 0


def write(folder: Path, seed: int, end: int) -> None:
    """Be a writer."""
    rng = random.Random(seed)
    start = committed(folder)
    sink = ClickHouse(load_settings(env_file=None, data_dir=folder))
    stored = query(sink.client, "SELECT count() FROM ticks FINAL WHERE _offset >= {start:Int64}", {"start": start})
    say(f"writing {stored.item()}")
    while start < end:
        coming = batches(start, start + rng.randrange(1, LARGEST))
        sink.write(coming)
        start += len(coming[0])
        temporary = folder / "committing"
        temporary.write_text(str(start))
        os.replace(temporary, folder / "committed")
        say("committed")  # raises where nobody reads any more: no writer outlives its test
    sink.close()


def say(line: str) -> None:
    """Say a line at once."""
    os.write(1, f"{line}\n".encode())


def main() -> None:
    """Be the nursery."""
    while line := sys.stdin.readline():
        folder, seed, end = line.split()
        pid = os.fork()
        if pid == 0:
            write(Path(folder), int(seed), int(end))
            os._exit(0)
        say(f"started {pid}")
        say(f"ended {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


if __name__ == "__main__":
    main()
