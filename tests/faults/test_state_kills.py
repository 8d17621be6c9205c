"""Twenty SIGKILLs of an updater at random moments: every state that they leave can be read, and the last is right."""

import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consumers.synth.state import load, place
from consumers.synth.tracking import parameters
from processors.online.synth_assets import ASSETS
from tests.consumers.synth.venues import Minutes, ended
from tests.data import ROOT
from tests.faults.state_updater import FIRST, LAST
from tests.producers.history.server import Venue, serve
from tests.waiting import PATIENCE_S

SEED = 20_261_121
KILLS = 20
MOST = 200  # minutes that an updater may go on before it is killed
BTC = ASSETS["BTC"]


class Nursery:
    """Starts updaters one after the other; hears what they say."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._said: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, folder: Path, minute: int, step: int, most: int) -> int:
        """Start an updater; its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder} {minute} {step} {most}\n")
        self._process.stdin.flush()
        return int(self.hears("started").removeprefix("started "))

    def hears(self, word: str) -> str:
        """The next line that begins with a word."""
        while not (line := self._said.get(timeout=PATIENCE_S)).startswith(word):
            assert word == "ended" or not line.startswith("ended"), f"an updater {line} by itself"
        return line

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line.strip())
        self._said.put("ended, the nursery too")


@contextmanager
def nursery(url: str) -> Iterator[Nursery]:
    command = [sys.executable, "-m", "tests.faults.state_updater", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield Nursery(process)
        finally:
            process.kill()


def finish(updaters: Nursery, folder: Path, minute: int) -> bytes:
    """Let an updater come to the last minute; the state that it leaves."""
    updaters.start(folder, minute, MOST, LAST)
    assert updaters.hears("ended") == "ended 0"
    return place(folder, "BTC").read_bytes()


def test_twenty_kills_leave_readable_states_and_end_as_if_there_had_been_none(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    reached: list[int] = []
    partial = 0
    with serve(Minutes().serve(Venue())) as venue, nursery(venue.url) as updaters:
        for number in range(KILLS):
            minute = FIRST + MOST * number
            pid = updaters.start(tmp_path, minute, 1, minute + MOST)
            if number:  # one is killed before it has saved anything
                updaters.hears("saved")
            time.sleep(rng.uniform(0.0, 0.5))
            os.kill(pid, signal.SIGKILL)
            assert updaters.hears("ended") == f"ended {-signal.SIGKILL}"
            partial += (tmp_path / "BTC.partial").exists()
            if place(tmp_path, "BTC").exists():
                reached.append(load(tmp_path, BTC, ended(LAST), parameters(BTC)).seen_ns)
        killed = finish(updaters, tmp_path, minute)
        uninterrupted = finish(updaters, tmp_path / "alone", FIRST)
    print(f"{KILLS} kills, {partial} left a file half written; {len(reached)} states read")
    assert len(reached) >= KILLS - 1
    assert reached == sorted(reached)
    assert len(set(reached)) > KILLS // 2
    assert ended(FIRST) < reached[-1] < ended(LAST)
    assert killed == uninterrupted
    assert load(tmp_path, BTC, ended(LAST)).seen_ns <= ended(LAST)
