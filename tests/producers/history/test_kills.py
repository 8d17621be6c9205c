"""A back-fill that is killed at any moment ends, once run again, complete and as if it had never been disturbed."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import Trade
from tests.producers.history import spot
from tests.producers.history.run import backfill, digest, kept
from tests.producers.history.server import Venue, serve

END = "2025-02-06"
SCRIPT = """
import sys
from pathlib import Path
from producers.history import landing
from tests.producers.history.run import backfill
from tests.producers.history.server import Venue
landing.ROWS = 2_000
venue = Venue()
venue.url = sys.argv[1]
print("filling", flush=True)
run = backfill(venue, Path(sys.argv[2]), end="{end}", workers=3)
sys.exit(0 if run.whole else 1)
"""


@pytest.fixture(scope="module")
def venue() -> Iterator[Venue]:
    """A month, four days of which one lacks some trades, and a day in pages."""
    rows = spot.trades("2025-01-01", 36, 1_500)
    days = [f"2025-02-0{day}" for day in range(1, 5)]
    with serve(Venue()) as found:
        lacking = [row for row in rows if row.number % 49_000 > 40]
        spot.offer(found, lacking, monthly=["2025-01"], daily=days)
        found.rows["BTCUSDT"] = rows
        yield found


def start(venue: Venue, folder: Path) -> "subprocess.Popen[bytes]":
    """Begin a back-fill in a process of its own; what is imported is imported when this returns."""
    command = [sys.executable, "-c", SCRIPT.format(end=END), venue.url, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def kill(process: "subprocess.Popen[bytes]", venue: Venue, requests: int, later_s: float) -> bool:
    """Kill a process some moments after its so many-th request; False where it had ended by then."""
    reached = len(venue.requests) + requests
    while len(venue.requests) < reached and process.poll() is None:
        time.sleep(0.001)
    time.sleep(later_s)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_killed_at_ten_moments_it_ends_complete_and_the_same(venue: Venue, tmp_path: Path) -> None:
    whole = backfill(venue, tmp_path / "undisturbed", end=END)
    assert whole.whole
    assert whole.told == []
    expected = digest(kept(tmp_path / "undisturbed", Trade))
    assert expected[0] == 36 * 1_500
    requests, chance = len(venue.requests), random.Random(20)
    killed = [
        kill(start(venue, tmp_path / "again and again"), venue, chance.randrange(1, 4), chance.uniform(0.0, 0.1))
        for _ in range(5)
    ]
    killed += [
        kill(start(venue, tmp_path / f"once {place}"), venue, chance.randrange(1, requests), chance.uniform(0.0, 0.05))
        for place in range(5)
    ]
    assert sum(killed) >= 8, "killed too late"
    for folder in [tmp_path / "again and again", *tmp_path.glob("once *")]:
        again = backfill(venue, folder, end=END)
        assert again.whole
        assert digest(kept(folder, Trade)) == expected
        assert again.results[0].proof.covered == whole.results[0].proof.covered


def test_one_back_fill_at_a_time_is_at_work_on_a_series(venue: Venue, tmp_path: Path) -> None:
    from infra.errors import UserError
    from producers.history.journal import Journal

    held = Journal(tmp_path)
    with pytest.raises(UserError, match="another back-fill is at work"):
        Journal(tmp_path)
    held.close()
    Journal(tmp_path).close()


def test_a_torn_last_line_of_a_journal_counts_as_not_there(tmp_path: Path) -> None:
    from producers.history.journal import NAME, Journal
    from producers.history.parts import Part

    journal = Journal(tmp_path)
    part = Part("daily", "2025-01-01", "", 0, 1, None, 0, 0, [], [])
    journal.add(part)
    journal.close()
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"type":"part","source":"da')
    again = Journal(tmp_path)
    assert again.parts == [part]
    again.add(part)
    again.close()
    assert Journal(tmp_path).parts == [part, part]
