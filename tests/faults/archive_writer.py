"""A process to be killed: it writes a made-up log into the archive, on from the last committed offset.

``python -m tests.faults.archive_writer`` waits for a line ``FOLDER SEED END`` on stdin, so that its start can be over
before it is wanted, and says ``writing``. Then it writes batches of random sizes and commits each as the runner does,
after ``write`` has returned, saying ``committed``; it ends by itself when END is committed. Meanwhile a thread puts the
files of the days before together by key, and those of the day into larger ones, without a pause, saying ``together``
for each. Offset n holds tick n; a day has DAY of them.
"""

import os
import random
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from consumers.archive import Archive
from infra import archive_compaction
from schemas import Tick
from tests.faults.sink_writer import committed, say
from tests.history import batch
from tests.streams import NOON, SECOND, quote

LARGEST = 300
DAY = 2_000


def tick(number: int) -> Tick:
    """Tick ``number``."""
    return quote(f"x:{number % 5}", NOON + number * 86_400 // DAY * SECOND, 100.0 + number % 1_000 / 7, trade_id=number)


def date_of(number: int) -> str:
    """The date under which tick ``number`` is kept."""
    return datetime.fromtimestamp(tick(number).event_ns // SECOND, UTC).strftime("%Y-%m-%d")


def write(folder: Path, seed: int, end: int) -> None:
    """Be a writer."""
    rng = random.Random(seed)
    archive_compaction.MANY = 4  # as a long day would have
    reached, over = committed(folder), threading.Event()
    sink = Archive(folder / "archive")

    def put_together() -> None:
        while not over.is_set():
            for _ in archive_compaction.compact(sink.root, date_of(reached), over.is_set):
                say("together")
            over.wait(0.01)

    thread = threading.Thread(target=put_together, daemon=True)
    thread.start()
    say("writing")
    while reached < end:
        last = reached + rng.randrange(1, LARGEST)
        sink.write([batch([tick(offset) for offset in range(reached, last)], reached)])
        reached = last
        temporary = folder / "committing"
        temporary.write_text(str(reached))
        os.replace(temporary, folder / "committed")
        say("committed")  # raises where nobody reads any more: no writer outlives its test
    over.set()
    thread.join()


if __name__ == "__main__":
    given = sys.stdin.readline().split()
    write(Path(given[0]), int(given[1]), int(given[2]))
