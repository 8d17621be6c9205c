"""Updaters to be killed: each goes on with the state of BTC, minute by minute, from a venue on this machine.

``python -m tests.faults.state_updater URL`` is their nursery: for each line ``FOLDER MINUTE STEP MOST`` on stdin it
forks an updater and says ``started PID``, then ``ended STATUS`` when it is dead. To an updater it is MINUTE, then STEP
minutes later before each update, and never later than MOST, so that no machine is too slow or too fast; it takes what
minutes are new, saves, says ``saved``, and ends after minute LAST.
"""

import os
import sys
import threading
from pathlib import Path

from consumers.synth.fetching import places
from consumers.synth.updater import Updater
from infra.settings import load_settings
from processors.online.synth_assets import ASSETS
from tests.consumers.synth.venues import ended

FIRST = 3 * 1_440 + 60  # the minute of the first
LAST = FIRST + 5_000


def update(url: str, folder: Path, minute: int, step: int, most: int) -> None:
    """Be an updater."""
    assets = {"BTC": ASSETS["BTC"]}
    (place,) = places(assets, load_settings(env_file=None), threading.Event(), url, pause_s=0.001).values()
    updater = Updater(folder, ASSETS["BTC"], place, lambda: ended(minute), ended(FIRST))
    while minute < LAST:
        minute = min(minute + step, most)
        updater.update()
        print("saved", flush=True)


def main() -> None:
    """Be the nursery."""
    url = sys.argv[1]
    while line := sys.stdin.readline():
        folder, *numbers = line.split()
        pid = os.fork()
        if pid == 0:
            update(url, Path(folder), *map(int, numbers))
            os._exit(0)
        print(f"started {pid}", flush=True)
        print(f"ended {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}", flush=True)


if __name__ == "__main__":
    main()
